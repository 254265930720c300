"""What the kiosk's loop asks of its devices, and the values that pass between them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Grey = NDArray[np.uint8]


class CameraError(OSError):
    """The camera gave no frame, or can't be opened; the message says what to look at."""


class CameraEndedError(CameraError):
    """A simulated camera has shown everything it had."""


class DecoderError(ValueError):
    """An image can't be looked at: wrong shape, wrong type, or no image at all."""


class PanelError(OSError):
    """The lights or the buzzer can't be driven."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One grey image: `grey` is (height, width), 0 is black. `tick` is when it was there.

    The pixels may be the camera's own memory: they are valid inside the `with` only.
    """

    grey: "Grey"
    tick: float


Corners = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Code:
    """One QR code as it was read.

    `payload` are its bytes and what counts. `text` is for people's eyes only: where the bytes are
    no UTF-8 it is the engine's guess. `corners` are pixels (x, y), from the code's own upper left
    clockwise.
    """

    payload: bytes = field(repr=False)
    text: str = field(repr=False)
    corners: Corners


class Level(NamedTuple):
    """What the pins should be at one moment. `tone_hz` is 0 for silence."""

    green: bool = False
    red: bool = False
    amber: bool = False
    tone_hz: int = 0


class Step(NamedTuple):
    """A level for some seconds."""

    level: Level
    seconds: float


DARK = Level()


class Pattern(NamedTuple):
    """What a visitor sees and hears of one verdict."""

    name: str
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        end = 0.0
        for step in self.steps:
            end += step.seconds  # as `level_at` adds: from Python 3.12 on, sum() rounds otherwise
        return end

    def level_at(self, elapsed_s: float) -> Level | None:
        """The level `elapsed_s` into the pattern, or None once it has ended."""
        end = 0.0
        for step in self.steps:
            end += step.seconds
            if elapsed_s < end:
                return step.level
        return None


class Buttons(NamedTuple):
    """Which buttons are down at this moment; one that isn't fitted never is."""

    direction: bool = False
    test: bool = False


class Effort(NamedTuple):
    """What reading the last frame took. `attentive`: something was in sight that may be a code."""

    first_s: float = 0.0
    turns_s: float = 0.0
    turns: int = 0
    attentive: bool = False


class Optics(NamedTuple):
    """How a frame was taken; None for what this camera doesn't tell."""

    exposure_us: int | None = None
    gain: float | None = None
    lens_position: float | None = None  # dioptres


class Camera(Protocol):
    """Gives frames at its own pace."""

    @property
    def name(self) -> str:
        """What it is, in a word a technician knows."""

    def frame(self) -> AbstractContextManager[Frame]:
        """Wait for the next frame. Raises `CameraError` where none comes in time."""

    def optics(self) -> Optics:
        """How a frame of the last second or so was taken."""

    def restart(self) -> None:
        """Begin anew after a `CameraError`. Raises it again if that didn't help."""

    def close(self) -> None: ...


class Decoder(Protocol):
    """Finds QR codes."""

    def read(self, grey: "Grey") -> Sequence[Code]:
        """The codes in one live frame, within the time that a frame has."""


class Panel(Protocol):
    """Lights, a buzzer, perhaps buttons and a lamp. Nothing here blocks."""

    def play(self, pattern: Pattern) -> None:
        """Begin `pattern` now, in place of whatever plays."""

    def rest(self, pattern: Pattern) -> None:
        """What to show, over and over, while nothing else plays."""

    def buttons(self) -> Buttons:
        """What is pressed now."""

    def lamp(self, *, on: bool) -> None:
        """Light the place where codes are held, where a lamp is fitted."""

    def check(self) -> None:
        """Raise `PanelError` where what is played isn't shown any more."""

    def close(self) -> None:
        """Leave all pins at their safe level: dark and silent."""
