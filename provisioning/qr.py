"""Codes that we print: by segno."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import segno

from checkin import marks

# Level Q survives a quarter of its modules lost: a pass lives in a pocket for a day.
LEVEL = "q"
MODULE_PX = 8
FRAME_MODULE_PX = 6

# The quiet zone that ISO/IEC 18004 asks for.
QUIET_MODULES = 4

# Not looked for: what a signature fills is as good as random under every mask, and looking for the
# best of eight takes five times as long as the code itself (23 ms and not 5).
MASK = 4


class Run(NamedTuple):
    """Dark modules beside each other in one row."""

    x: int
    y: int
    length: int


class TooMuchError(ValueError):
    """No QR code holds so much."""


def svg(text: str) -> str:
    """The code of `text` as an SVG drawing, with its quiet zone of four modules."""
    out = io.BytesIO()
    code = segno.make(text, error=LEVEL, boost_error=False, micro=False)
    code.save(out, kind="svg", scale=MODULE_PX, border=QUIET_MODULES)
    return out.getvalue().decode("utf-8")


def modules(text: str) -> tuple[bytes, ...]:
    """The rows of the code of `text`, a byte a module, 1 is dark; without its quiet zone.

    Raises `TooMuchError`.
    """
    try:
        code = segno.make(text, error=LEVEL, boost_error=False, micro=False, mask=MASK)
    except segno.DataOverflowError as error:
        raise TooMuchError(
            marks.text("{count} characters are too many for a QR code", count=len(text))
        ) from error
    return tuple(bytes(row) for row in code.matrix)


def runs(rows: Sequence[bytes]) -> Iterator[Run]:
    """What to fill, row by row."""
    for y, row in enumerate(rows):
        begin = row.find(1)
        while begin >= 0:
            end = row.find(0, begin)
            end = len(row) if end < 0 else end
            yield Run(begin, y, end - begin)
            begin = row.find(1, end)


def frame(text: str) -> bytes:
    """The code of `text` as a grey image (PGM), as a camera would see it held straight."""
    quiet = bytes(QUIET_MODULES)
    rows = [quiet + row + quiet for row in modules(text)]
    empty = [bytes(len(rows[0]))] * QUIET_MODULES
    grey = [
        bytes(0 if dark else 255 for dark in row for _ in range(FRAME_MODULE_PX))
        for row in (*empty, *rows, *empty)
        for _ in range(FRAME_MODULE_PX)
    ]
    return b"P5\n%d %d\n255\n" % (len(grey[0]), len(grey)) + b"".join(grey)
