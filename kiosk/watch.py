"""What a technician sees of a running kiosk: `vaora-kiosk watch`, in any terminal, over ssh.

The camera belongs to the kiosk's process. While somebody watches (a file in `runtime_dir` that is
touched every second) the process writes what it sees and decides into another one, four times a
second. Nothing of a visitor is among it.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time

import msgspec

from checkin import health
from checkin.clock import Moment
from checkin.command_line import printable
from kiosk.logic.station import Accepted, ForeignCode, Refused, Repeated, Verdict
from kiosk.ports import Buttons, Effort, Frame, Optics

WATCHER_FILE = "watching"
SEEN_FILE = "watch.json"

# A watcher who didn't touch the file for so long has gone.
GONE_S = 5.0
LOOKED_FOR_S = 1.0
WRITTEN_EVERY_S = 0.25

VERDICTS = 8
FRAMES = 60

LONGEST_FILE_BYTES = 65_536

# Below it a code's modules of three pixels run into each other, whatever the light: measured on
# the scene generator's phones, sharp ones are at 600 and more, unreadably blurred ones under 60.
BLURRED = 120.0
# A quarter of the pixels at the end of the range: what was there can't be told any more.
CLIPPED = 0.25
DARK, BRIGHT = 45.0, 215.0
# Under this the brightest and the darkest twentieth are too near for pale codes.
FLAT = 40.0


class Quality(msgspec.Struct, frozen=True):
    """The light and the focus of a frame. `sharpness` is its Laplacian's variance where most is."""

    mean: float = 0.0
    darkest: float = 0.0
    brightest: float = 0.0
    clipped: float = 0.0
    sharpness: float = 0.0


class Told(msgspec.Struct, frozen=True):
    """One verdict, without who it was."""

    tick: float
    what: str


class Seen(msgspec.Struct, frozen=True):
    """One look at the kiosk. Times are milliseconds, means over the last two seconds."""

    tick: float
    at: str
    synced: bool
    camera: str
    width: int
    height: int
    frames_per_s: float
    wait_ms: float
    first_ms: float
    turns_ms: float
    serve_ms: float
    slowest_ms: float
    turns: float
    attentive: bool
    quality: Quality
    exposure_us: int | None = None
    gain: float | None = None
    lens_position: float | None = None
    buttons: list[str] = []
    faults: list[str] = []
    verdicts: list[Told] = []


class Watch:
    """The kiosk's side: costs nothing while nobody watches."""

    def __init__(
        self,
        folder: Path,
        camera: str,
        effort: Callable[[], Effort],
        measure: Callable[[Frame], Quality],
        wall: Callable[[], float] = time,
    ) -> None:
        self._folder = folder
        self._camera = camera
        self._effort = effort
        self._measure = measure
        self._wall = wall
        self.on = False
        self._looked = -LOOKED_FOR_S
        self._written = 0.0
        self._verdicts: deque[Told] = deque(maxlen=VERDICTS)
        self._frames: deque[tuple[float, float, Effort, float]] = deque(maxlen=FRAMES)
        self._size = (0, 0)
        self._quality = Quality()
        self._optics = Optics()
        self._buttons = Buttons()
        self._waited = 0.0
        self._read = 0.0
        self._framed = False

    def judged(self, verdicts: Sequence[Verdict], tick: float) -> None:
        """Keep what was decided, also while nobody watches: it was often a moment ago."""
        self._verdicts.extend(
            Told(tick, words) for words in map(in_words, verdicts) if words is not None
        )
        self._is_watched(tick)

    def frame(self, frame: Frame, *, asked: float, read: float) -> None:
        """A frame was waited for from `asked` on and decoded until `read`."""
        self._framed = True
        height, width = frame.grey.shape
        self._size = (int(width), int(height))
        self._waited, self._read = frame.tick - asked, read
        if read - self._written >= WRITTEN_EVERY_S:
            self._quality = self._measure(frame)

    def devices(self, optics: Optics, buttons: Buttons) -> None:
        """How the frame was taken, and what is pressed."""
        self._optics, self._buttons = optics, buttons

    def served(self, now: Moment, done: float, faults: list[str]) -> None:
        """The rest of the turn is done; write, if it is time to."""
        if not self._framed:
            return  # the watcher was noticed in mid-turn: this one wasn't measured
        self._framed = False
        self._frames.append((now.tick, self._waited, self._effort(), done - self._read))
        if now.tick - self._written < WRITTEN_EVERY_S:
            return
        self._written = now.tick
        self._is_watched(now.tick)
        if self.on:
            self._write(self._seen(now, faults))

    def look_for_watcher(self, tick: float) -> None:
        """Notice who came or went."""
        self._is_watched(tick)

    def close(self) -> None:
        """The kiosk ends: nobody shall take its last look for the present."""
        with contextlib.suppress(OSError):
            (self._folder / SEEN_FILE).unlink(missing_ok=True)

    def _is_watched(self, tick: float) -> None:
        if tick - self._looked < LOOKED_FOR_S:
            return
        self._looked = tick
        try:
            touched = (self._folder / WATCHER_FILE).stat().st_mtime
        except OSError:
            touched = 0.0
        on = abs(self._wall() - touched) < GONE_S
        if on and not self.on:
            self._frames.clear()
        self.on = on

    def _seen(self, now: Moment, faults: list[str]) -> Seen:
        frames = list(self._frames)
        span = frames[-1][0] - frames[0][0]
        efforts = [effort for _, _, effort, _ in frames]
        serving = [served for _, _, _, served in frames]
        busy = [
            effort.first_s + effort.turns_s + served
            for effort, served in zip(efforts, serving, strict=True)
        ]
        return Seen(
            tick=now.tick,
            at=now.at.isoformat(timespec="seconds"),
            synced=now.synced,
            camera=self._camera,
            width=self._size[0],
            height=self._size[1],
            frames_per_s=round((len(frames) - 1) / span, 1) if span > 0 else 0.0,
            wait_ms=_mean_ms([waited for _, waited, _, _ in frames]),
            first_ms=_mean_ms([effort.first_s for effort in efforts]),
            turns_ms=_mean_ms([effort.turns_s for effort in efforts]),
            serve_ms=_mean_ms(serving),
            slowest_ms=round(max(busy) * 1000, 1),
            turns=round(sum(effort.turns for effort in efforts) / len(efforts), 1),
            attentive=efforts[-1].attentive,
            quality=self._quality,
            exposure_us=self._optics.exposure_us,
            gain=self._optics.gain,
            lens_position=self._optics.lens_position,
            buttons=[name for name in Buttons._fields if getattr(self._buttons, name)],
            faults=faults,
            verdicts=list(self._verdicts),
        )

    def _write(self, seen: Seen) -> None:
        file = self._folder / SEEN_FILE
        try:
            health.replace(file, msgspec.json.encode(seen))
        except OSError:
            self.on = False  # a full /run is no reason to stop serving


