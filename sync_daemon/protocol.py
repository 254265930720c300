"""The sync protocol, both ends, without I/O.

At least once on the wire, once in the record. The Sender publishes pending check-ins in `seq`
order and repeats whatever was not confirmed; the Receiver keeps one copy of each and confirms
cumulatively. Tell them what happened, then do what they return.

    OFFLINE ──wait over──► CONNECTING ──connected──► ONLINE
       ▲                       │                        │
       └── lost, refused, or no answer in `answer_s` ───┘

One cure for every trouble with the link: drop it, wait (full jitter), begin again behind the
watermark. The outbox still holds whatever was not confirmed. A silent central behind a broker
that answers is no trouble of the link: there the Sender stays, waits, and tries one message.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import msgspec

from checkin import event
from checkin.event import EventError
from checkin.words import N_
from sync_daemon.topics import MOST_RANGES, MOST_REFUSED, Address, Receipt, Refusal, State

# Behind them stands for how long, in parentheses.
NO_ANSWER = N_("no answer")
NO_PROGRESS = N_("the broker acknowledges nothing")

END = 2**62

# Ranges beyond the first gap that a ledger remembers. In order, as a kiosk sends, there are none;
# each costs 16 bytes, and what is forgotten is only sent again.
MOST_BEYOND = 4096

# Outboxes of one kiosk that the central counts: a new SD card every week for ten years. Each costs
# memory, and a kiosk that invents names must not have it all.
MOST_OUTBOXES = 500

# Refusals that a ledger keeps until the kiosk knows of them.
MOST_UNTOLD = 4096

# The first messages are this long, the next twice as long while each is acknowledged within
# QUICK_S, up to `batch_bytes`: a slow link never has to carry a message it can't, and on a quick
# one large messages make a drain twice as fast as small ones.
FIRST_BATCH_BYTES = 32_768
QUICK_S = 1.0

MOST_DOUBLINGS = 30  # of the first wait: beyond any longest wait that can be set

# What a check-in is taken to have before any was seen; the door writes 600 to 800.
ROW_BYTES = 700

Pair = tuple[int, int]


# ── the kiosk's end ──────────────────────────────────────────────────────────────────────────────


class Link(Enum):
    OFFLINE = auto()
    CONNECTING = auto()
    ONLINE = auto()


@dataclass(frozen=True, slots=True)
class Terms:
    """How patient the Sender is, how much it sends at once, and whose word it takes."""

    confirm: Literal["central", "broker"] = "central"
    window: int = 8
    batch_rows: int = 500
    batch_bytes: int = 262_144
    answer_s: float = 20.0
    wait_initial_s: float = 10.0
    wait_max_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the link."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Drop the link; it is of no use any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Send check-ins `first` to `through` as one message; `number` is for its acknowledgement."""

    number: int
    first: int
    through: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Settle:
    """Tell the outbox that everything up to `through` is confirmed, but for `refused`."""

    through: int
    refused: Mapping[int, str]


Action = Connect | Disconnect | Publish | Settle


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows that would be sent next: `after < seq <= through`, at most `limit`."""

    after: int
    through: int
    limit: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What the outbox has of a range, in order: `bodies[n]` is the check-in at `seqs[n]`."""

    seqs: Sequence[int]
    bodies: Sequence[bytes]

    def first(self, count: int) -> "Rows":
        return self if count >= len(self.seqs) else Rows(self.seqs[:count], self.bodies[:count])


@dataclass(slots=True)
class _Batch:
    number: int
    first: int
    through: int
    sent_tick: float
    replay: bool
    acknowledged: bool = False


