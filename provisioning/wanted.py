"""Passes as somebody wants them: one from the command line, or a list in a CSV file.

Every mistake is found before the first pass is made: half a list that was printed is worse than
none, because nobody knows which half.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import NamedTuple

from checkin import passes
from checkin.passes import PASS_KINDS, PassKind
from checkin.words import _

COLUMNS = ("holder", "kind", "from", "until", "hours", "checkpoints", "form_number")
NEEDED = ("holder",)

# How a desk in Viet Nam may head the columns, and name the kinds.
ALSO = {
    "họ tên": "holder",
    "họ và tên": "holder",
    "loại": "kind",
    "từ": "from",
    "đến": "until",
    "số giờ": "hours",
    "điểm kiểm dịch": "checkpoints",
    "số phiếu": "form_number",
}
KINDS_ALSO: dict[str, PassKind] = {
    "khách": "visitor",
    "nhân viên": "staff",
    "thanh tra": "inspector",
}

HOURS = 12.0
LONGEST_HOURS = 24.0 * 3660
LONGEST_FORM_NUMBER = 20
LONGEST_CHECKPOINT = 64

# A day's worth of a large event; more in one go is a file of something else.
MOST_PASSES = 5000

_CHECKPOINT_BREAKS = re.compile(r"[\s,;|]+")
_CHECKPOINT = re.compile(r"[0-9A-Za-z._-]{1,64}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d))?")

# What a spreadsheet takes for a formula when the list of passes is opened in one.
FORMULA = ("=", "+", "-", "@")


class Mistake(NamedTuple):
    """One thing that is wrong: where, with which value, why, and what to write instead."""

    line: int
    column: str
    value: str
    why: str
    cure: str

    def in_words(self, file: str) -> str:
        place = _("{file}: line {line}, {column}").format(
            file=file, line=self.line, column=self.column
        )
        return f"{place}: {self.value!r}: {self.why}; {self.cure}"


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
    """By what is judged: when, in which time, and which checkpoints there are (none: any)."""

    at: datetime
    utc_offset_h: float = 7.0
    checkpoints: frozenset[str] = frozenset()

    @property
    def zone(self) -> timezone:
        return timezone(timedelta(hours=self.utc_offset_h))


class UnfitError(ValueError):
    """A value that makes no pass: its column, why, and the cure."""

    def __init__(self, column: str, value: str, why: str, cure: str) -> None:
        super().__init__(f"{column}: {value!r}: {why}; {cure}")
        self.column, self.value, self.why, self.cure = column, value, why, cure


def judge(rows: Sequence[tuple[int, Mapping[str, str]]], desk: Desk) -> list[Wanted | Mistake]:
    """What each row (its line in the file, its values by column) wants; all mistakes of each."""
    if len(rows) > MOST_PASSES:
        why = _("{count} passes in one file").format(count=len(rows))
        cure = _("write at most {most} into one").format(most=MOST_PASSES)
        return [Mistake(rows[MOST_PASSES][0], "", "", why, cure)]
    return [found for line, row in rows for found in _judged(line, row, desk)]


def _judged(line: int, row: Mapping[str, str], desk: Desk) -> Iterator[Wanted | Mistake]:
    mistakes = []
    found: dict[str, object] = {}
    for read in (_holder, _kind, _window, _checkpoints, _form_number):
        try:
            found |= read(row, desk)
        except UnfitError as unfit:
            mistakes.append(Mistake(line, unfit.column, unfit.value, unfit.why, unfit.cure))
    yield from mistakes
    if not mistakes:
        yield Wanted(**found)  # type: ignore[arg-type]  each reader gives the fields it is named for


def wanted(row: Mapping[str, str], desk: Desk) -> Wanted:
    """The one pass that `row` wants. Raises `UnfitError` for the first thing that is wrong."""
    for found in _judged(1, row, desk):
        if isinstance(found, Wanted):
            return found
        raise UnfitError(found.column, found.value, found.why, found.cure)
    raise AssertionError


def _holder(row: Mapping[str, str], _desk: Desk) -> dict[str, object]:
    holder = unicodedata.normalize("NFC", " ".join(row.get("holder", "").split()))
    if not holder:
        raise UnfitError("holder", "", _("nobody's name"), _("write who it is for"))
    if len(holder) > passes.LONGEST_HOLDER:
        why = _("{count} characters").format(count=len(holder))
        cure = _("write at most {most}").format(most=passes.LONGEST_HOLDER)
        raise UnfitError("holder", holder, why, cure)
    if not holder.isprintable() or holder.startswith(FORMULA):
        raise UnfitError("holder", holder, _("is no name"), _("write it in plain letters"))
    return {"holder": holder}


def _kind(row: Mapping[str, str], _desk: Desk) -> dict[str, object]:
    text = row.get("kind", "").strip().lower()
    kind = KINDS_ALSO.get(text, text) or "visitor"
    if kind not in PASS_KINDS:
        cure = _("write {kinds}").format(kinds=", ".join(PASS_KINDS))
        raise UnfitError("kind", row["kind"], _("is no kind of pass"), cure)
    return {"kind": kind}


def _window(row: Mapping[str, str], desk: Desk) -> dict[str, object]:
    """From when to when: the start or now, and either an end or some hours."""
    from_, until, hours = (row.get(name, "").strip() for name in ("from", "until", "hours"))
    if until and hours:
        why = _("there is an end and a number of hours")
        raise UnfitError("hours", hours, why, _("leave one of the two empty"))
    begins = _moment("from", from_, desk, end=False) if from_ else desk.at
    if until:
        ends = _moment("until", until, desk, end=True)
    else:
        ends = begins + timedelta(hours=_hours(hours))
    column, value = ("until", until) if until else ("from", from_)
    if ends <= begins:
        why = _("ends before it begins")
        raise UnfitError(column, value, why, _("write a later end"))
    if ends <= desk.at:
        raise UnfitError(column, value, _("is over already"), _("write a later time"))
    if ends - begins > timedelta(hours=LONGEST_HOURS):
        raise UnfitError(column, value, _("lasts longer than ten years"), _("write a nearer end"))
    return {"begins": begins, "ends": ends}


def _hours(text: str) -> float:
    try:
        hours = float(text.replace(",", ".")) if text else HOURS
    except ValueError:
        hours = 0.0
    if not 0 < hours <= LONGEST_HOURS:  # NaN isn't either
        raise UnfitError("hours", text, _("is no number of hours"), _("write one such as 12"))
    return hours


def _moment(column: str, text: str, desk: Desk, *, end: bool) -> datetime:
    """A day or a minute in the fleet's own time; an end that is a day is that day's end."""
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        day = date.fromisoformat(found[1])
        at = time.fromisoformat(found[2]) if found[2] else time()
        moment = datetime.combine(day, at, desk.zone)
        whole_day = timedelta(days=1) if end and not found[2] else timedelta()
        return (moment + whole_day).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        cure = _("write {day} or {minute}").format(day="2026-12-01", minute="2026-12-01 07:30")
        raise UnfitError(column, text, _("is no day and no time"), cure) from error


def _checkpoints(row: Mapping[str, str], desk: Desk) -> dict[str, object]:
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
    return {"checkpoints": places}


def _form_number(row: Mapping[str, str], _desk: Desk) -> dict[str, object]:
    text = row.get("form_number", "").strip()
    if len(text) > LONGEST_FORM_NUMBER or not text.isprintable() or text.startswith(FORMULA):
        cure = _("write at most {most} letters and digits").format(most=LONGEST_FORM_NUMBER)
        raise UnfitError("form_number", text, _("is no number of a form"), cure)
    return {"form_number": text}