def in_words(verdict: Verdict) -> str | None:
    """A verdict for a technician's eyes, or None where it only goes on."""
    match verdict:
        case Accepted():
            shown = verdict.credential
            proof = "verified" if shown.verified else "read, not verified"
            return f"accepted {verdict.direction}: {shown.kind}, {proof}"
        case Repeated(held=False):
            return "repeated"
        case Refused(held=False):
            return f"refused: {verdict.credential.kind}, {verdict.reason}"
        case ForeignCode(held=False):
            return f"foreign: {verdict.reason} ({verdict.hint})"
    return None


def _mean_ms(seconds: Sequence[float]) -> float:
    return round(sum(seconds) / len(seconds) * 1000, 2) if seconds else 0.0


def read_seen(folder: Path) -> Seen | None:
    """What the kiosk wrote last, or None."""
    file = folder / SEEN_FILE
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(LONGEST_FILE_BYTES), type=Seen)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def hints(seen: Seen) -> list[str]:
    """What to do about focus and light, in the order in which it matters."""
    found = []
    quality = seen.quality
    if quality.mean < DARK:
        found.append("dark: light the place where codes are held, or fit a lamp (lamp_pin)")
    if quality.mean > BRIGHT:
        found.append("too bright: shade the camera, or lower [camera] exposure_us or gain")
    if quality.clipped > CLIPPED:
        found.append("glare or backlight: a quarter of the frame is black or white without detail")
    if DARK <= quality.mean <= BRIGHT and quality.brightest - quality.darkest < FLAT:
        found.append("pale: is the window dirty, or fogged?")
    if seen.attentive and quality.sharpness < BLURRED:
        found.append("blurred: set lens_position for the distance at which codes are held")
    if seen.frames_per_s and seen.slowest_ms > 1000 / seen.frames_per_s:
        found.append("frames are late: lower [decoder] effort, or width and height")
    return found


def drawn(seen: Seen, tick: float) -> str:
    """One screen of 80 columns; `tick` is now."""
    quality = seen.quality
    sure = "" if seen.synced else ", not set by the network"
    turns = f"extra turns {seen.turns_ms:g} ({seen.turns:g} a frame)"
    span = f"{quality.darkest:.0f} to {quality.brightest:.0f}"
    lines = [
        f"{seen.camera}, {seen.width} × {seen.height}, {seen.frames_per_s:g} frames a second",
        f"clock     {seen.at}{sure}",
        f"a frame   wait {seen.wait_ms:g} ms, first look {seen.first_ms:g}, {turns}",
        f"          rest {seen.serve_ms:g}; slowest {seen.slowest_ms:g}",
        f"in sight  {'something that may be a code' if seen.attentive else 'nothing new'}",
        f"light     {_bar(quality.mean)} {quality.mean:.0f} of 255, {span}",
        f"focus     {_bar(min(255.0, quality.sharpness / 4))} {quality.sharpness:.0f}",
        *_taken(seen),
        *([f"buttons   {', '.join(seen.buttons)} down"] if seen.buttons else []),
        f"faults    {', '.join(seen.faults) or 'none'}",
        *(f"hint      {hint}" for hint in hints(seen)),
        "",
        "verdicts, newest first",
        *(f"  {tick - told.tick:6.1f} s ago  {told.what}" for told in reversed(seen.verdicts)),
    ]
    return "\n".join(map(printable, lines))


def _taken(seen: Seen) -> list[str]:
    """How the camera takes its frames, where it says so."""
    words = []
    if seen.exposure_us is not None:
        words.append(f"exposure {seen.exposure_us / 1000:.1f} ms")
    if seen.gain is not None:
        words.append(f"gain {seen.gain:.1f}")
    if seen.lens_position is not None:
        words.append(f"lens at {seen.lens_position:.1f} dioptres")
    return [f"taken     {', '.join(words)}"] if words else []


def _bar(value: float) -> str:
    full = round(min(max(value, 0.0), 255.0) / 255 * 20)
    return "█" * full + "░" * (20 - full)
