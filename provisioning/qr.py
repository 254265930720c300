"""Codes that we print: by segno."""

import io

import segno

# Level Q survives a quarter of its modules lost: a pass lives in a pocket for a day.
LEVEL = "q"
MODULE_PX = 8


def svg(text: str) -> str:
    """The code of `text` as an SVG drawing, with its quiet zone of four modules."""
    out = io.BytesIO()
    code = segno.make(text, error=LEVEL, boost_error=False, micro=False)
    code.save(out, kind="svg", scale=MODULE_PX, border=4)
    return out.getvalue().decode("utf-8")
