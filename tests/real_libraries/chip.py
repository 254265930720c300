"""The pretended chip as the test sees it: pins to look at, buttons to press, edges to measure.

The file's form is `struct chip` in pretended_chip.c; keep both alike.
"""

import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

LINES = 64
LINE = struct.Struct("=BBBB")  # mode, output, pull, drive
EDGES = 1 << 18
EDGE = struct.Struct("=QII")
SO_FAR = struct.Struct("=Q")
EDGES_AT = LINES * LINE.size + SO_FAR.size
SIZE = EDGES_AT + EDGES * EDGE.size

OUTPUT = 1
FLOATING, DOWN, UP = range(3)
NOBODY, TO_GROUND = 0, 1

# A Pi's pins are pulled up or down from its first moment on: 0 to 8 up, the others down.
PULLED_UP = range(9)

# Linux's open file description locks (fcntl.h), which Python has no names for: held by an open
# file and not by a process, and let go of by the kernel when that is gone.
F_OFD_GETLK = 36
FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length, who


class Edge(NamedTuple):
    """A pin changed: `at_s` is monotonic seconds."""

    at_s: float
    pin: int
    level: int


class Chip:
    """Pins in a file at `path`, at rest."""

    def __init__(self, path: Path):
        self.path = path
        path.write_bytes(bytes(SIZE))
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), SIZE)
        for pin in range(LINES):
            self._set(pin, 2, UP if pin in PULLED_UP else DOWN)

    def close(self):
        self._map.close()
        self._file.close()

    def level(self, pin):
        """What a lamp on this pin shows. A pin that nobody holds is an input again, and dark."""
        mode, output, _, _ = LINE.unpack_from(self._map, pin * LINE.size)
        return bool(output) if mode == OUTPUT and self.is_held(pin) else False

    def is_held(self, pin):
        asked = bytearray(FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, pin, 1, 0))
        answer = fcntl.fcntl(self._file, F_OFD_GETLK, bytes(asked))
        return FLOCK.unpack(answer)[0] != fcntl.F_UNLCK

    def press(self, pin):
        """Close the contact: the pin is drawn to ground."""
        self._set(pin, 3, TO_GROUND)

    def release(self, pin):
        self._set(pin, 3, NOBODY)

    def edges(self, since=0):
        """Every change of an output, in order, from the one with the number `since` on."""
        count = self.edges_so_far()
        assert count <= EDGES, "more edges than the file holds"
        table = self._map[EDGES_AT + since * EDGE.size : EDGES_AT + count * EDGE.size]
        return [Edge(at_ns / 1e9, pin, level) for at_ns, pin, level in EDGE.iter_unpack(table)]

    def edges_so_far(self):
        return SO_FAR.unpack_from(self._map, LINES * LINE.size)[0]

    def _set(self, pin, place, value):
        self._map[pin * LINE.size + place] = value
