"""What a kiosk is asked about its health, gathered: `vaora-kiosk doctor`, and the self-test.

The camera and the pins belong to the running kiosk; a doctor beside it asks by a file in
`runtime_dir`, as `vaora-kiosk watch` does. Without a running kiosk it looks for itself.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from checkin import health, outbox
from checkin.clock import Clock, Moment
from checkin.command_line import printable
from checkin.health import KioskHealth, SyncHealth
from checkin.marks import said, text
from checkin.outbox import Outbox, OutboxError, OutboxLostError
from checkin.settings import Settings
from checkin.words import N_, _, spoken
from kiosk.logic import examination, feedback
from kiosk.logic.examination import TEST_CODE, Facts, Finding, Sight
from kiosk.ports import (
    Camera,
    CameraEndedError,
    CameraError,
    Decoder,
    DecoderError,
    Frame,
    Panel,
    PanelError,
)
from kiosk.watch import WATCHER_FILE, Quality, read_seen

# Who wants the running kiosk to play every light and tone touches this in `runtime_dir`.
ASKED_FILE = "examine"

CLOCK_CHIP = Path("/sys/class/rtc/rtc0")

# Faults of what the kiosk goes by; visitors are still served.
RULES = {"trust", "revocations", "settings"}

# The parts as a person is told them; `--json` has their plain names.
PART_WORDS = {
    "camera": N_("camera"),
    "lights": N_("lights"),
    "buttons": N_("buttons"),
    "clock": N_("clock"),
    "disk": N_("disk"),
    "outbox": N_("outbox"),
    "broker": N_("broker"),
    "certificate": N_("certificate"),
    "central": N_("central"),
    "kiosk": N_("kiosk"),
    "rules": N_("rules"),
}

TIME_SERVER = ("timedatectl", "show-timesync", "--property=ServerName", "--value")
TIME_SERVER_S = 2.0

# How long a running kiosk is waited for: it looks once a second who asks, and a green goes first.
ANSWER_S = 6.0
LOOK_EVERY_S = 0.3

# Enough to judge light and focus by, and for the exposure to settle.
FRAMES = 45

FLUSHES = 9
FLUSHED = b"\0" * 4096


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a doctor looks. `code_wait_s` is how long the test code is waited for."""

    clock: Clock
    stopped: Event
    code_wait_s: float = 0.0


