"""`passes.csv`: the passes that were given out, and which of them were called back.

A table that a person may open. It names visitors: only its owner reads it, and a name goes when its
pass is over and nobody needs it any more. It is replaced whole, by one process at a time: two desks
that give out passes at once lose none.
"""

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from checkin import whole
from checkin.passes import PassKind
from checkin.words import N_, _, of_system

# A hundred thousand passes take 15 MB; a longer file isn't ours.
LONGEST_FILE_BYTES = 64 * 1024 * 1024

# How long a pass that was called back stays on the kiosks' list after it has ended: a kiosk whose
# clock is behind may still take it for valid.
REVOKED_FOR = timedelta(days=30)

State = Literal["valid", "not yet", "over", "called back"]
STATES: dict[State, str] = {
    "valid": N_("valid"),
    "not yet": N_("not yet"),
    "over": N_("over"),
    "called back": N_("called back"),
}


class PassesError(ValueError):
    """The list of passes can't be used; the message says why, and what to do."""


# Eight bytes, as `checkin.passes` has them.
PassId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


Moment = Annotated[datetime, Meta(tz=True)]


class Row(msgspec.Struct, frozen=True, rename={"begins": "from", "ends": "until"}):
    """A pass in the list. Times are ISO 8601 in UTC; an empty `checkpoints` is all of them."""

    pass_id: PassId
    kind: PassKind
    holder: str
    begins: Moment
    ends: Moment
    checkpoints: str
    form_number: str
    issued_at: Moment
    revoked_at: str = ""  # empty: it counts

    def state(self, at: datetime) -> State:
        if self.revoked_at:
            return "called back"
        if at >= self.ends:
            return "over"
        return "valid" if at >= self.begins else "not yet"

    def needs_revoking(self, at: datetime) -> bool:
        """Whether kiosks must be told that it was called back."""
        return bool(self.revoked_at) and at < self.ends + REVOKED_FOR


HEADER = (
    "pass_id", "kind", "holder", "from", "until", "checkpoints", "form_number", "issued_at",
    "revoked_at",
)  # fmt: skip


def read(file: Path) -> list[Row]:
    """The list in `file`; a file that isn't there is an empty one. Raises `PassesError`."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PassesError(
            _(
                "{file}: can't be read ({why}); do it as the user whose folder it is, or "
                "put a copy of before there"
            ).format(file=file, why=of_system(error))
        ) from error
    if len(raw) > LONGEST_FILE_BYTES:
        raise PassesError(
            _("{file}: is longer than any list of passes; put the right file there").format(
                file=file
            )
        )
    return _rows(file, raw)


def revoked(file: Path, at: datetime) -> list[str]:
    """The ids for the kiosks' list of revocations, sorted. Raises `PassesError`."""
    return sorted(row.pass_id for row in read(file) if row.needs_revoking(at))


def add(file: Path, rows: Sequence[Row]) -> None:
    """Put `rows` at the end, all or none. Raises `PassesError`."""
    change(file, lambda before: [*before, *rows])


def change(file: Path, new: Callable[[list[Row]], list[Row]]) -> None:
    """Replace the list by what `new` makes of it, while nobody else does. Raises `PassesError`."""
    try:
        with _alone(file):
            before = read(file)
            after = new(before)
            if after != before:
                whole.write(file, _text(after).encode(), mode=0o600)
    except OSError as error:
        raise PassesError(
            _(
                "{file}: can't be written ({why}), and nothing was changed; make room, "
                "or do it as the user whose folder it is"
            ).format(file=file, why=of_system(error))
        ) from error


def chosen(rows: Sequence[Row], ids: frozenset[str], *, batch: bool = False) -> list[Row]:
    """The rows with `ids`; with `batch` those too that were issued in one go with them.

    Raises `PassesError` for an id that isn't there.
    """
    strange = ids - {row.pass_id for row in rows}
    if strange:
        raise PassesError(
            _(
                "{pass_id!r}: no pass of this fleet has that id; `vaora-provision pass list` "
                "shows them"
            ).format(pass_id=min(strange))
        )
    times = {row.issued_at for row in rows if row.pass_id in ids} if batch else set()
    return [row for row in rows if row.pass_id in ids or row.issued_at in times]


def called_back(
    rows: Sequence[Row], *, ids: frozenset[str], holder: str, at: datetime
) -> list[Row]:
    """`rows`, those with one of `ids` or of `holder` called back. Raises `PassesError`."""
    chosen(rows, ids)
    if holder and not any(row.holder == holder for row in rows):
        raise PassesError(
            _(
                "{holder!r}: nobody of that name has a pass; `vaora-provision pass list` shows them"
            ).format(holder=holder)
        )
    when = at.isoformat(timespec="seconds")
    return [
        msgspec.structs.replace(row, revoked_at=when)
        if not row.revoked_at and (row.pass_id in ids or (holder and row.holder == holder))
        else row
        for row in rows
    ]


def without_names_of_the_past(rows: Sequence[Row], at: datetime) -> list[Row]:
    """`rows`, without the holders of passes that are over."""
    return [
        msgspec.structs.replace(row, holder="", form_number="") if at >= row.ends else row
        for row in rows
    ]


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the lock beside `file`; it goes with the process, however that ends."""
    opened = os.open(
        file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)  # waits: others hold it for milliseconds
        yield
    finally:
        os.close(opened)


def _rows(file: Path, raw: bytes) -> list[Row]:
    try:
        lines = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        return [_row(file, lines.line_num, line) for line in lines]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PassesError(
            _("{file}: is no table ({why}); put a copy of before there").format(
                file=file, why=error
            )
        ) from error


def _row(file: Path, number: int, line: dict[str, str]) -> Row:
    try:
        return msgspec.convert(line, Row)
    except msgspec.ValidationError as error:
        raise PassesError(
            _(
                "{file}: line {number}: {why}; put a copy of before there, change nothing by hand"
            ).format(file=file, number=number, why=error)
        ) from error


def _text(rows: Sequence[Row]) -> str:
    out = io.StringIO(newline="")
    out.write("\ufeff")  # by which a spreadsheet knows UTF-8
    lines = csv.DictWriter(out, HEADER, lineterminator="\n")
    lines.writeheader()
    lines.writerows(msgspec.to_builtins(row) for row in rows)
    return out.getvalue()
