"""Passes as somebody wants them: one from the command line, or a list in a CSV file.

Every mistake is found before the first pass is made: half a list that was printed is worse than
none, because nobody knows which half.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import NamedTuple, TypeVar

from checkin import passes
from checkin.passes import PASS_KINDS, PassKind
from checkin.words import _
from provisioning import sheet
from provisioning.sheet import Mistake, Row, Sheet, SheetError

# The columns, and how a desk in Viet Nam may head them; only the first must be there.
COLUMNS = {
    "holder": ("họ tên", "họ và tên"),
    "kind": ("loại",),
    "from": ("từ",),
    "until": ("đến",),
    "hours": ("số giờ",),
    "checkpoints": ("điểm kiểm dịch",),
    "form_number": ("số phiếu",),
}
NEEDED = "holder"
KINDS_ALSO: dict[str, PassKind] = {
    "khách": "visitor",
    "nhân viên": "staff",
    "thanh tra": "inspector",
}

HOURS = 12.0
LONGEST = timedelta(days=3660)
LONGEST_FORM_NUMBER = 20

# A day's worth of a large event; more in one go is a file of something else.
MOST_PASSES = 5000

_CHECKPOINT_BREAKS = re.compile(r"[\s,;|]+")
_CHECKPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d))?")

# What a spreadsheet takes for a formula when the list of passes is opened in one.
FORMULA = ("=", "+", "-", "@")


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pass that could be made. Times are in UTC; no checkpoints is all of them."""

    holder: str
    kind: PassKind
    begins: datetime
    ends: datetime
    checkpoints: tuple[str, ...] = ()
    form_number: str = ""


class Desk(NamedTuple):
    """By what is judged: when, in which time, and which checkpoints there are (none: any).

    `unprintable` returns the letters of a name that the paper can't have.
    """

    at: datetime
    utc_offset_h: float = 7.0
    checkpoints: frozenset[str] = frozenset()
    unprintable: Callable[[str], str] = "".format  # none

    @property
    def zone(self) -> timezone:
        return timezone(timedelta(hours=self.utc_offset_h))


class UnfitError(ValueError):
    """A value that makes no pass: its column, why, and the cure."""

    def __init__(self, column: str, value: str, why: str, cure: str) -> None:
        shown = f" {value!r}:" if value else ""
        super().__init__(f"{column}:{shown} {why}; {cure}")
        self.column, self.value, self.why, self.cure = column, value, why, cure


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file wants, and what is wrong with it: one of the two is empty."""

    wanted: tuple[Wanted, ...]
    mistakes: tuple[Mistake, ...]


def survey(content: bytes, desk: Desk) -> Survey:
    """What the CSV file `content` wants; all its mistakes, if it has any."""
    try:
        found = sheet.read(content, fewest_columns=1)  # names alone are a list
    except SheetError as error:
        return Survey((), (error.mistake,))
    places, mistakes = _header(found.header)
    mistakes += found.mistakes
    if not found.rows or len(found.rows) > MOST_PASSES:
        mistakes.append(_wrong_size(found))
    if mistakes:
        return Survey((), tuple(mistakes))
    judged = [one for row in found.rows for one in _judged(row, places, desk)]
    mistakes = [one for one in judged if isinstance(one, Mistake)]
    passes_ = () if mistakes else tuple(one for one in judged if isinstance(one, Wanted))
    return Survey(passes_, tuple(mistakes))


def one(cells: Mapping[str, str], desk: Desk) -> Wanted:
    """The pass that `cells`, by column, want. Raises `UnfitError` for the first that is wrong."""
    return Wanted(
        _holder(cells, desk),
        _kind(cells, desk),
        *_window(cells, desk),
        _checkpoints(cells, desk),
        _form_number(cells, desk),
    )


def tidy(name: str) -> str:
    """`name` in composed letters, with single spaces: two spellings of one name are one."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def _header(header: Row) -> tuple[dict[str, int], list[Mistake]]:
    """Where each column stands, and what is wrong with the header."""
    known = {name: column for column, also in COLUMNS.items() for name in (column, *also)}
    places: dict[str, int] = {}
    mistakes = []
    for place, cell in enumerate(header.cells):
        text = sheet.trimmed(cell).lower()
        column = known.get(text.replace(" ", "_"), known.get(text, ""))
        why = _("is no column of this list") if not column else _("is there twice")
        if column and column not in places:
            places[column] = place
        elif text:
            cure = _("keep one of each: {columns}").format(columns=", ".join(COLUMNS))
            letter = sheet.letter(place)
            mistakes.append(Mistake(header.line, cell.strip()[:60], letter, "", why, cure))
    if NEEDED not in places:
        cure = _("head the column with the names so")
        mistakes.append(Mistake(header.line, NEEDED, "", "", _("is missing"), cure))
    return places, mistakes


def _wrong_size(found: Sheet) -> Mistake:
    if not found.rows:
        line = found.header.line + 1
        return Mistake(line, "", "A", "", _("nobody is on the list"), _("write a row for each"))
    why = _("{count} passes in one file").format(count=len(found.rows))
    cure = _("write at most {most} into one").format(most=MOST_PASSES)
    return Mistake(found.rows[MOST_PASSES].line, "", "A", "", why, cure)


