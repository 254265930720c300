"""From the first frame that shows a code to the panel's command, on the real loop and disk."""

import contextlib
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from bench.figure import median, percentile, report
from checkin import settings
from checkin.clock import SystemClock
from checkin.outbox import Outbox
from checkin.seal import CentralKey, CentralSeal, new_private_key
from demo import scenes
from demo.people import person
from demo.scenes import scene
from kiosk.devices import zxing
from kiosk.devices.decoder import Engines, PatientDecoder
from kiosk.devices.opencv import ReplayCamera
from kiosk.devices.simulated_panel import RecordingPanel
from kiosk.devices.zbar import Zbar
from kiosk.logic.station import Rules, Station
from kiosk.loop import KioskLoop
from kiosk.memory import Memory
from kiosk.ports import CameraEndedError, DecoderError, Frame, Optics

FPS = 30.0
INTERVAL_MS = 1000 / FPS
VISITORS = 60
SHOWN_FRAMES, GAP_FRAMES = 8, 4
HARDNESS = 0.55
SEED = 7


@dataclass(slots=True)
class TimedCamera:
    """A replay that notes when each frame was there, by its place in the folder."""

    replay: ReplayCamera
    ticks: dict[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.replay.name

    @contextmanager
    def frame(self) -> Iterator[Frame]:
        with self.replay.frame() as frame:
            self.ticks[self.replay.shown + self.replay.skipped - 1] = frame.tick
            yield frame

    def tick_of(self, place: int) -> float:
        """When frame `place` was there; for one that was missed, when it would have been."""
        seen = min(other for other in self.ticks if other >= place)
        return self.ticks[seen] - (seen - place) / FPS

    def optics(self) -> Optics:
        return self.replay.optics()

    def restart(self) -> None:
        self.replay.restart()

    def close(self) -> None:
        self.replay.close()


def engines() -> Engines:
    try:
        return Engines(zxing.local(), zxing.overall(), Zbar())
    except DecoderError:
        return Engines(zxing.local(), zxing.overall())


def decoder() -> PatientDecoder:
    """The door's decoder, as the defaults have it."""
    return PatientDecoder(engines(), settings.Decoder().effort / FPS)


def door_to_light() -> None:
    """`door_to_light_ms` (median) and `door_to_light_p95_ms`; reference: one frame interval.

    A visitor whose first frames can't be read counts with the time until one is; one who is never
    read counts with the whole time they stood there.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        folder = Path(name)
        _draw(folder / "frames")
        camera, panel = _serve(folder)
    places = [number * (SHOWN_FRAMES + GAP_FRAMES) + GAP_FRAMES for number in range(VISITORS)]
    firsts = [camera.tick_of(place) for place in places]
    lights = [tick for tick, pattern in panel.played if pattern.name == "accepted-in"]
    waits = []
    for first in firsts:
        until = first + (SHOWN_FRAMES + GAP_FRAMES) / FPS
        lit = next((tick for tick in lights if first <= tick < until), until)
        waits.append((lit - first) * 1000)
    report("door_to_light_ms", median(waits), "ms", INTERVAL_MS)
    report("door_to_light_p95_ms", percentile(waits, 95), "ms", INTERVAL_MS)


def _draw(folder: Path) -> None:
    """Each visitor after some empty frames; the code is there whole from its first frame."""
    folder.mkdir(parents=True)
    for number in range(VISITORS):
        shown = scene(person(number, SEED).payload, SEED + number, HARDNESS)
        frames = [
            *scenes.empty_frames(GAP_FRAMES, SEED + number),
            *scenes.frames(shown, SHOWN_FRAMES),
        ]
        for count, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{number:03}-{count:02}.jpg"), frame)


def _serve(folder: Path) -> tuple[TimedCamera, RecordingPanel]:
    clock = SystemClock()
    now = clock.moment()
    camera = TimedCamera(ReplayCamera(folder / "frames", FPS))
    panel = RecordingPanel(tick=time.monotonic)
    outbox = Outbox(folder / "outbox.db")
    memory = Memory(folder / "sightings.bin", now)
    loop = KioskLoop(
        checkpoint="bench",
        kiosk="bench",
        camera=camera,
        decoder=decoder(),
        station=Station(Rules(), memory.begin.key),
        outbox=outbox,
        panel=panel,
        clock=clock,
        seal=CentralSeal(CentralKey(new_private_key()).public),
        random=secrets.token_bytes,
        memory=memory,
        health_file=folder / "health.json",
    )
    with contextlib.suppress(CameraEndedError):
        while True:
            loop.turn()
    outbox.close()
    return camera, panel
