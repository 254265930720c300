"""The label on a kiosk: who it is, whom to call, and what its lights and blinks say.

100 × 148 mm: it fits a roll of 100 × 150 mm labels and a sheet of A6, both without scaling.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from checkin import blinks, marks
from checkin.words import _
from provisioning import qr
from provisioning.blink_words import LIGHTS, PARTS, STEPS
from provisioning.paper import SMALLEST_PT, STEP_PT, Paper, PaperError, Place

WIDTH_MM, HEIGHT_MM = 100.0, 148.0
MARGIN_MM = 5.0
INNER_MM = WIDTH_MM - 2 * MARGIN_MM
GAP_MM = 2.0

# For the telephone of whoever supports: a kiosk that sees it takes it for foreign, and the lights
# say so.
CODE_PREFIX = "VAORA:KIOSK:"
CODE_MM = 24.0
# Four modules around a code of at most 49.
QUIET_MM = 2.5

TEXT_PT = 7.0
TITLE_PT = 8.5

# Beside the code: the kiosk, the checkpoint, its name; below it whom to call.
ID_MM, CHECKPOINT_MM, NAME_MM, SUPPORT_MM = 8.5, 9.0, 8.5, 9.5
LIGHT_WIDTHS_MM = (31.0, 20.0, 39.0)
NUMBER_MM = 5.0
PARTS_MM, STEPS_MM = 40.0, 50.0
FOOT_MM = 6.5
TITLE_MM = 4.5
AIR_MM = 0.8  # between two rows, and two columns
LIGHTS_MM = 44.0  # at most


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on a label and on no other. `external_code` and `support` may be empty."""

    kiosk: str
    checkpoint: str
    name: str
    external_code: str = ""
    support: str = ""

    @property
    def code(self) -> str:
        return f"{CODE_PREFIX}{self.kiosk}:{self.checkpoint}"


def pdf(labels: Iterable[Label], *, at: datetime) -> bytes:
    """A page for each label, in the language in use. Raises `PaperError`."""
    paper = Paper(WIDTH_MM, HEIGHT_MM, title=_("Kiosk labels"), at=at)
    for label in labels:
        paper.begin_page()
        try:
            _draw(paper, label)
        except PaperError as error:
            raise PaperError(marks.joined(": ", [label.kiosk, marks.said(error)])) from error
    return paper.pdf()


def _draw(paper: Paper, label: Label) -> None:
    top = _lights(paper, _head(paper, label) + GAP_MM) + GAP_MM
    below = HEIGHT_MM - MARGIN_MM - FOOT_MM - GAP_MM - top
    parts = [PARTS[name] for name in blinks.PARTS]
    steps = [STEPS[name] for name in blinks.STEPS]
    _counted(paper, Place(MARGIN_MM, top, PARTS_MM, below), _("Self-test, red blinks"), parts)
    _counted(
        paper, Place(MARGIN_MM + PARTS_MM, top, STEPS_MM, below), _("First start, blinks"), steps
    )
    foot = Place(MARGIN_MM, HEIGHT_MM - MARGIN_MM - FOOT_MM, INNER_MM, FOOT_MM)
    asked = _("Self-test: hold the test button for two seconds, or show the printed test code.")
    paper.write(asked, foot, TEXT_PT)


def _head(paper: Paper, label: Label) -> float:
    """The kiosk and its checkpoint, the code beside them; returns where it ends."""
    code_left = WIDTH_MM - MARGIN_MM - QUIET_MM - CODE_MM
    paper.code(qr.modules(label.code), code_left, MARGIN_MM, CODE_MM)
    left, width = MARGIN_MM, code_left - QUIET_MM - MARGIN_MM
    where = _("Checkpoint {number}").format(number=label.checkpoint)
    if label.external_code:
        where += ", " + _("registered as {code}").format(code=label.external_code)
    down = paper.write(label.kiosk, Place(left, MARGIN_MM, width, ID_MM), 16, bold=True)
    down = paper.write(where, Place(left, down, width, CHECKPOINT_MM), TITLE_PT)
    paper.write(label.name, Place(left, down, width, NAME_MM), TITLE_PT)
    below = MARGIN_MM + CODE_MM + GAP_MM
    if label.support:
        called = _("Support: {contact}").format(contact=label.support)
        paper.write(called, Place(left, below, INNER_MM, SUPPORT_MM), 11, bold=True)
    return below + SUPPORT_MM


def _lights(paper: Paper, top: float) -> float:
    """What a visitor sees and hears; returns where it ends."""
    titles = (_("you see"), _("you hear"), _("it means"))
    place = Place(MARGIN_MM, top, INNER_MM, TITLE_MM)
    bottom = _table(paper, place, LIGHT_WIDTHS_MM, [titles], bold=(0, 1, 2))
    paper.line(MARGIN_MM, bottom, INNER_MM)
    rows = [[_(text) if text else "–" for text in row] for row in LIGHTS.values()]
    place = Place(MARGIN_MM, bottom + AIR_MM, INNER_MM, LIGHTS_MM)
    bottom = _table(paper, place, LIGHT_WIDTHS_MM, rows)
    paper.line(MARGIN_MM, bottom, INNER_MM)
    return bottom


def _counted(paper: Paper, place: Place, title: str, texts: Sequence[str]) -> None:
    """A list of what one, two, three … blinks mean."""
    left, top, width, height = place
    paper.write(title, Place(left, top, width, TITLE_MM), TITLE_PT, bold=True)
    rows = [(str(number), _(text)) for number, text in enumerate(texts, 1)]
    below = Place(left, top + TITLE_MM, width, height - TITLE_MM)
    _table(paper, below, (NUMBER_MM, width - NUMBER_MM), rows, bold=(0,))


def _table(
    paper: Paper,
    place: Place,
    widths_mm: Sequence[float],
    rows: Sequence[Sequence[str]],
    *,
    bold: Sequence[int] = (),
) -> float:
    """Rows of cells, the columns in `bold` bold, all in the largest size at which they fit.

    Another language has longer words: a cell may take several lines. Returns where it ends, mm.
    """
    size_pt, heights = TEXT_PT, _heights(paper, rows, widths_mm, TEXT_PT, bold)
    while sum(heights) > place.height_mm and size_pt > SMALLEST_PT:
        size_pt -= STEP_PT
        heights = _heights(paper, rows, widths_mm, size_pt, bold)
    top = place.top_mm
    for row, height in zip(rows, heights, strict=True):
        left = place.left_mm
        for number, (text, width) in enumerate(zip(row, widths_mm, strict=True)):
            cell = Place(left, top, width - AIR_MM, height)
            paper.write(text, cell, size_pt, bold=number in bold)
            left += width
        top += height
    return top


def _heights(
    paper: Paper,
    rows: Sequence[Sequence[str]],
    widths_mm: Sequence[float],
    size_pt: float,
    bold: Sequence[int],
) -> list[float]:
    """How high each row must be for its longest cell, with some air."""
    return [
        AIR_MM
        + max(
            paper.height_mm(text, width - AIR_MM, size_pt, bold=number in bold)
            for number, (text, width) in enumerate(zip(row, widths_mm, strict=True))
        )
        for row in rows
    ]
