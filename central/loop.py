"""The central's one loop: broker to store, then receipts."""

import logging
from datetime import datetime
from typing import Protocol

import msgspec

from central.store import Store, StoreError
from checkin.clock import Clock, Moment
from sync_daemon import topics
from sync_daemon.broker import BrokerError, Connected, Heard, Lost, Message, Received
from sync_daemon.protocol import Delivery, Receiver
from sync_daemon.topics import Address, Anchor, MessageError

log = logging.getLogger("vaora.central")

TURN_S = 0.5
CONNECT_AGAIN_S = 2.0
ANSWER_S = 5.0
SAVE_EVERY_S = 30.0
RECOUNT_AGAIN_S = 5.0  # a gap in a long outbox: not with every message


class BrokerLink(Protocol):
    """What the loop needs of a broker."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def acknowledge(self, received: Received) -> None: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self, *, with_will: bool = False) -> None: ...


class CentralLoop:
    """Keeps what the kiosks send. Call `turn` for ever; `stop` once."""

    def __init__(self, *, store: Store, broker: BrokerLink, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._receiver = Receiver(store.ledgers())
        self._online = False
        self._connecting_until = 0.0
        self._connect_due = 0.0
        self._save_due = 0.0
        self._why_lost = ""
        self._recount_due: dict[tuple[Address, str], float] = {}
        self._anchors: dict[Address, list[Anchor]] = {}  # as they were said last
        self._states: dict[str, tuple[str, datetime, bytes]] = {}  # not written down yet
        self._refusing: set[str] = set()

    def turn(self, wait_s: float = TURN_S) -> None:
        """Hear, keep on disk in one transaction, and only then acknowledge and confirm."""
        now = self._clock.moment()
        if not self._online and now.tick >= max(self._connect_due, self._connecting_until):
            self._connect(now)
        heard = self._broker.wait(wait_s)
        now = self._clock.moment()
        received = [one for one in heard if isinstance(one, Received)]
        if self._keep(received, now):
            for one in received:
                self._broker.acknowledge(one)
            self._send_receipts(now)
        else:
            # What wasn't acknowledged comes again with the next connection, and only then
            # (MQTT 5.0, 4.4).
            heard = [Lost("the store failed; what came meanwhile is asked for again")]
        for other in heard:
            self._hear(other, now)
        if not received:
            self._tidy()
        if now.tick >= self._save_due:
            self._save_due = now.tick + SAVE_EVERY_S
            self._store.check_file()
            self._save()

    def _tidy(self) -> None:
        try:
            self._store.tidy()
        except StoreError as error:
            log.warning("%s", error)

    def stop(self) -> None:
        self._save()
        self._broker.close()

    def _save(self) -> None:
        try:
            self._store.save(self._receiver.ledgers)
            if self._states:
                self._store.note_states(self._states)
                self._states = {}
        except StoreError as error:
            log.warning("%s", error)  # nothing is lost: the rows say the same

    def _connect(self, now: Moment) -> None:
        self._connecting_until = now.tick + ANSWER_S
        try:
            self._broker.connect()
        except BrokerError as error:
            self._lost(str(error), now)

    def _hear(self, heard: Heard, now: Moment) -> None:
        match heard:
            case Connected():
                self._online = True
                self._why_lost = ""
                log.info("broker there")
            case Lost(reason):
                self._lost(reason, now)

    def _lost(self, reason: str, now: Moment) -> None:
        self._online = False
        self._broker.close()
        self._connecting_until = 0.0
        self._connect_due = now.tick + CONNECT_AGAIN_S
        if reason != self._why_lost:
            self._why_lost = reason
            log.warning("no broker: %s", reason)

    def _keep(self, received: list[Received], now: Moment) -> bool:
        """Whether everything that came is on disk. If not, nothing is said, and it comes again."""
        deliveries: list[Delivery] = []
        for one in received:
            try:
                deliveries += self._receive(one.message, now)
            except MessageError as error:
                log.warning("a message was ignored: %s", error)
            except StoreError as error:
                log.error("%s", error)  # noqa: TRY400  the message says all
                return False
        for delivery in deliveries:
            if delivery.trouble:
                log.warning("from %s: %s", delivery.address.kiosk, delivery.trouble)
        try:
            kept = self._store.keep(deliveries, now.at) if deliveries else []
        except StoreError as error:
            log.error("%s; nothing is confirmed, the kiosks will send it again", error)  # noqa: TRY400
            return False
        for delivery in kept:
            self._receiver.kept(delivery)
            self._log_kept(delivery)
        return True

    def _receive(self, message: Message, now: Moment) -> list[Delivery]:
        address, leaf = topics.address(message.topic)
        if self._is_retired(address.kiosk):
            return []
        if leaf == "checkins":
            return [self._receiver.receive(address, message.body)]
        if leaf == "state":
            self._hear_state(address, message.body, now)
        return []

    def _is_retired(self, kiosk: str) -> bool:
        """Whether nothing of `kiosk` is taken: not kept, not confirmed, not refused.

        Whoever has it may make up what they like. What it had waits in its outbox: if it was
        retired by mistake, it comes once that is undone, and by `import` at any time.
        """
        if self._store.retired(kiosk) is None:
            self._refusing.discard(kiosk)
            return False
        if kiosk not in self._refusing:
            self._refusing.add(kiosk)
            log.warning("%s is retired: nothing of it is taken", kiosk)
        return True

    def _hear_state(self, address: Address, body: bytes, now: Moment) -> None:
        state = topics.read_state(body)
        if state.anchors and state.anchors != self._anchors.get(address):
            self._store.note_anchors(address, state.anchors)
            self._anchors[address] = state.anchors
        if state.outbox is not None:
            kept = msgspec.structs.replace(state, anchors=[])
            self._states[address.kiosk] = (address.checkpoint, now.at, topics.encode(kept))
            self._recount(address, state.outbox.id, now, known=state.outbox.confirmed)
        gone = self._receiver.gone(address, state)
        if gone and state.outbox is not None:
            self._store.note_gone(address, state.outbox.id, gone, now.at)
            log.error("%s can't send check-ins %s any more", address.kiosk, gone)
        self._receiver.state(address, state)

    def _recount(self, address: Address, outbox: str, now: Moment, known: int = 0) -> None:
        """Before asking for what is missing: it may have come by a stick meanwhile."""
        ledger = self._receiver.ledgers.get((address, outbox))
        if ledger is None or (not ledger.gaps() and known <= ledger.through):
            return
        if now.tick >= self._recount_due.get((address, outbox), 0.0):
            self._recount_due[address, outbox] = now.tick + RECOUNT_AGAIN_S
            self._store.recount(address, outbox, ledger)

    def _send_receipts(self, now: Moment) -> None:
        try:
            for key in self._receiver.due():
                self._recount(*key, now)
        except StoreError as error:
            log.warning("%s", error)  # then it is asked for again, which does no harm
        for address, receipt in self._receiver.receipts():
            message = Message(address.receipt, topics.encode(receipt))
            try:
                self._broker.publish(message, topics.JSON_TYPE)
            except BrokerError as error:
                self._lost(str(error), now)
                return

    def _log_kept(self, delivery: Delivery) -> None:
        for run in delivery.runs:
            ledger = self._receiver.ledgers[delivery.address, run.outbox]
            log.info(
                "%d from %s, confirmed through %d",
                run.count,
                delivery.address.kiosk,
                ledger.through,
            )
