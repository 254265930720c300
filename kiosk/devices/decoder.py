"""The decoder: one engine on every frame, the others now and then."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from kiosk.ports import Code, DecoderError

if TYPE_CHECKING:
    from kiosk.ports import Grey

# A code smaller than this in either direction can't be read by any engine: 21 modules at least.
SMALLEST_SIDE_PX = 21


class Engine(Protocol):
    def read(self, grey: "Grey") -> Sequence[Code]: ...


class RotatingDecoder:
    """`first` looks at every frame; where it finds nothing, `others` take turns.

    Every `every`-th unread frame goes to one of them, since the second engine costs ten times as
    much as the first (22.8 ms against 2 a frame) and 99 of 100 frames show no code at all.
    """

    def __init__(self, first: Engine, others: Sequence[Engine], every: int) -> None:
        self._first = first
        self._others = others
        self._every = every
        self._unread = 0

    def read(self, grey: "Grey") -> Sequence[Code]:
        """The codes in one live frame; one too small for any code has none."""
        _check_kind(grey)
        if min(grey.shape) < SMALLEST_SIDE_PX:
            return []
        found = self._first.read(grey)
        if found or not self._others or not self._every:
            return found
        self._unread += 1
        if self._unread % self._every:
            return found
        return self._others[self._unread // self._every % len(self._others)].read(grey)

    def read_still(self, grey: "Grey") -> Sequence[Code]:
        """The codes in a still image: every engine has its turn, until one finds something."""
        _check_kind(grey)
        if min(grey.shape) < SMALLEST_SIDE_PX:
            height, width = grey.shape
            raise DecoderError(f"{width} × {height} pixels are too few for a QR code")
        for engine in (self._first, *self._others):
            found = engine.read(grey)
            if found:
                return found
        return []


def _check_kind(grey: "Grey") -> None:
    if grey.ndim != 2 or grey.dtype.name != "uint8":  # noqa: PLR2004  rows and columns
        raise DecoderError(f"expected a grey image of bytes, got {grey.dtype} {grey.shape}")
