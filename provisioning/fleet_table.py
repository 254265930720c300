"""How every kiosk of the fleet is, as a table: what needs somebody stands first.

From the states that the broker retains and the list of doors; a kiosk that never said anything is
a row too.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

from checkin.words import N_, _, known, plural
from sync_daemon.topics import Address, State

# A kiosk says its state every minute ([broker] state_every_s); its daemon has gone silent, or its
# network, and the broker hasn't noticed, where the last is older.
SILENT_S = 900.0

Condition = Literal["silent", "faulty", "outdated", "well"]
CONDITIONS: tuple[Condition, ...] = ("silent", "faulty", "outdated", "well")

T = TypeVar("T")

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Newest:
    """What kiosks should have by now. `settings` are by kiosk; None and "" where nobody knows."""

    version: str = ""
    trust: int | None = None
    revocations: int | None = None
    settings: Mapping[str, int] = field(default_factory=dict)


class Row(msgspec.Struct, frozen=True):
    """One kiosk. What is not known of it is None; times are ISO 8601, as the kiosk believed."""

    kiosk: str
    checkpoint: str
    condition: Condition
    online: bool | None  # None: it never said anything
    listed: bool  # whether it is on the list of doors
    said_at: str | None = None
    waiting: int | None = None
    oldest_waiting_at: str | None = None
    last_checkin_at: str | None = None
    clock_synced: bool | None = None
    faults: list[str] = []
    not_taken: list[str] = []
    version: str = ""
    update: str = ""  # what goes on with a package, in the kiosk's words
    certificate_days: float | None = None
    settings_version: int | None = None
    trust_version: int | None = None
    revocations_version: int | None = None
    outdated: list[str] = []


def rows(
    listed: Collection[Address], states: Mapping[Address, State], newest: Newest, at: datetime
) -> list[Row]:
    """A row for each kiosk that is listed or ever said something; what needs somebody first."""
    wanted = _newest(newest, states.values())
    found = [
        _row(address, states.get(address), wanted, at, listed=address in listed)
        for address in {*listed, *states}
    ]
    return sorted(
        found, key=lambda row: (CONDITIONS.index(row.condition), row.kiosk, row.checkpoint)
    )


def remembered(before: State | None, now: State) -> State:
    """`now`; of a kiosk that is gone what it said before still stands, as the will says nothing."""
    if now.online or before is None:
        return now
    return msgspec.structs.replace(before, online=False)


def _row(
    address: Address, state: State | None, newest: Newest, at: datetime, *, listed: bool
) -> Row:
    row = Row(address.kiosk, address.checkpoint, "silent", online=None, listed=listed)
    if state is None:
        return row
    outbox = state.outbox
    outdated = list(_outdated(address.kiosk, state, newest)) if state.version else []
    return msgspec.structs.replace(
        row,
        condition=_condition(state, outdated, at),
        online=state.online,
        said_at=state.at or None,
        waiting=outbox.pending if outbox else None,
        oldest_waiting_at=outbox.oldest_pending_at if outbox else None,
        last_checkin_at=state.last_checkin_at,
        clock_synced=state.clock_synced if state.version else None,
        faults=list(state.faults),
        not_taken=list(state.not_taken),
        version=state.version,
        update=state.update,
        certificate_days=state.certificate_days,
        settings_version=state.settings_version,
        trust_version=state.trust_version,
        revocations_version=state.revocations_version,
        outdated=outdated,
    )


def _condition(state: State, outdated: Collection[str], at: datetime) -> Condition:
    if not state.online or _is_silent(state, at):
        return "silent"
    if state.faults or state.not_taken:
        return "faulty"
    return "outdated" if outdated else "well"


def _is_silent(state: State, at: datetime) -> bool:
    """A kiosk whose clock was never set says nothing of when it spoke."""
    said = _moment(state.at) if state.clock_synced else None
    return said is not None and (at - said).total_seconds() > SILENT_S


def _newest(known: Newest, states: Collection[State]) -> Newest:
    """What is known, or else what most have: one kiosk's word makes nobody outdated."""
    version, trust, calls = known.version, known.trust, known.revocations
    return Newest(
        version=version or _usual([one.version for one in states if one.version]) or "",
        trust=_usual([one.trust_version for one in states]) if trust is None else trust,
        revocations=_usual([one.revocations_version for one in states]) if calls is None else calls,
        settings=known.settings,
    )