class Doctor:
    """Answers for one kiosk. `quick` is for its own loop: it reads a few small files."""

    def __init__(self, loaded: Settings) -> None:
        self._loaded = loaded
        self._asked = Path(loaded.kiosk.runtime_dir) / ASKED_FILE
        self._asked_at = _changed(self._asked)

    def is_asked(self) -> bool:
        """Whether somebody asked since this was last called."""
        before, self._asked_at = self._asked_at, _changed(self._asked)
        return self._asked_at not in {before, None}

    def ask(self) -> None:
        """Ask the running kiosk. Raises `OSError`."""
        health.touch(self._asked)

    def quick(self, now: Moment, sight: Sight, faults: Collection[str]) -> list[Finding]:
        """What the running kiosk knows of itself, while its lights play."""
        facts = Facts(
            kiosk_runs=True,
            sight=sight,
            camera_trouble=text("gives no frames") if "camera" in faults else "",
            panel_played=True,
            outbox_trouble=text("can't write check-ins") if "outbox" in faults else "",
            waiting=0,
            rules_trouble=sorted(RULES & set(faults)),
            **self._around(now),
        )
        return examination.examine(facts)

    def thorough(self, now: Moment, **seen: Any) -> list[Finding]:  # noqa: ANN401  fields of Facts
        """All of it: the outbox read through, the disk flushed; takes seconds."""
        running = self.kiosk_health(now)
        about: dict[str, Any] = {
            "kiosk_runs": running is not None,
            "rules_trouble": sorted(RULES & set(running.faults)) if running else [],
            "clock_source": _time_server(),
        }
        facts = Facts(**(about | self._around(now) | self._disk() | self._outbox() | seen))
        return examination.examine(facts)

    def look_with_the_kiosk(self, patience: Patience) -> dict[str, Any]:
        """What the running kiosk sees, while it plays every light."""
        folder = Path(self._loaded.kiosk.runtime_dir)
        began = patience.clock.moment().tick
        try:
            self.ask()
        except OSError as error:
            trouble = text("the kiosk can't be asked: {why}", why=f"{folder}: {error.strerror}")
            return {"camera_trouble": trouble}
        until = began + ANSWER_S + patience.code_wait_s
        while True:
            with suppress(OSError):
                health.touch(folder / WATCHER_FILE)
            now = patience.clock.moment()
            seen, mine = read_seen(folder), self.kiosk_health(now)
            played = mine is not None and (mine.panel_tick or 0.0) >= began
            code_tick = mine.test_code_tick if mine is not None else None
            is_new = seen is not None and seen.tick >= began and seen.frames_per_s > 0
            has_code = not patience.code_wait_s or (code_tick or 0.0) >= began
            if (is_new and played and has_code) or now.tick > until or patience.stopped.is_set():
                break
            patience.stopped.wait(LOOK_EVERY_S)
        if seen is None or seen.tick < began:
            return {"camera_trouble": text("the kiosk looks at no frames"), "panel_played": played}
        return {
            "sight": Sight(
                camera=seen.camera,
                frames_per_s=seen.frames_per_s,
                wanted_frames_per_s=self._loaded.camera.fps,
                mean=seen.quality.mean,
                sharpness=seen.quality.sharpness,
                exposure_us=seen.exposure_us,
                gain=seen.gain,
                lens_position=seen.lens_position,
                test_code_s=None if code_tick is None else now.tick - code_tick,
            ),
            "panel_played": played,
            "buttons_down": seen.buttons,
        }

    def kiosk_health(self, now: Moment) -> KioskHealth | None:
        """How the running kiosk is, or None where none runs."""
        file = self._loaded.kiosk_health_file
        return health.read(file, KioskHealth, boot=now.boot, tick=now.tick)

    def _around(self, now: Moment) -> dict[str, Any]:
        """What costs nothing to ask."""
        broker = self._loaded.broker
        sync = health.read(self._loaded.sync_health_file, SyncHealth, boot=now.boot, tick=now.tick)
        found: dict[str, Any] = {
            "clock_synced": now.synced,
            "has_clock_chip": CLOCK_CHIP.exists(),
            "min_free_mb": self._loaded.outbox.min_free_mb,
            "uses_certificate": broker.tls and bool(broker.cert_file),
            "needs_receipts": broker.confirm == "central",
            "daemon_runs": sync is not None,
            "buttons_fitted": _buttons(self._loaded),
        }
        try:
            disk = shutil.disk_usage(self._loaded.kiosk.data_dir)
            found["free_mb"] = disk.free / 1e6
        except OSError as error:
            found["disk_trouble"] = f"{self._loaded.kiosk.data_dir}: {error.strerror}"
        if sync is not None:
            found |= {
                "broker": sync.broker,
                "why_no_broker": sync.why_lost,
                "certificate_days": sync.certificate_days,
                "certificate_trouble": sync.certificate_trouble,
                "enrolment": sync.enrolment,
                "enrolment_trouble": sync.enrolment_trouble,
                "renewal_refused": sync.renewal_refused,
                "connected_s": sync.connected_s,
                "first_receipt_s": sync.first_receipt_s,
            }
        return found

    def _disk(self) -> dict[str, Any]:
        """How long the disk takes to keep a page for good."""
        took = []
        try:
            # Nameless: whoever shares the folder can't put a link in its place.
            with tempfile.TemporaryFile(dir=self._loaded.kiosk.data_dir) as opened:
                for _ in range(FLUSHES):
                    began = time.perf_counter()
                    opened.write(FLUSHED)
                    opened.flush()
                    os.fsync(opened.fileno())
                    took.append(time.perf_counter() - began)
        except OSError as error:
            return {"disk_trouble": f"{self._loaded.kiosk.data_dir}: {error.strerror}"}
        return {"flush_ms": statistics.median(took) * 1000}

    def _outbox(self) -> dict[str, Any]:
        """Read it through, and look how full it is."""
        path = self._loaded.outbox_file
        if not path.exists():
            return {}
        trouble = outbox.look_through(path)
        if trouble:
            return {"outbox_trouble": trouble, "waiting": 0}
        try:
            limits = self._loaded.outbox
            opened = Outbox(
                path,
                create=False,
                limit_rows=limits.limit_rows,
                min_free_bytes=limits.min_free_mb * 1_000_000,
            )
            try:
                return {
                    "outbox_checked": True,
                    "waiting": opened.pending_count(),
                    "room": opened.room(),
                    "lies_aside": [file.name for file in outbox.damaged_files(path)],
                }
            finally:
                opened.close()
        except (OutboxError, OutboxLostError) as error:
            return {"outbox_trouble": str(error), "waiting": 0}