def _judged(row: Row, places: Mapping[str, int], desk: Desk) -> Sequence[Wanted | Mistake]:
    """The pass that a row wants, or everything that is wrong with it."""
    cells = {
        column: sheet.trimmed(row.cells[place])
        for column, place in places.items()
        if place < len(row.cells)
    }
    mistakes: list[Mistake] = []

    def tried(read: Callable[[Mapping[str, str], Desk], Value]) -> Value | None:
        try:
            return read(cells, desk)
        except UnfitError as unfit:
            letter = sheet.letter(places[unfit.column]) if unfit.column in places else ""
            mistakes.append(
                Mistake(row.line, unfit.column, letter, unfit.value, unfit.why, unfit.cure)
            )
            return None

    holder, kind, window = tried(_holder), tried(_kind), tried(_window)
    checkpoints, form_number = tried(_checkpoints), tried(_form_number)
    if (
        holder is None
        or kind is None
        or window is None
        or checkpoints is None
        or form_number is None
    ):
        return mistakes
    return [Wanted(holder, kind, *window, checkpoints, form_number)]


def _holder(row: Mapping[str, str], desk: Desk) -> str:
    holder = tidy(row.get("holder", ""))
    if not holder:
        raise UnfitError("holder", "", _("nobody's name"), _("write who it is for"))
    if len(holder) > passes.LONGEST_HOLDER:
        why = _("{count} characters").format(count=len(holder))
        cure = _("write at most {most}").format(most=passes.LONGEST_HOLDER)
        raise UnfitError("holder", holder, why, cure)
    if not holder.isprintable() or holder.startswith(FORMULA):
        raise UnfitError("holder", holder, _("is no name"), _("write it in plain letters"))
    if letters := desk.unprintable(holder):
        why = _("{letters} can't be printed").format(letters=repr(letters))
        cure = _("write it in Latin letters, as in a passport")
        raise UnfitError("holder", holder, why, cure)
    return holder


def _kind(row: Mapping[str, str], _desk: Desk) -> PassKind:
    text = row.get("kind", "").strip().lower()
    for kind in PASS_KINDS:
        if kind == (KINDS_ALSO.get(text, text) or "visitor"):
            return kind
    cure = _("write {kinds}").format(kinds=", ".join(PASS_KINDS))
    raise UnfitError("kind", text, _("is no kind of pass"), cure)


def _window(row: Mapping[str, str], desk: Desk) -> tuple[datetime, datetime]:
    """From when to when: the start or now, and either an end or some hours."""
    from_, until, hours = (row.get(name, "").strip() for name in ("from", "until", "hours"))
    if until and hours:
        why = _("there is an end and a number of hours")
        raise UnfitError("hours", hours, why, _("leave one of the two empty"))
    begins = _moment("from", from_, desk, end=False) if from_ else desk.at
    column, value = ("until", until) if until else ("from", from_)
    if max(begins, desk.at) - desk.at > LONGEST:
        raise UnfitError("from", from_, _("is more than ten years away"), _("write a nearer time"))
    ends = _moment("until", until, desk, end=True) if until else begins + _duration(hours)
    if ends <= begins:
        why = _("ends before it begins")
        raise UnfitError(column, value, why, _("write a later end"))
    if ends <= desk.at:
        raise UnfitError(column, value, _("is over already"), _("write a later time"))
    if ends - begins > LONGEST:
        raise UnfitError(column, value, _("lasts longer than ten years"), _("write a nearer end"))
    return begins, ends


def _duration(text: str) -> timedelta:
    try:
        hours = float(text.replace(",", ".")) if text else HOURS
    except ValueError:
        hours = 0.0
    if not 0 < hours <= LONGEST / timedelta(hours=1):  # NaN isn't either
        raise UnfitError("hours", text, _("is no number of hours"), _("write one such as 12"))
    return timedelta(hours=hours)


def _moment(column: str, text: str, desk: Desk, *, end: bool) -> datetime:
    """A day or a minute in the fleet's own time; an end that is a day is that day's end."""
    found = _TIME.fullmatch(text)
    try:
        day = date.fromisoformat(found[1] if found else "")
        at = time.fromisoformat(found[2] if found and found[2] else "00:00")
        moment = datetime.combine(day, at, desk.zone)
        whole_day = timedelta(days=1) if end and found and not found[2] else timedelta()
        return (moment + whole_day).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        cure = _("write {day} or {minute}").format(day="2026-12-01", minute="2026-12-01 07:30")
        raise UnfitError(column, text, _("is no day and no time"), cure) from error


def _checkpoints(row: Mapping[str, str], desk: Desk) -> tuple[str, ...]:
    text = row.get("checkpoints", "")
    places = tuple(dict.fromkeys(filter(None, _CHECKPOINT_BREAKS.split(text))))
    cure = _("write checkpoints of the inventory, with spaces between; or nothing, for all")
    if len(places) > passes.MOST_CHECKPOINTS:
        why = _("more than {most} checkpoints").format(most=passes.MOST_CHECKPOINTS)
        raise UnfitError("checkpoints", text, why, cure)
    for place in places:
        known = not desk.checkpoints or place in desk.checkpoints
        if not known or not _CHECKPOINT.fullmatch(place):
            raise UnfitError("checkpoints", place, _("is no checkpoint of this fleet"), cure)
    return places


def _form_number(row: Mapping[str, str], _desk: Desk) -> str:
    text = row.get("form_number", "").strip()
    if len(text) > LONGEST_FORM_NUMBER or not text.isprintable() or text.startswith(FORMULA):
        cure = _("write at most {most} letters and digits").format(most=LONGEST_FORM_NUMBER)
        raise UnfitError("form_number", text, _("is no number of a form"), cure)
    return text
