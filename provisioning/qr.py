"""Codes that we print: by segno."""

import io

import segno

# Level Q survives a quarter of its modules lost: a pass lives in a pocket for a day.
LEVEL = "q"
MODULE_PX = 8
FRAME_MODULE_PX = 6


def svg(text: str) -> str:
    """The code of `text` as an SVG drawing, with its quiet zone of four modules."""
    out = io.BytesIO()
    code = segno.make(text, error=LEVEL, boost_error=False, micro=False)
    code.save(out, kind="svg", scale=MODULE_PX, border=4)
    return out.getvalue().decode("utf-8")


def frame(text: str) -> bytes:
    """The code of `text` as a grey image (PGM), as a camera would see it held straight."""
    code = segno.make(text, error=LEVEL, boost_error=False, micro=False)
    rows = [
        bytes(0 if dark else 255 for dark in row)
        for row in code.matrix_iter(scale=FRAME_MODULE_PX, border=4)
    ]
    return b"P5\n%d %d\n255\n" % (len(rows[0]), len(rows)) + b"".join(rows)