@dataclass(frozen=True, slots=True)
class Looking:
    """How a doctor looks where no kiosk runs: it opens panel and camera as the kiosk would."""

    panel: Callable[[], Panel]
    camera: Callable[[], Camera]
    decoder: Callable[[], Decoder]
    quality: Callable[[Frame], Quality]
    wanted_frames_per_s: float

    def look(self, patience: Patience) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        try:
            panel = self.panel()
        except PanelError as error:
            return {"panel_trouble": said(error)} | self._look_through_camera(patience)
        try:
            panel.play(feedback.SELF_TEST)
            seen = self._look_through_camera(patience)
            patience.stopped.wait(feedback.SELF_TEST.seconds)
            panel.check()
            seen["panel_played"] = True
            seen["buttons_down"] = [
                name for name, down in panel.buttons()._asdict().items() if down
            ]
        except PanelError as error:
            seen["panel_trouble"] = said(error)
        finally:
            panel.close()
        return seen

    def _look_through_camera(self, patience: Patience) -> dict[str, Any]:
        try:
            camera = self.camera()
            try:
                return {"sight": self._sight(camera, patience)}
            finally:
                camera.close()
        except (CameraError, DecoderError) as error:
            return {"camera_trouble": said(error)}

    def _sight(self, camera: Camera, patience: Patience) -> Sight:
        """Some frames, and the test code in one of them."""
        decoder, quality = self.decoder(), Quality()
        frames, code_tick = 0, None
        began = now = patience.clock.moment().tick
        try:
            while not patience.stopped.is_set():
                with camera.frame() as frame:
                    frames += 1
                    now = patience.clock.moment().tick
                    quality = self.quality(frame)
                    if any(one.payload == TEST_CODE for one in decoder.read(frame.grey)):
                        code_tick = now
                if frames >= FRAMES and (code_tick or now - began >= patience.code_wait_s):
                    break
        except CameraEndedError:
            pass  # a folder with few images: what was seen counts
        optics = camera.optics()
        return Sight(
            camera=camera.name,
            frames_per_s=frames / (now - began) if now > began else None,
            wanted_frames_per_s=self.wanted_frames_per_s,
            mean=quality.mean if frames else None,
            sharpness=quality.sharpness if frames else None,
            exposure_us=optics.exposure_us,
            gain=optics.gain,
            lens_position=optics.lens_position,
            test_code_s=None if code_tick is None else now - code_tick,
        )


def _buttons(loaded: Settings) -> list[str]:
    fitted = {
        "direction": loaded.panel.direction_button_pin,
        "test": loaded.panel.test_button_pin,
    }
    return [name for name, pin in fitted.items() if pin]


def _time_server() -> str:
    """Who set the clock, as systemd-timesyncd tells; empty where it doesn't."""
    try:
        asked = subprocess.run(
            TIME_SERVER, check=False, capture_output=True, text=True, timeout=TIME_SERVER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()


def _changed(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def in_words(findings: Sequence[Finding]) -> list[str]:
    """One line for a part, and one below it where there is something to do."""
    marks = {True: _("well"), False: _("NOT WELL"), None: "?"}
    wide = max(map(len, marks.values())) + 2
    lines = []
    for one in findings:
        part, told = _(PART_WORDS[one.part]), printable(spoken(one.told))
        lines.append(f"{one.number:2}  {part:14}{marks[one.well]:{wide}}{told}")
        if one.cure:
            lines.append(f"{'':18}{'':{wide}}→ {spoken(one.cure)}")
    return lines


def as_json(findings: Sequence[Finding], **more: str) -> bytes:
    """One object; `well` is whether every part that could be judged is."""
    well = not examination.unwell(findings)
    return msgspec.json.encode({**more, "well": well, "parts": findings}, enc_hook=str)
