"""Passes on paper: eight cards on a sheet of A4, to be cut along the pale lines.

Each code is 50 mm wide, as large as a hand likes to hold before the glass. What the card says in
words is for people: who it is for, until when, and the id by which it is called back.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

from checkin import marks
from checkin.words import N_, _, plural
from provisioning import qr
from provisioning.issuing import Pass
from provisioning.paper import Paper, PaperError, Place
from provisioning.passes_list import Row

PAGE_MM = (210.0, 297.0)
COLUMNS, ROWS = 2, 4
CARD_MM = (95.0, 68.0)  # leaves 10 mm all round, which every printer reaches
EDGE_MM = 4.0
PLACES_MM = 9.0  # for the checkpoints

CODE_MM = 50.0
# A quiet zone of four modules beside codes of 45 and more; our smallest has 53.
QUIET_MM = 4.5

# 0.43 mm a module: read from 8 to 15 cm before the glass (hardware.md).
MOST_MODULES = 117

KINDS = {
    "visitor": N_("Visitor's pass"),
    "staff": N_("Staff pass"),
    "inspector": N_("Inspector's pass"),
}


def pdf(made: Sequence[Pass], *, fleet: str, zone: timezone, at: datetime) -> bytes:
    """The sheets for `made`, in the language in use. Raises `PaperError`."""
    paper = Paper(*PAGE_MM, title=_("Passes of {fleet}").format(fleet=fleet), at=at)
    for number, one in enumerate(made):
        on_page = number % (COLUMNS * ROWS)
        if on_page == 0:
            paper.begin_page()
        _draw(paper, one, card(on_page), fleet=fleet, zone=zone)
    return paper.pdf()


def card(number: int) -> Place:
    """Where card `number` of a page lies: 0 is the upper left one, 1 beside it."""
    width, height = CARD_MM
    left = (PAGE_MM[0] - COLUMNS * width) / 2 + number % COLUMNS * width
    top = (PAGE_MM[1] - ROWS * height) / 2 + number // COLUMNS * height
    return Place(left, top, width, height)


def modules(one: Pass) -> tuple[bytes, ...]:
    """The code of a pass. Raises `PaperError` for one too fine for a kiosk's camera."""
    try:
        rows = qr.modules(one.text)
    except qr.TooMuchError as error:
        raise PaperError(
            marks.text(
                "{holder!r}: {why}; name fewer checkpoints",
                holder=one.row.holder,
                why=marks.said(error),
            )
        ) from error
    if len(rows) > MOST_MODULES:
        raise PaperError(
            marks.text(
                "{holder!r}: {count} characters make a code too fine for a kiosk's camera; "
                "name fewer checkpoints, or write the name shorter",
                holder=one.row.holder,
                count=len(one.text),
            )
        )
    return rows


def _draw(paper: Paper, one: Pass, place: Place, *, fleet: str, zone: timezone) -> None:
    paper.frame(place)
    code_left = place.left_mm + place.width_mm - QUIET_MM - CODE_MM
    code_top = place.top_mm + (place.height_mm - CODE_MM) / 2
    paper.code(modules(one), code_left, code_top, CODE_MM)
    left, down = place.left_mm + EDGE_MM, place.top_mm + EDGE_MM
    width = code_left - QUIET_MM - left
    for text, size_pt, height, bold in _texts(paper, one.row, width, zone):
        down = 0.6 + paper.write(text, Place(left, down, width, height), size_pt, bold=bold)
    bottom = place.top_mm + place.height_mm - EDGE_MM
    paper.write(one.row.pass_id, Place(left, bottom - 11.6, width, 2.7), 6)
    paper.write(fleet, Place(left, bottom - 8.9, width, 8.9), 6)


def _texts(
    paper: Paper, row: Row, width_mm: float, zone: timezone
) -> Iterator[tuple[str, float, float, bool]]:
    """The lines of a card: text, size in points, height in mm that it may take, whether bold."""
    yield _(KINDS[row.kind]), 11, 7, True
    yield row.holder, 11, 15.5, False
    yield _("from {time}").format(time=_time(row.begins, zone)), 7.5, 3.4, False
    yield _("until {time}").format(time=_end(row.ends, zone)), 7.5, 3.4, True
    yield _at(paper, row.checkpoints.split(), width_mm), 7.5, PLACES_MM, False
    if row.form_number:
        yield _("form {number}").format(number=row.form_number), 7.5, 4.5, False


def _at(paper: Paper, places: list[str], width_mm: float) -> str:
    """Where the pass counts: all places that there is room for, else how many."""
    if not places:
        return _("at every checkpoint")
    named = _("at {places}").format(places=" ".join(places))
    if paper.has_room(named, width_mm, PLACES_MM):
        return named
    return plural("at {count} checkpoint", "at {count} checkpoints", len(places)).format(
        count=len(places)
    )


def _time(at: datetime, zone: timezone) -> str:
    """In the order of the day and of Viet Nam: 07:30 01/12/2026."""
    return f"{at.astimezone(zone):%H:%M %d/%m/%Y}"


def _end(at: datetime, zone: timezone) -> str:
    """A day's end is 24:00 of that day: who reads 00:00 and the next one comes a day too late."""
    local = at.astimezone(zone)
    if (local.hour, local.minute) != (0, 0):
        return _time(at, zone)
    return f"24:00 {local - timedelta(days=1):%d/%m/%Y}"
