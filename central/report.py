"""What was on a kiosk: for the day when one is stolen.

From what the central has, and from what the kiosk said of itself last. Nothing here needs a key:
who came stays sealed.
"""

import msgspec

from central.store import Here, Store
from checkin.words import _, plural
from sync_daemon import topics
from sync_daemon.protocol import Ledger, Ledgers
from sync_daemon.topics import Address, MessageError, State


class OutboxReport(msgspec.Struct, frozen=True):
    """One outbox: one card. `here` are at the central, `waiting` were on the kiosk alone.

    Times are as the kiosk believed them. `keys` name those that the last ones are sealed to;
    `readable` says that some of them aren't sealed at all.
    """

    checkpoint: str
    outbox: str
    here: int
    first_at: str = ""
    last_at: str = ""
    keys: list[str] = []
    readable: bool = False
    waiting: int = 0
    waiting_from: str = ""


class Report(msgspec.Struct, frozen=True):
    """`said_at`: when the kiosk said how it is, for the last time; empty if it never did."""

    kiosk: str
    retired_at: str
    because: str
    said_at: str
    outboxes: list[OutboxReport]


def report(store: Store, kiosk: str) -> Report:
    """Raises `StoreError`."""
    retired_at, because = store.retired(kiosk) or ("", "")
    checkpoint, said_at, state = _last_state(store, kiosk)
    ledgers = store.ledgers()
    found = [_of(one) for one in store.outboxes(kiosk)]
    said = state.outbox if state is not None else None
    if said is not None:
        place = (Address(checkpoint, kiosk), said.id)
        if not any((one.checkpoint, one.outbox) == (checkpoint, said.id) for one in found):
            found.append(OutboxReport(checkpoint, said.id, 0))
        waiting = missing(ledgers, place, said.confirmed, said.appended)
        found = [
            msgspec.structs.replace(
                one, waiting=waiting, waiting_from=(said.oldest_pending_at or "") if waiting else ""
            )
            if (one.checkpoint, one.outbox) == (checkpoint, said.id)
            else one
            for one in found
        ]
    return Report(kiosk, retired_at, because, said_at, found)


def _of(one: Here) -> OutboxReport:
    shown = [checkin.data for checkin in one.newest]
    return OutboxReport(
        checkpoint=one.address.checkpoint,
        outbox=one.outbox,
        here=one.count,
        first_at=one.first.time.isoformat(),
        last_at=one.newest[0].time.isoformat(),
        keys=sorted({data.sealed.key for data in shown if data.sealed is not None}),
        readable=any(data.person is not None for data in shown),
    )


def missing(ledgers: Ledgers, place: tuple[Address, str], confirmed: int, appended: int) -> int:
    """How many of those that the kiosk has written are not here."""
    ledger = ledgers.get(place, Ledger())
    through = max(ledger.through, confirmed)
    beyond = sum(
        min(last, appended) - max(first, through + 1) + 1
        for first, last in ledger.beyond
        if last > through and first <= appended
    )
    return max(0, appended - through - beyond)


def _last_state(store: Store, kiosk: str) -> tuple[str, str, State | None]:
    found = store.state(kiosk)
    if found is None:
        return "", "", None
    checkpoint, received_at, body = found
    try:
        return checkpoint, received_at, topics.read_state(body)
    except MessageError:  # of another version of this program
        return checkpoint, received_at, None


def in_words(found: Report) -> list[str]:
    """The report, a line each."""
    lines = []
    if found.retired_at:
        lines.append(
            _("{kiosk} is retired since {day}: nothing of it is taken any more.").format(
                kiosk=found.kiosk, day=found.retired_at[:10]
            )
        )
    else:
        lines.append(_("{kiosk} is not retired here.").format(kiosk=found.kiosk))
    for one in found.outboxes:
        lines += _outbox_in_words(one, found.said_at)
    if not found.outboxes:
        lines.append(_("Nothing ever came from it, and it never said how it is."))
        return lines
    if not found.said_at:
        lines.append(_("It never said how it is: whether something waited on it is not known."))
    lines.append(
        _(
            "What it confirmed lately (72 hours, unless its settings say another time) is still on "
            "its card as well."
        )
    )
    lines.append(_sealed_in_words(found))
    return lines


def _sealed_in_words(found: Report) -> str:
    keys = sorted({key for one in found.outboxes for key in one.keys})
    if any(one.readable for one in found.outboxes):
        return _(
            "NOT EVERYTHING WAS SEALED: who has the card can read who came, as far as it is on it. "
            "Set `seal` in the settings of every kiosk."
        )
    if not keys:
        return _("Nobody is named in what came, so that this can't tell what it was sealed to.")
    return _(
        "Who came is sealed to key {keys}: without the central's private key nobody can read it, "
        "nor can the kiosk itself. A refusal names nobody."
    ).format(keys=", ".join(keys))


def _outbox_in_words(one: OutboxReport, said_at: str) -> list[str]:
    where = {"checkpoint": one.checkpoint, "outbox": one.outbox}
    lines = [
        plural(
            "At {checkpoint}, outbox {outbox}: {count} check-in is at the central",
            "At {checkpoint}, outbox {outbox}: {count} check-ins are at the central",
            one.here,
        ).format(count=one.here, **where)
        + (f", {one.first_at[:16]} – {one.last_at[:16]}." if one.here else ".")
    ]
    if one.waiting:
        lines.append(
            plural(
                "{count} check-in was on the kiosk alone",
                "{count} check-ins were on the kiosk alone",
                one.waiting,
            ).format(count=one.waiting)
            + f", {one.waiting_from[:16]} – {said_at[:16]}."
        )
    return lines