def _usual(told: Sequence[T]) -> T | None:
    return Counter(told).most_common(1)[0][0] if told else None


def _outdated(kiosk: str, state: State, newest: Newest) -> Iterator[str]:
    if _ordered(state.version) < _ordered(newest.version):
        yield "version"
    for name, has, should in (
        ("settings", state.settings_version, newest.settings.get(kiosk)),
        ("trust", state.trust_version, newest.trust),
        ("revocations", state.revocations_version, newest.revocations),
    ):
        if should is not None and (has or 0) < should:
            yield name


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", version))


# The table. Each column: its head, and what stands in it.

HEADS = (
    N_("kiosk"), N_("checkpoint"), N_("online"), N_("waiting"), N_("oldest"), N_("last in"),
    N_("clock"), N_("version"), N_("cert."), N_("signed"), N_("faults"),
)  # fmt: skip

# Heads whose numbers stand at the right.
_RIGHT = {"waiting", "oldest", "last in", "cert."}


def in_words(found: Sequence[Row], at: datetime) -> Iterator[str]:
    """The lines of the table, and one that counts."""
    table = [[_(head) for head in HEADS], *(_cells(row, at) for row in found)]
    widths = [max(len(line[place]) for line in table) for place in range(len(HEADS))]
    for number, line in enumerate(table):
        yield "  ".join(
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for head, cell, width in zip(HEADS, line, widths, strict=True)
        ).rstrip()
        if number:
            yield from (f"    {known(why)}" for why in found[number - 1].not_taken)
    yield ""
    yield _count(found)


def _cells(row: Row, at: datetime) -> list[str]:
    return [
        row.kiosk + ("" if row.listed else " *"),
        row.checkpoint,
        _online(row),
        _number(row.waiting),
        _ago(row.oldest_waiting_at, at),
        _ago(row.last_checkin_at, at),
        _clock(row.clock_synced),
        row.version + ("!" if "version" in row.outdated else ""),
        _("{days} d").format(days=round(row.certificate_days))
        if row.certificate_days is not None
        else "",
        _signed(row),
        " ".join([*row.faults, *([row.update] if row.update else [])]),
    ]


def _online(row: Row) -> str:
    if row.online is None:
        return _("never")
    if not row.online:
        return _("no")
    return _("silent") if row.condition == "silent" else _("yes")


def _clock(synced: bool | None) -> str:  # noqa: FBT001  a value, not a flag
    if synced is None:
        return ""
    return _("set") if synced else _("not set")


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _signed(row: Row) -> str:
    """Settings, trust list and revocations in force; with a mark where a newer one was sent."""
    told = (
        ("settings", row.settings_version),
        ("trust", row.trust_version),
        ("revocations", row.revocations_version),
    )
    if row.online is None or not row.version:
        return ""
    return "/".join(
        ("-" if has is None else str(has)) + ("!" if name in row.outdated else "")
        for name, has in told
    )


def _ago(moment: str | None, at: datetime) -> str:
    """How long ago, in the largest unit that is whole; a kiosk's clock may be ahead."""
    then = _moment(moment or "")
    if then is None:
        return ""
    seconds = max(0.0, (at - then).total_seconds())
    if seconds < HOUR_S:
        return _("{minutes} min").format(minutes=int(seconds // MINUTE_S))
    if seconds < 2 * DAY_S:
        return _("{hours} h").format(hours=int(seconds // HOUR_S))
    return _("{days} d").format(days=int(seconds // DAY_S))


def _count(found: Sequence[Row]) -> str:
    counts = {each: sum(row.condition == each for row in found) for each in CONDITIONS}
    kiosks = plural("{count} kiosk", "{count} kiosks", len(found)).format(count=len(found))
    line = _("{kiosks}: {silent} silent, {faulty} faulty, {outdated} outdated, {well} well").format(
        kiosks=kiosks, **counts
    )
    strangers = sum(not row.listed for row in found)
    if strangers:
        line += "; " + _("* isn't on the list of doors ({count})").format(count=strangers)
    return line


def as_json(found: Sequence[Row], at: datetime) -> bytes:
    """One object; `kiosks` in the order of the table."""
    return msgspec.json.encode({"at": at.isoformat(timespec="seconds"), "kiosks": found})


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
