"""The second engine: zbar, by pyzbar's bindings.

`pyzbar.decode` isn't used: it makes a new scanner for each image, has no binary mode (so that
zbar guesses Shift-JIS and Big5 for Vietnamese names: 255 of 1,000 survive), and raises
`ValueError` at every code of a structured append.
"""

from collections.abc import Iterator, Sequence
from ctypes import c_char, c_void_p, cast, string_at
from typing import TYPE_CHECKING, Any

from kiosk.ports import Code, DecoderError

if TYPE_CHECKING:
    from kiosk.ports import Grey

# zbar.h of 0.23: ZBAR_CFG_BINARY, which pyzbar's table lacks (there 4 is called CFG_NUM).
CFG_BINARY = 4

# zbar_image_set_format(3): one byte of grey a pixel.
Y800 = int.from_bytes(b"Y800", "little")


class Zbar:
    """One zbar scanner for QR codes, in binary mode.

    Raises `DecoderError` where the shared library isn't installed (Debian: libzbar0).
    """

    def __init__(self) -> None:
        try:
            from pyzbar import wrapper  # noqa: PLC0415  loads libzbar, which may not be there
        except (ImportError, OSError) as error:
            raise DecoderError("zbar isn't installed: apt install libzbar0") from error
        self._zbar: Any = wrapper
        self._qr = int(wrapper.ZBarSymbol.QRCODE)
        self._scanner = wrapper.zbar_image_scanner_create()
        enable = int(wrapper.ZBarConfig.CFG_ENABLE)
        # 0 means every symbology: all off, then one on. The others only make assertion noise.
        wrapper.zbar_image_scanner_set_config(self._scanner, 0, enable, 0)
        wrapper.zbar_image_scanner_set_config(self._scanner, self._qr, enable, 1)
        if wrapper.zbar_image_scanner_set_config(self._scanner, self._qr, CFG_BINARY, 1) != 0:
            raise DecoderError("this libzbar knows no binary mode: 0.23 or newer is needed")

    def read(self, grey: "Grey") -> Sequence[Code]:
        zbar = self._zbar
        height, width = grey.shape
        pixels = grey.tobytes()  # zbar knows no row stride; a copy costs 1 % of its scan
        image = zbar.zbar_image_create()
        try:
            zbar.zbar_image_set_format(image, Y800)
            zbar.zbar_image_set_size(image, width, height)
            held = (c_char * len(pixels)).from_buffer_copy(pixels)
            zbar.zbar_image_set_data(image, cast(held, c_void_p), len(pixels), None)
            if zbar.zbar_scan_image(self._scanner, image) < 0:
                raise DecoderError(f"zbar can't scan an image of {width} × {height} pixels")
            return [self._code(symbol) for symbol in self._symbols(image)]
        finally:
            zbar.zbar_image_destroy(image)

    def _symbols(self, image: Any) -> Iterator[Any]:  # noqa: ANN401  ctypes
        symbol = self._zbar.zbar_image_first_symbol(image)
        while symbol:
            if symbol.contents.type == self._qr:
                yield symbol
            symbol = self._zbar.zbar_symbol_next(symbol)

    def _code(self, symbol: Any) -> Code:  # noqa: ANN401
        zbar = self._zbar
        length = zbar.zbar_symbol_get_data_length(symbol)
        payload = string_at(zbar.zbar_symbol_get_data(symbol), length)
        points = [
            (zbar.zbar_symbol_get_loc_x(symbol, i), zbar.zbar_symbol_get_loc_y(symbol, i))
            for i in range(zbar.zbar_symbol_get_loc_size(symbol))
        ]
        # zbar goes round the other way: upper left, lower left, lower right, upper right.
        upper_left, lower_left, lower_right, upper_right = (points * 4)[:4] if points else _NOWHERE
        corners = (upper_left, upper_right, lower_right, lower_left)
        return Code(payload, payload.decode("utf-8", errors="replace"), corners)


_NOWHERE = [(0, 0)] * 4
