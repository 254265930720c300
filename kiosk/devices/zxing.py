"""The first engine: zxing-cpp. Fast, and reads most of what can be read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import zxingcpp
from zxingcpp import Barcode, BarcodeFormat, BarcodeFormats, Binarizer, TextMode

from kiosk.ports import Code, Corners

if TYPE_CHECKING:
    from kiosk.ports import Grey

# Not plain `QRCode`: that includes Micro QR, whose phantoms come out of pictures without a code.
FORMATS = BarcodeFormats([BarcodeFormat.QRCodeModel2])


class Zxing:
    """zxing-cpp with one way of telling black from white.

    `try_downscale` and `try_invert` stay on: without the first, codes on screens are lost (17
    read, then 1), without the second those of dark-mode phones. `try_rotate` changes nothing for
    QR codes.
    """

    def __init__(self, binarizer: Binarizer = Binarizer.LocalAverage) -> None:
        self._binarizer = binarizer

    def read(self, grey: "Grey") -> Sequence[Code]:
        return self.look(grey)[0]

    def look(self, grey: "Grey") -> tuple[Sequence[Code], Sequence[Corners]]:
        """The codes that were read, and where one was found that couldn't be; at no extra cost."""
        found = zxingcpp.read_barcodes(
            grey,
            formats=FORMATS,
            try_rotate=False,
            text_mode=TextMode.Plain,
            binarizer=self._binarizer,
            return_errors=True,
        )
        read = [_code(barcode) for barcode in found if barcode.valid]
        return read, [_corners(barcode) for barcode in found if not barcode.valid]


def local() -> Zxing:
    """Black and white by the neighbourhood: for uneven light. The better one on its own."""
    return Zxing(Binarizer.LocalAverage)


def overall() -> Zxing:
    """Black and white by the whole image: reads some that the other can't."""
    return Zxing(Binarizer.GlobalHistogram)


def _code(barcode: Barcode) -> Code:
    payload = bytes(barcode.bytes)
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        text = barcode.text
    return Code(payload, text, _corners(barcode))


def _corners(barcode: Barcode) -> Corners:
    at = barcode.position
    return (
        (at.top_left.x, at.top_left.y),
        (at.top_right.x, at.top_right.y),
        (at.bottom_right.x, at.bottom_right.y),
        (at.bottom_left.x, at.bottom_left.y),
    )
