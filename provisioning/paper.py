"""Sheets to print: PDF by fpdf2, and its picture by pypdfium2 and Pillow.

The three come with `pip install 'vaora[paper]'` and are imported when the first sheet is made: a
kiosk's own environment has none of them, and prints nothing.
"""

import io
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from checkin import marks
from provisioning import qr

if TYPE_CHECKING:
    from fpdf import FPDF

# A font with every Vietnamese letter, which Debian, Ubuntu and Raspberry Pi OS all have.
FONTS = Path("/usr/share/fonts/truetype/dejavu")
REGULAR = "DejaVuSans.ttf"
BOLD = "DejaVuSans-Bold.ttf"
FAMILY = "dejavu"

# Millimetres a point; and a line's height in letters' heights, as Vietnamese marks need it.
POINT_MM = 25.4 / 72
LINE = 1.25

# Text that is too long for its place becomes smaller, down to what is still read at arm's length.
SMALLEST_PT = 5.0
STEP_PT = 0.5

# The dark modules of a row reach a little into the next one: a viewer that smooths edges would
# else draw a pale line between the two.
OVERLAP = 1.03

# Written from right to left, or joined: fpdf2 would put such letters down wrongly.
RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})

MORE = "pip install 'vaora[paper]'"


class PaperError(ValueError):
    """A sheet can't be made; the message says why, and what to do.

    It is a `Text`: the paper is in the language of who reads it, a mistake in that of who prints.
    """


class Place(NamedTuple):
    """A rectangle on the page, from its upper left corner."""

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float


class Paper:
    """Pages of one size, on which texts, lines and codes are put."""

    def __init__(self, width_mm: float, height_mm: float, *, title: str, at: datetime) -> None:
        self._pdf: FPDF = _fpdf().FPDF(unit="mm", format=(width_mm, height_mm))
        self._pdf.set_auto_page_break(auto=False)
        self._pdf.set_margin(0)
        self._pdf.c_margin = 0  # a text's place is the text's, to the edge
        self._pdf.set_title(title)
        self._pdf.set_creation_date(at)
        _add_fonts(self._pdf)

    def begin_page(self) -> None:
        self._pdf.add_page()

    def write(
        self, text: str, place: Place, size_pt: float, *, bold: bool = False, align: str = "L"
    ) -> float:
        """Put `text` into `place`, in lines; smaller where it is long. Returns where it ends, mm.

        Raises `PaperError` where it fits in no size that can be read, or can't be written at all.
        """
        if missing := unprintable(text):
            raise PaperError(
                marks.text(
                    "{text!r}: {missing!r} can't be printed; write it in Latin letters, as in "
                    "a passport",
                    text=text,
                    missing=missing,
                )
            )
        size_pt, lines = self._fitted(text, place.width_mm, place.height_mm, size_pt, bold=bold)
        if not lines:
            raise PaperError(
                marks.text(
                    "{text!r}: is too long for its place on the paper; write it shorter", text=text
                )
            )
        height_mm = line_mm(size_pt)
        for number, line in enumerate(lines):
            self._pdf.set_xy(place.left_mm, place.top_mm + number * height_mm)
            self._pdf.cell(place.width_mm, height_mm, line, align=align)
        return place.top_mm + len(lines) * height_mm

    def has_room(self, text: str, width_mm: float, height_mm: float) -> bool:
        """Whether `text` can be written, if need be in the smallest size."""
        return bool(self._fitted(text, width_mm, height_mm, SMALLEST_PT)[1])

    def height_mm(self, text: str, width_mm: float, size_pt: float, *, bold: bool) -> float:
        """How high `text` is in this size, in lines of this width."""
        self._pdf.set_font(FAMILY, "B" if bold else "", size_pt)
        return len(self._lines(text, width_mm, "WORD")) * line_mm(size_pt)

    def _fitted(
        self, text: str, width_mm: float, height_mm: float, size_pt: float, *, bold: bool = False
    ) -> tuple[float, list[str]]:
        """The size and the lines of `text`; no lines where it fits in no size that can be read."""
        while size_pt >= SMALLEST_PT:
            # In the smallest size even in the middle of words: long ids have no place to break.
            for wrap in ("WORD", "CHAR") if size_pt < SMALLEST_PT + STEP_PT else ("WORD",):
                self._pdf.set_font(FAMILY, "B" if bold else "", size_pt)
                lines = self._lines(text, width_mm, wrap)
                # A hundredth of a millimetre for the sums of floating numbers.
                if len(lines) * line_mm(size_pt) <= height_mm + 0.01:
                    return size_pt, lines
            size_pt -= STEP_PT
        return SMALLEST_PT, []

    def _lines(self, text: str, width_mm: float, wrap: str) -> list[str]:
        if self._pdf.get_string_width(text) <= width_mm:
            return [text]  # the usual case, ten times as fast
        mode = _fpdf().enums.WrapMode(wrap)
        lines = self._pdf.multi_cell(
            width_mm, text=text, align="L", wrapmode=mode, dry_run=True, output="LINES"
        )
        return [str(line).strip() for line in lines] if isinstance(lines, list) else [text]

    def code(self, rows: Sequence[bytes], left_mm: float, top_mm: float, side_mm: float) -> None:
        """Draw a code, `side_mm` from its first dark module to its last: without a quiet zone."""
        module_mm = side_mm / len(rows)
        filled = _fpdf().enums.RenderStyle.F  # by its letter a third slower, at 900 runs a code
        self._pdf.set_fill_color(0)
        for run in qr.runs(rows):
            self._pdf.rect(
                left_mm + run.x * module_mm,
                top_mm + run.y * module_mm,
                run.length * module_mm,
                module_mm * (OVERLAP if run.y + 1 < len(rows) else 1.0),
                style=filled,
            )

    def line(self, left_mm: float, top_mm: float, width_mm: float, width_pt: float = 0.5) -> None:
        """A line from left to right."""
        self._pdf.set_draw_color(0)
        self._pdf.set_line_width(width_pt * POINT_MM)
        self._pdf.line(left_mm, top_mm, left_mm + width_mm, top_mm)

    def frame(self, place: Place) -> None:
        """A pale line around `place`: where to cut."""
        self._pdf.set_draw_color(170)
        self._pdf.set_line_width(0.1)
        self._pdf.rect(*place)

    def pdf(self) -> bytes:
        return bytes(self._pdf.output())