class Sender:
    """The kiosk's end of one outbox.

    `confirmed` is the outbox's watermark. `jitter` draws from [0, 1): the share of the longest
    wait that is waited (full jitter, so that a province of kiosks doesn't come back as one).
    """

    def __init__(
        self, outbox: str, confirmed: int, terms: Terms, jitter: Callable[[], float]
    ) -> None:
        self.outbox = outbox
        self.link = Link.OFFLINE
        self.gone: list[Pair] = []
        self._terms = terms
        self._jitter = jitter
        self._confirmed = confirmed
        self._sent = confirmed  # the cursor: everything up to it is in flight or confirmed
        self._highest = confirmed  # the highest seq that was ever sent, on any link
        self._in_flight: deque[_Batch] = deque()
        self._again: deque[Pair] = deque()
        self._refused: set[int] = set()  # what the outbox was told of
        self.broken_replays = 0
        self.replayed = 0  # how far of the last `replay` the broker has everything
        self._number = 0
        self._window = 1
        self._most_bytes = terms.batch_bytes
        self._batch_bytes = min(FIRST_BATCH_BYTES, terms.batch_bytes)
        self._row_bytes = ROW_BYTES
        self._failures = 0
        self._silences = 0
        self._deadline = 0.0  # of the wait, or of the connecting
        self._resume_at = 0.0
        self._progress_tick = 0.0
        self._acknowledged_tick = 0.0

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def silent(self) -> bool:
        """Whether the broker answers and the central doesn't."""
        return self._silences > 0

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def actions(self, tick: float) -> list[Action]:
        """What the passing of time asks for."""
        match self.link:
            case Link.OFFLINE if tick >= self._deadline:
                self.link = Link.CONNECTING
                self._deadline = tick + self._terms.answer_s
                return [Connect()]
            case Link.CONNECTING if tick >= self._deadline:
                self.lost(tick)
                return [Disconnect(f"{NO_ANSWER} ({self._terms.answer_s:g} s)")]
            case Link.ONLINE:
                return self._overdue(tick)
        return []

    def connected(self, receive_maximum: int, tick: float, *, message_bytes: int = END) -> None:
        """The broker took us: `receive_maximum` messages in flight, `message_bytes` in each."""
        if self.link is Link.CONNECTING:
            self.link = Link.ONLINE
            # One less than the broker takes: the state message travels beside the check-ins.
            self._window = max(1, min(self._terms.window, receive_maximum - 1))
            self._most_bytes = max(1, min(self._most_bytes, message_bytes))
            self._batch_bytes = min(self._batch_bytes, self._most_bytes)
            self._begin_again()
            self._resume_at = tick

    def lost(self, tick: float, *, patient: bool = False) -> None:
        """The link is gone, or never came up. `patient`: the longest wait at once."""
        if self.link is not Link.OFFLINE:
            self.link = Link.OFFLINE
            self._begin_again()
            self._deadline = tick + self._wait_s(MOST_DOUBLINGS if patient else self._failures)
            self._failures += 1

    def wanted(self, tick: float) -> Wanted | None:
        """Which rows `offer` would take now."""
        # One message at a time after a silence: it is a question, and copies pile up at the broker.
        window = 1 if self._silences else self._window
        if self.link is not Link.ONLINE or tick < self._resume_at:
            return None
        if self._again and sum(not batch.acknowledged for batch in self._in_flight) < window:
            # Before all else, and past a window that waits for just this gap to be filled.
            first, last = self._again[0]
            return Wanted(first - 1, last, self._batch_rows)
        if len(self._in_flight) >= window:
            return None
        return Wanted(self._sent, END, self._batch_rows)

    @property
    def _batch_rows(self) -> int:
        """How many rows to read for the next message: what fits, by the mean of the last."""
        return min(self._terms.batch_rows, 1 + self._batch_bytes // self._row_bytes)

    def offer(self, wanted: Wanted, rows: Rows, tick: float) -> list[Action]:
        """Take of `rows` (the answer to `wanted`) what fits one message; return it."""
        replay = wanted.through != END
        taken = rows.first(self._fitting(rows.bodies))
        if replay:
            whole = len(taken.seqs) == len(rows.seqs)
            self._replayed(wanted, taken.seqs, whole=whole)
        if not taken.seqs:
            return []
        first, through = taken.seqs[0], taken.seqs[-1]
        if not replay:
            self._sent = through
        self._highest = max(self._highest, through)
        if not self._in_flight:
            self._progress_tick = tick
        self._number += 1
        self._in_flight.append(_Batch(self._number, first, through, tick, replay))
        # Joined, not re-encoded: the bytes that the door wrote are the bytes that travel.
        body = b"[" + b",".join(taken.bodies) + b"]"
        return [Publish(self._number, first, through, len(taken.seqs), body)]

    def acknowledged(self, number: int, tick: float) -> list[Action]:
        """The broker has message `number`; 0 is one that holds no check-ins."""
        self._acknowledged_tick = tick
        if number or not self._in_flight:
            self._failures = 0
        for batch in self._in_flight:
            if batch.number == number:
                batch.acknowledged = True
                if tick - batch.sent_tick <= QUICK_S:
                    self._batch_bytes = min(2 * self._batch_bytes, self._most_bytes)
                break
        for batch in self._in_flight:
            if batch.replay and not batch.acknowledged:
                break
            if batch.replay:
                self.replayed = max(self.replayed, batch.through)
        self._in_flight = deque(b for b in self._in_flight if not (b.replay and b.acknowledged))
        if self._terms.confirm == "central":
            return []
        through = self._confirmed
        while self._in_flight and self._in_flight[0].acknowledged:
            through = self._in_flight.popleft().through
        return self._settled(through, {})

    def turned_down(self, reason: str, tick: float, *, patient: bool = False) -> list[Action]:
        """The broker refused a message. What it refused stays in the outbox."""
        self.lost(tick, patient=patient)
        return [Disconnect(reason)]

    def replay(self, first: int, last: int) -> bool:
        """Send `first` to `last` once more; False where something else is being sent again."""
        if self.link is not Link.ONLINE or self.replaying:
            return False
        self.replayed = first - 1
        self._ask_again([(first, last)])
        return True

    @property
    def replaying(self) -> bool:
        return bool(self._again) or any(batch.replay for batch in self._in_flight)

    def too_large(self) -> None:
        """A message was longer than the broker takes: from here on they are half as long."""
        self._most_bytes = self._batch_bytes = max(1024, self._batch_bytes // 2)

    def receipt(self, receipt: Receipt, tick: float) -> list[Action]:
        """The central says what it has.

        A receipt for another outbox says nothing about this one, and no receipt can confirm what
        this process never sent: whoever wrote it can't have it.
        """
        if receipt.outbox != self.outbox:
            return []
        self._failures = self._silences = 0
        self._resume_at = tick
        if receipt.through > self._confirmed or receipt.again:
            # One that says nothing new answers a state: what is in flight may be lost all the same.
            self._progress_tick = tick
        self._ask_again(receipt.again)
        if self._terms.confirm == "broker":
            return []
        through = max(self._confirmed, min(receipt.through, self._highest))
        while self._in_flight and not self._in_flight[0].replay:
            if self._in_flight[0].through > through:
                break
            self._in_flight.popleft()
        self._sent = max(self._sent, through)
        refused = {r.seq: r.reason for r in receipt.refused if r.seq <= through}
        return self._settled(through, refused)

    def _settled(self, through: int, refused: dict[int, str]) -> list[Action]:
        # Also below the watermark: a refusal may come behind the receipt that passed it.
        fresh = {seq: reason for seq, reason in refused.items() if seq not in self._refused}
        if through <= self._confirmed and not fresh:
            return []
        self._refused = {*self._refused, *fresh} if len(self._refused) < MOST_UNTOLD else set(fresh)
        self._confirmed = max(through, self._confirmed)
        return [Settle(self._confirmed, fresh)]

    def _ask_again(self, ranges: Iterable[Pair]) -> None:
        """Send `ranges` once more, unless that is under way: every receipt names the same gap."""
        if self.replaying:
            return
        for first, last in ranges:
            # Above the cursor it is on its way by itself.
            last = min(last, self._sent)  # noqa: PLW2901  the rest of the range is another's
            double = any(first <= b and a <= last for a, b in self._again)
            if first <= last and not double and len(self._again) < MOST_RANGES:
                self._again.append((first, last))

    def _fitting(self, bodies: Sequence[bytes]) -> int:
        """How many of `bodies` one message has room for: one at the least."""
        total = sum(map(len, bodies)) + len(bodies)
        if bodies:
            self._row_bytes = max(1, total // len(bodies))
        if total <= self._batch_bytes:
            return len(bodies)
        room = self._batch_bytes
        for count, body in enumerate(bodies):
            room -= len(body) + 1
            if room < 0:
                return max(1, count)
        return len(bodies)

    def _replayed(self, wanted: Wanted, seqs: Sequence[int], *, whole: bool) -> None:
        """Note what of the range asked for was there, and what is gone for good."""
        first, last = self._again.popleft()
        if len(seqs) == wanted.limit or not whole:
            self._again.appendleft((seqs[-1] + 1, last))
            last = seqs[-1]
            if self._again[0][0] > self._again[0][1]:
                self._again.popleft()
        for seq in [*seqs, last + 1]:
            if first < seq and (first, seq - 1) not in self.gone:
                self.gone.append((first, seq - 1))
            first = seq + 1
        del self.gone[:-MOST_RANGES]

    def _overdue(self, tick: float) -> list[Action]:
        waiting = [batch for batch in self._in_flight if not batch.acknowledged]
        # A slow link is no dead one: what counts is how long nothing at all was acknowledged.
        since = max(waiting[0].sent_tick, self._acknowledged_tick) if waiting else tick
        if tick - since >= self._terms.answer_s:
            self._batch_bytes = max(1024, self._batch_bytes // 2)
            self.lost(tick)
            return [Disconnect(f"{NO_PROGRESS} ({self._terms.answer_s:g} s)")]
        silent = not waiting and tick - self._progress_tick >= self._terms.answer_s
        if self._in_flight and silent:
            self._begin_again()
            self._resume_at = tick + self._wait_s(self._silences)
            self._silences += 1
        return []

    def _begin_again(self) -> None:
        self.broken_replays += self.replaying
        self._in_flight.clear()
        self._again.clear()
        self._sent = self._confirmed

    def _wait_s(self, failures: int) -> float:
        # min() on the exponent too: 2.0**1024 overflows after a long outage.
        longest = self._terms.wait_initial_s * 2.0 ** min(failures, MOST_DOUBLINGS)
        return min(longest, self._terms.wait_max_s) * self._jitter()


# ── the central's end ────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Ledger:
    """Which `seq` of one outbox the central has: everything up to `through`, and `beyond`.

    `beyond` are ranges after the first gap, ascending, not touching. `known` is the highest `seq`
    that the kiosk says the central confirmed once: a central restored from a backup sees by it
    what it has lost.
    """

    through: int = 0
    beyond: list[Pair] = field(default_factory=list)
    known: int = 0
    refused: dict[int, str] = field(default_factory=dict)

    def add(self, first: int, last: int) -> None:
        """`first` to `last`, both included, are here."""
        first = max(first, self.through + 1)
        if first > last:
            return
        at = bisect_left(self.beyond, (first, 0))
        if at and self.beyond[at - 1][1] >= first - 1:
            at -= 1
        end = at
        while end < len(self.beyond) and self.beyond[end][0] <= last + 1:
            first, last = min(first, self.beyond[end][0]), max(last, self.beyond[end][1])
            end += 1
        self.beyond[at:end] = [(first, last)]
        if self.beyond[0][0] == self.through + 1:
            self.through = self.beyond.pop(0)[1]
        del self.beyond[MOST_BEYOND:]

    def refuse(self, seq: int, reason: str) -> None:
        """`seq` will never be taken; it counts as here, and doesn't hold up those behind it.

        With `MOST_UNTOLD` refusals that the kiosk doesn't know of yet, another is left a gap: it
        comes again when there is room.
        """
        if len(self.refused) >= MOST_UNTOLD and seq not in self.refused:
            return
        self.add(seq, seq)
        self.refused[seq] = reason
        # A kiosk may have been further once, before its card was put back to an earlier state: what
        # it sends anew and can't be taken it has to hear of all the same.
        self.known = min(self.known, seq - 1)

    def told(self) -> tuple[int, list[tuple[int, str]]]:
        """How far the kiosk may be confirmed, and the refusals it must hear of with that.

        A receipt has room for so many; what it doesn't name it doesn't confirm, or the kiosk would
        take a refused row for one that is kept.
        """
        untold = sorted(item for item in self.refused.items() if item[0] > self.known)
        named, rest = untold[:MOST_REFUSED], untold[MOST_REFUSED:]
        return min(self.through, rest[0][0] - 1) if rest else self.through, named

    def knows(self, confirmed: int) -> None:
        """The kiosk says that it was confirmed up to `confirmed`."""
        self.known = max(self.known, confirmed)
        self.refused = {seq: why for seq, why in self.refused.items() if seq > self.known}

    def gaps(self) -> list[Pair]:
        """What is missing below something that is there or was there; the first few."""
        found: list[Pair] = []
        at = self.through + 1
        for first, last in [*self.beyond, (self.known + 1, self.known)]:
            if at < first:
                found.append((at, first - 1))
            at = max(at, last + 1)
        return found[:MOST_RANGES]


@dataclass(frozen=True, slots=True)
class Run:
    """Check-ins `first` to `last` of one outbox, without a gap, as one JSON array of events.

    So they come, and so the central keeps them: a message of hundreds is one row.
    """

    outbox: str
    first: int
    last: int
    body: bytes

    def split(self) -> list[bytes]:
        """The events one by one, the first at `first`."""
        return [bytes(raw) for raw in _batches.decode(self.body)]

    @property
    def count(self) -> int:
        return self.last - self.first + 1


def run_of(outbox: str, first: int, bodies: Sequence[bytes]) -> Run:
    """What `split` took apart, or some of it, as a run again."""
    return Run(outbox, first, first + len(bodies) - 1, b"[" + b",".join(bodies) + b"]")


@dataclass(frozen=True, slots=True)
class Refused:
    """One event that the central can't take. It is kept as it came, for somebody to look at."""

    outbox: str
    seq: int
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one message held. `trouble` is said in the log, once a message."""

    address: Address
    runs: tuple[Run, ...] = ()
    refused: tuple["Refused", ...] = ()
    trouble: str = ""


class _Head(msgspec.Struct):
    """The least that must be readable for a row to be refused by name."""

    outbox: str
    sequence: str


_batches = msgspec.json.Decoder(list[msgspec.Raw])
_heads = msgspec.json.Decoder(_Head)

Ledgers = dict[tuple[Address, str], Ledger]


class Receiver:
    """The central's end: tells what came, remembers what is kept, says receipts.

    `receive`, then keep the arrivals on disk, then `kept`, then send `receipts`: in this order no
    receipt ever confirms what a power cut can take.
    """

    def __init__(self, ledgers: Ledgers | None = None) -> None:
        self.ledgers: Ledgers = ledgers if ledgers is not None else {}
        self._due: dict[tuple[Address, str], None] = {}
        self._outboxes: dict[Address, set[str]] = {}
        for address, outbox in self.ledgers:
            self._outboxes.setdefault(address, set()).add(outbox)

    def receive(self, address: Address, body: bytes) -> Delivery:
        """Read one message from the kiosk at `address`. Never raises, whatever the bytes."""
        try:
            delivery = Delivery(address, _all_of(body, address))
        except EventError:
            delivery = _what_is_right_of(body, address)
        named = {run.outbox for run in delivery.runs} | {one.outbox for one in delivery.refused}
        if self._are_too_many(address, named):
            return Delivery(address, trouble=f"names more than {MOST_OUTBOXES} outboxes")
        return delivery

    def _are_too_many(self, address: Address, named: set[str]) -> bool:
        known = self._outboxes.get(address, set())
        return not named <= known and len(named | known) > MOST_OUTBOXES

    def kept(self, delivery: Delivery) -> None:
        """Everything in `delivery` is on the central's disk."""
        for run in delivery.runs:
            self._ledger(delivery.address, run.outbox).add(run.first, run.last)
        for one in delivery.refused:
            self._ledger(delivery.address, one.outbox).refuse(one.seq, one.reason)

    def state(self, address: Address, state: State) -> list[Pair]:
        """A kiosk says how far it is; answer with a receipt. Returns what `gone` would have."""
        if state.outbox is None or self._are_too_many(address, {state.outbox.id}):
            return []
        ledger = self._ledger(address, state.outbox.id)
        missing = self.gone(address, state)
        ledger.knows(state.outbox.confirmed)
        for first, last in missing:
            ledger.add(first, last)
        return missing

    def gone(self, address: Address, state: State) -> list[Pair]:
        """What the kiosk says is gone for good. To be on disk before `state` counts it as settled.

        Only a range that is missing here can be gone: a kiosk's word doesn't undo what we have.
        """
        if state.outbox is None or self._are_too_many(address, {state.outbox.id}):
            return []
        ledger = self.ledgers.get((address, state.outbox.id), Ledger())
        seen = Ledger(ledger.through, ledger.beyond, max(ledger.known, state.outbox.confirmed))
        return [
            (max(first, a), min(last, b))
            for first, last in seen.gaps()
            for a, b in state.outbox.gone
            if max(first, a) <= min(last, b)
        ]

    def due(self) -> list[tuple[Address, str]]:
        """The outboxes that a receipt is due for."""
        return list(self._due)

    def receipts(self) -> list[tuple[Address, Receipt]]:
        """The receipts that are due: one per outbox that something came from."""
        due = [(key[0], self._receipt(*key)) for key in self._due]
        self._due.clear()
        return due

    def _receipt(self, address: Address, outbox: str) -> Receipt:
        ledger = self.ledgers[address, outbox]
        through, refused = ledger.told()
        named = [Refusal(seq, reason) for seq, reason in refused]
        return Receipt(outbox, through, refused=named, again=ledger.gaps())

    def _ledger(self, address: Address, outbox: str) -> Ledger:
        self._due[address, outbox] = None
        self._outboxes.setdefault(address, set()).add(outbox)
        return self.ledgers.setdefault((address, outbox), Ledger())


def _all_of(body: bytes, address: Address) -> tuple[Run, ...]:
    """A message in which everything is right and in order, as nearly every one is."""
    checkins = event.decode_batch(body)
    if not checkins:
        return ()
    for checkpoint, kiosk in {(one.data.checkpoint, one.data.kiosk) for one in checkins}:
        _belongs(checkpoint, kiosk, address)
    first, last = checkins[0].seq, checkins[-1].seq
    # Counted before they are named: a stranger's last may be a billion past the first.
    in_order = last - first + 1 == len(checkins) and [one.sequence for one in checkins] == list(
        map(event.sequence, range(first, last + 1))
    )
    if not in_order or len({one.outbox for one in checkins}) > 1:
        raise EventError("not one run")
    return (Run(checkins[0].outbox, first, last, body),)


def _what_is_right_of(body: bytes, address: Address) -> Delivery:
    """One by one: what is right is taken, what isn't is refused by name."""
    try:
        raws = _batches.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Delivery(address, trouble=f"not a batch of events: {error}")
    right: list[tuple[str, int, bytes]] = []
    refused: list[Refused] = []
    trouble = ""
    for raw in raws:
        one = bytes(raw)
        try:
            checkin = event.decode(one)
            _belongs(checkin.data.checkpoint, checkin.data.kiosk, address)
            right.append((checkin.outbox, checkin.seq, one))
        except EventError as error:
            trouble = str(error)
            head = _head(one)
            if head is not None:
                refused.append(Refused(*head, trouble[:200], one[: event.LONGEST_EVENT_BYTES]))
    return Delivery(address, tuple(_runs(right)), tuple(refused), trouble)


def _runs(events: Sequence[tuple[str, int, bytes]]) -> Iterator[Run]:
    """`events` (outbox, `seq`, body), put together where one follows the other."""
    begin = 0
    for at in range(1, len(events) + 1):
        (outbox, seq, _) = events[at - 1]
        if at == len(events) or events[at][:2] != (outbox, seq + 1):
            yield run_of(outbox, events[begin][1], [body for _, _, body in events[begin:at]])
            begin = at


def _belongs(checkpoint: str, kiosk: str, address: Address) -> None:
    """A kiosk speaks for itself: the broker's access list guards the topic, this the content."""
    if (checkpoint, kiosk) != (address.checkpoint, address.kiosk):
        named = event.source(checkpoint, kiosk)
        raise EventError(f"names {named}, came from {address.checkpoint}/{address.kiosk}")


def _head(body: bytes) -> tuple[str, int] | None:
    try:
        head = _heads.decode(body)
        seq = int(head.sequence)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return (head.outbox, seq) if 0 < seq < END and 0 < len(head.outbox) <= 64 else None  # noqa: PLR2004  as event
