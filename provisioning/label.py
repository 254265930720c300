"""The label on a kiosk: who it is, whom to call, and what its lights and blinks say.

100 × 148 mm: it fits a roll of 100 × 150 mm labels and a sheet of A6, both without scaling.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from checkin import blinks
from checkin.words import _
from provisioning import qr
from provisioning.blink_words import LIGHTS, PARTS, STEPS
from provisioning.paper import Paper, Place, line_mm

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
ID_MM, CHECKPOINT_MM, NAME_MM, SUPPORT_MM = 8.5, 7.5, 9.0, 9.5
LIGHT_WIDTHS_MM = (27.0, 24.0, 39.0)
NUMBER_MM = 5.0
FOOT_MM = 6.5
ROW_MM = line_mm(TEXT_PT) + 0.9


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
        _draw(paper, label)
    return paper.pdf()


def _draw(paper: Paper, label: Label) -> None:
    top = _lights(paper, _head(paper, label) + GAP_MM) + GAP_MM
    half = INNER_MM / 2
    below = HEIGHT_MM - MARGIN_MM - FOOT_MM - top
    parts = [PARTS[name] for name in blinks.PARTS]
    steps = [STEPS[name] for name in blinks.STEPS]
    _counted(paper, Place(MARGIN_MM, top, half - GAP_MM, below), _("Self-test, red blinks"), parts)
    _counted(paper, Place(MARGIN_MM + half, top, half, below), _("First start, blinks"), steps)
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
    titles = (_("light"), _("sound"), _("meaning"))
    bottom = _row(paper, titles, top, bold=True)
    paper.line(MARGIN_MM, bottom, INNER_MM)
    for row in LIGHTS.values():
        bottom = _row(paper, [_(text) if text else "–" for text in row], bottom)
    paper.line(MARGIN_MM, bottom, INNER_MM)
    return bottom


def _row(paper: Paper, texts: Sequence[str], top: float, *, bold: bool = False) -> float:
    """A line of the table, each text in its column."""
    left = MARGIN_MM
    for text, width in zip(texts, LIGHT_WIDTHS_MM, strict=True):
        paper.write(text, Place(left, top, width - 1, ROW_MM), TEXT_PT, bold=bold)
        left += width
    return top + ROW_MM


def _counted(paper: Paper, place: Place, title: str, texts: Sequence[str]) -> None:
    """A list of what one, two, three … blinks mean."""
    left, top, width, height = place
    line = min(ROW_MM, height / (1 + len(texts)))
    paper.write(title, Place(left, top, width, line), TITLE_PT, bold=True)
    for number, text in enumerate(texts, 1):
        down = top + number * line
        paper.write(str(number), Place(left, down, NUMBER_MM, line), TEXT_PT, bold=True)
        paper.write(_(text), Place(left + NUMBER_MM, down, width - NUMBER_MM, line), TEXT_PT)