def line_mm(size_pt: float) -> float:
    """How much of the page's height a line takes."""
    return size_pt * POINT_MM * LINE


def picture(pdf: bytes, dpi: int) -> bytes:
    """The first page of `pdf` as a PNG."""
    document = _pdfium().PdfDocument(pdf)
    try:
        image = document[0].render(scale=dpi / 72, grayscale=True).to_pil()
        out = io.BytesIO()
        image.save(out, format="PNG", dpi=(dpi, dpi))
        return out.getvalue()
    finally:
        document.close()


def unprintable(text: str) -> str:
    """Those of the letters in `text` that can't be printed as they should be."""
    letters = _letters(FONTS)
    return "".join(
        dict.fromkeys(
            each
            for each in text
            if ord(each) not in letters
            or not each.isprintable()
            or unicodedata.bidirectional(each) in RIGHT_TO_LEFT
        )
    )


@cache
def _letters(_fonts: Path) -> frozenset[int]:
    """Those that both fonts have."""
    pdf = _fpdf().FPDF()
    _add_fonts(pdf)
    return frozenset(pdf.fonts[FAMILY].cmap) & frozenset(pdf.fonts[FAMILY + "B"].cmap)


def _add_fonts(pdf: "FPDF") -> None:
    for style, name in (("", REGULAR), ("B", BOLD)):
        file = FONTS / name
        try:
            pdf.add_font(FAMILY, style, file)
        except OSError as error:
            raise PaperError(
                marks.text(
                    "{file}: is missing, and with it the Vietnamese letters; install it: sudo "
                    "apt install fonts-dejavu-core",
                    file=file,
                )
            ) from error


def _fpdf() -> Any:  # noqa: ANN401  a module
    try:
        import fpdf  # noqa: PLC0415  see the module's docstring
    except ImportError as error:
        raise _not_installed("fpdf2") from error
    return fpdf


def _pdfium() -> Any:  # noqa: ANN401  a module
    try:
        import PIL.Image  # noqa: F401, PLC0415  `to_pil` needs it
        import pypdfium2  # noqa: PLC0415
    except ImportError as error:
        raise _not_installed("pypdfium2") from error
    return pypdfium2


def _not_installed(name: str) -> PaperError:
    return PaperError(
        marks.text(
            "nothing can be printed without {name}; install it: {more}", name=name, more=MORE
        )
    )
