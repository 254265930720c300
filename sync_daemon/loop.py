"""The daemon's one loop: outbox to broker, receipts to outbox, state to whoever listens."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol

from checkin import VERSION, health
from checkin.clock import Clock, Moment
from checkin.event import SYNCED_ERROR_S
from checkin.health import KioskHealth, SyncHealth
from checkin.outbox import Anchor, Outbox, OutboxError, damaged_files
from checkin.words import N_
from sync_daemon import topics
from sync_daemon.arrivals import Arrivals
from sync_daemon.broker import (
    Acknowledged,
    BrokerError,
    Connected,
    Heard,
    Lost,
    Message,
    Received,
    TurnedDown,
)
from sync_daemon.certificate import EXPIRED, NOT_YET_VALID, Certificate
from sync_daemon.protocol import Action, Connect, Disconnect, Link, Publish, Rows, Sender, Settle
from sync_daemon.renewal import Renewing
from sync_daemon.topics import Address, MessageError, OutboxState, Receipt, State
from sync_daemon.updates import Read, Updates, Wish

log = logging.getLogger("vaora.sync")

# How long one turn may wait for the network: a check-in appended meanwhile waits as long.
TURN_S = 0.1

REFUSES = N_("it refuses a message")
SPOILT = N_("damaged on disk")

# Fixed header, topic length, packet id and our one property (MQTT 5.0, 3.3), generously.
PACKET_OVERHEAD_BYTES = 128

# While a backlog drains, the watermark moves as often as this. What a kill takes back is sent
# again; each move is a flush of the disk, which the door needs too.
SETTLE_EVERY_S = 0.2

# A clock that is set and runs drifts by less between two looks, however long ago the first was: the
# network slews it. More than this is a jump.
JUMP_S = 2.0

# A renewed certificate is taken up within a minute; when it ends is looked up once an hour.
LOOK_AT_FILES_S = 60.0
LOOK_AT_CERTIFICATE_S = 3600.0

SOON_DAYS = 30.0  # a technician's round comes by more often

HEALTH_EVERY_S = 5.0
LOOK_EVERY_S = 1.0  # a state takes some queries and files: not ten times a second
DISK_AGAIN_S = 1.0
PRUNE_EVERY_S = 600.0


class BrokerLink(Protocol):
    """What the loop needs of a broker."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def read(self, topic: str) -> None: ...
    def leave(self, topic: str) -> None: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self, *, with_will: bool = False) -> None: ...


class SyncLoop:
    """Carries one outbox to one broker. Call `turn` for ever; `stop` once."""

    def __init__(
        self,
        *,
        address: Address,
        outbox: Outbox,
        sender: Sender,
        broker: BrokerLink,
        clock: Clock,
        kiosk_health: Path,
        sync_health: Path,
        state_every_s: float = 60.0,
        keep_confirmed_h: float = 72.0,
        machine: Callable[[], tuple[float | None, bool | None]] = lambda: (None, None),
        certificate: Callable[[], Certificate] = lambda: Certificate(None),
        certificate_files: Callable[[], object] = tuple,
        arrivals: Arrivals | None = None,
        confirm: Literal["central", "broker"] = "central",
        updates: Updates | None = None,
        enrolment: Callable[[], tuple[str, str]] = lambda: ("", ""),
        renewing: Renewing | None = None,
    ) -> None:
        self._updates = updates
        self._enrolment = enrolment
        self._renewing = renewing
        self._renewal_mid: int | None = None
        self._needs_refusals = confirm == "broker"
        self._address = address
        self._outbox = outbox
        self._sender = sender
        self._broker = broker
        self._clock = clock
        self._kiosk_health = kiosk_health
        self._sync_health = sync_health
        self._state_every_s = state_every_s
        self._keep = timedelta(hours=keep_confirmed_h)
        self._machine = machine
        self._look_at_certificate = certificate
        self._certificate_files = certificate_files
        self._arrivals = arrivals or Arrivals({})
        self._certificate = Certificate(None)
        self._certificate_due = 0.0
        self._files_due = 0.0
        self._files: object = None
        self._files_in_use: object = None
        self._numbers: dict[int, int] = {}  # the broker's message ids to the Sender's numbers
        self._said: State | None = None
        self._unsettled = Settle(0, {})
        self._settle_due = 0.0
        self._anchor = next(
            (one for one in outbox.anchors(1) if one.boot == clock.moment().boot), None
        )
        self._replaying: tuple[int, int] | None = None
        self._replays_due = 0.0
        self._broken_replays = 0
        self._went_back = False
        self._disk_due = 0.0
        self._disk_trouble = ""
        self._health_trouble = ""
        self._state_due = 0.0
        self._look_due = 0.0
        self._health_due = 0.0
        self._link_said = ("", "")
        self._prune_due = 0.0
        self._settled_tick: float | None = None
        self._connected_tick = 0.0
        self._first_receipt_s: float | None = None
        self._lost_tick: float | None = None
        self._why_lost = ""

    @property
    def _online(self) -> bool:
        return self._sender.link is Link.ONLINE

    def turn(self, wait_s: float = TURN_S) -> None:
        """Hear what the broker says, do what the Sender asks for, say how things are."""
        self._do_what_is_due(self._clock.moment())
        self._mind_certificate(self._clock.moment())
        self._mind_renewal(self._clock.moment())
        heard = self._broker.wait(wait_s)
        now = self._clock.moment()
        for one in heard:
            self._hear(one, now)
        self._write_health(now)
        self._arrivals.put_down(now.tick)
        if now.tick >= self._disk_due:
            self._use_disk(now)
        if self._updates is not None and self._online:
            self._wish(self._updates.turn(now.tick))

    def _wish(self, wishes: list[Wish]) -> None:
        for wish in wishes:
            if isinstance(wish, Read):
                self._broker.read(wish.topic)
            else:
                self._broker.leave(wish.topic)

    def _do_what_is_due(self, now: Moment) -> None:
        was_silent = self._sender.silent
        self._obey(self._sender.actions(now.tick), now)
        if self._sender.silent and not was_silent:
            log.warning("the broker answers, the central doesn't")

    def _mind_certificate(self, now: Moment) -> None:
        """Look when it ends; connect anew when another was put in its place."""
        if now.tick < self._files_due:
            return
        self._files_due = now.tick + LOOK_AT_FILES_S
        found = self._certificate_files()
        changed, self._files = (found, now.synced) != self._files, (found, now.synced)
        if not changed and now.tick < self._certificate_due:
            return  # a clock that was set since tells another thing of its dates
        self._certificate_due = now.tick + LOOK_AT_CERTIFICATE_S
        before, self._certificate = self._certificate, self._look_at_certificate()
        if self._certificate.trouble and self._certificate.trouble != before.trouble:
            log.warning("this kiosk's certificate %s", self._certificate.trouble)
        if found != self._files_in_use and self._online and not self._certificate.trouble:
            self._lost("the certificate was renewed; connecting with it", now)

    def _mind_renewal(self, now: Moment) -> None:
        if self._renewing is None or not self._online:
            return
        found = self._certificate
        body = self._renewing.body(found.renew_at, found.ends_at, now)
        if not body:
            return
        try:
            message = Message(self._address.renewal, body)
            self._renewal_mid = self._broker.publish(message, topics.JSON_TYPE)
        except BrokerError as error:
            self._lost(str(error), now)

    def _hear_certificate(self, body: bytes, now: Moment) -> None:
        if self._renewing is not None and self._renewing.hear(body, now):
            self._files_due = 0.0  # taken up with the next turn

    def _certificate_faults(self, now: Moment) -> list[str]:
        days = self._certificate.days(now.at) if now.synced else None
        refused = ["renewal-refused"] if self._renewing and self._renewing.refused else []
        if self._certificate.trouble:
            return refused + certificate_faults(self._certificate.trouble, synced=now.synced)
        soon = days is not None and days <= SOON_DAYS
        return [*refused, "certificate-ends-soon"] if soon else refused

    def _use_disk(self, now: Moment) -> None:
        """Everything that needs the outbox. A disk in trouble is waited for, and said once."""
        try:
            self._mind_replays(now)
            self._send_pending(now)
            self._settle(now)  # after it: while a backlog drains, something is in flight by now
            self._note_anchor(now)
            self._say_state(now)
            self._prune(now)
        except OutboxError as error:
            self._disk_due = now.tick + DISK_AGAIN_S
            if str(error) != self._disk_trouble:
                self._disk_trouble = str(error)
                log.warning("%s; trying again", error)
        else:
            self._disk_trouble = ""

    def stop(self) -> None:
        """Say offline and go. Nothing has to be saved: what counts is in the outbox."""
        self._broker.close(with_will=True)

    def _hear(self, heard: Heard, now: Moment) -> None:
        match heard:
            case Connected(_, _, can_refuse, _) if not can_refuse and self._needs_refusals:
                self._lost(
                    "this broker speaks MQTT 3.1.1, in which it acknowledges what it throws away: "
                    'with confirm = "broker" nothing is sent to it. Use confirm = "central", or a '
                    "broker that knows MQTT 5",
                    now,
                )
            case Connected(receive_maximum, packet_bytes, _, unread):
                for words in unread:
                    log.warning("%s", words)
                room = packet_bytes - len(self._address.checkins) - PACKET_OVERHEAD_BYTES
                self._sender.connected(receive_maximum, now.tick, message_bytes=room)
                self._numbers.clear()
                self._said = None
                self._connected_tick, self._first_receipt_s = now.tick, None
                self._log_back(now)
            case Lost(reason, patient, too_large):
                if too_large:
                    self._sender.too_large()
                self._lost(reason, now, patient=patient)
            case Acknowledged(mid):
                number = self._numbers.pop(mid, 0)
                self._obey(self._sender.acknowledged(number, now.tick), now)
            case TurnedDown():
                self._hear_turned_down(heard, now)
            case Received(message):
                self._hear_message(message, now)

    def _hear_message(self, message: Message, now: Moment) -> None:
        if message.topic == self._address.receipt:
            self._hear_receipt(message, now)
        elif message.topic == self._address.certificate:
            self._hear_certificate(message.body, now)
        elif self._updates is not None and message.topic.startswith(self._updates.topic):
            self._wish(self._updates.hear(message.topic, message.body, now.tick))
        else:
            self._arrivals.hear(message)

    def _hear_turned_down(self, heard: TurnedDown, now: Moment) -> None:
        mid, reason = heard.mid, heard.reason
        if self._renewing is not None and mid == self._renewal_mid:
            self._renewal_mid = None
            self._renewing.turned_down(reason)  # of no harm to check-ins
            return
        here = self._address
        topic = here.checkins if self._numbers.pop(mid, 0) else here.state
        if heard.too_large:
            self._sender.too_large()
        why = f"{REFUSES} ({topic}): {reason}"
        self._obey(self._sender.turned_down(why, now.tick, patient=heard.patient), now)

    def _hear_receipt(self, message: Message, now: Moment) -> None:
        try:
            receipt = topics.read_receipt(message.body)
        except MessageError as error:
            log.warning("a receipt that is none was ignored: %s", error)
            return
        was_silent = self._sender.silent
        if receipt.outbox == self._outbox.id and self._first_receipt_s is None:
            self._first_receipt_s = now.tick - self._connected_tick
            self._health_due = 0.0
        self._look_whether_it_went_back(receipt)
        self._obey(self._sender.receipt(receipt, now.tick), now)
        if was_silent:
            log.info("the central answers again")

    def _look_whether_it_went_back(self, receipt: Receipt) -> None:
        """Whether the central has check-ins of this outbox that it doesn't know of itself.

        A card was put back to an earlier state, or forgot what it had flushed; numbers are given a
        second time then, and the central refuses what comes under them.
        """
        try:
            ahead = receipt.outbox == self._outbox.id and receipt.through > self._outbox.appended()
        except OutboxError:
            return
        if ahead and not self._went_back:
            log.error(
                "the central has check-ins of this outbox up to %d, which this file never had: it "
                "was put back to an earlier state. Stop vaora-kiosk, rename the file, start it",
                receipt.through,
            )
        self._went_back = self._went_back or ahead

    def _obey(self, actions: list[Action], now: Moment) -> None:
        for action in actions:
            match action:
                case Connect():
                    self._connect(now)
                case Disconnect(reason):
                    self._broker.close(with_will=True)
                    if self._updates is not None:
                        self._updates.lost()
                    self._numbers.clear()
                    self._log_lost(reason, now)
                case Publish(number, first, through, count, body):
                    log.debug("published %d check-ins, %d to %d", count, first, through)
                    message = Message(self._address.checkins, body)
                    self._publish(message, topics.CHECKINS_TYPE, now, number=number)
                case Settle(through, refused):
                    for seq, reason in refused.items():
                        log.error(
                            "the central refused check-in %d: %r; it is set aside", seq, reason
                        )
                    self._unsettled = Settle(through, {**self._unsettled.refused, **refused})

    def _connect(self, now: Moment) -> None:
        self._files_in_use = self._certificate_files()
        self._renewal_mid = None
        try:
            self._broker.connect()
        except BrokerError as error:
            self._lost(str(error), now)

    def _lost(self, reason: str, now: Moment, *, patient: bool = False) -> None:
        self._sender.lost(now.tick, patient=patient)
        self._broker.close()
        if self._updates is not None:
            self._updates.lost()
        self._numbers.clear()
        self._log_lost(reason, now)

    def _publish(
        self, message: Message, kind: str, now: Moment, *, number: int = 0, retain: bool = False
    ) -> None:
        try:
            self._numbers[self._broker.publish(message, kind, retain=retain)] = number
        except BrokerError as error:
            self._lost(str(error), now)

    def _settle(self, now: Moment) -> None:
        """Move the watermark: at once when nothing is in flight, else now and then.

        A disk that is full today is not an end: what couldn't be written is tried again, and if
        the process dies before, it is only sent again.
        """
        if not self._unsettled.through:
            return
        if self._sender.in_flight and now.tick < self._settle_due:
            return  # more is coming: one flush of the disk for all of it
        self._settle_due = now.tick + SETTLE_EVERY_S
        at = now.at if now.synced else None
        self._outbox.settle(self._unsettled.through, self._unsettled.refused, at)
        log.debug("confirmed through %d", self._unsettled.through)
        self._unsettled = Settle(0, {})
        self._settled_tick = now.tick

    def _note_anchor(self, now: Moment) -> None:
        """Write down what the network says of the time: once a boot, and after each jump.

        By it the central corrects the check-ins that were made before the clock was set.
        """
        if not now.synced:
            return
        said = self._anchor
        if said is not None and said.boot == now.boot:
            expected = said.at + timedelta(seconds=now.tick - said.tick)
            if abs((now.at - expected).total_seconds()) < JUMP_S:
                return
        anchor = Anchor(now.boot, now.tick, now.at, SYNCED_ERROR_S)
        self._outbox.note_anchor(anchor)
        self._anchor = anchor  # not before: on a full disk it is tried again
        log.info("the clock is set%s", "" if said is None else " anew: it had jumped")

    def _mind_replays(self, now: Moment) -> None:
        """Send again what a technician asked for. It is forgotten only once it was acknowledged."""
        if self._replaying is not None and self._sender.broken_replays != self._broken_replays:
            self._outbox.sent_again(*self._replaying, through=self._sender.replayed)
            self._replaying = None  # it was cut off: what is left is begun again below
        if self._replaying is not None and not self._sender.replaying and self._online:
            self._outbox.sent_again(*self._replaying, through=self._replaying[1])
            log.info("check-ins %d to %d were sent again", *self._replaying)
            self._replaying = None
        if self._replaying is None and now.tick >= self._replays_due:
            self._replays_due = now.tick + LOOK_EVERY_S
            for first, last in self._outbox.asked_again()[:1]:
                if self._sender.replay(first, last):
                    self._replaying = (first, last)
                    self._broken_replays = self._sender.broken_replays

    def _send_pending(self, now: Moment) -> None:
        """Fill the window. A row that the disk spoilt is set aside and said, and holds up none."""
        while (wanted := self._sender.wanted(now.tick)) is not None:
            found = self._outbox.pending(wanted.after, wanted.limit, wanted.through)
            spoilt = dict.fromkeys(found.damaged, SPOILT)
            if spoilt:
                log.error("check-ins %s are damaged on disk and set aside", sorted(spoilt))
                self._outbox.settle(0, spoilt)
                continue
            actions = self._sender.offer(wanted, Rows(found.seqs, found.bodies), now.tick)
            if not actions:
                break
            self._obey(actions, now)

    def _say_state(self, now: Moment) -> None:
        """Publish the state when it changed in a way that somebody waits for, and now and then."""
        if not self._online:
            return
        if self._said is not None and now.tick < self._look_due:
            return
        self._look_due = now.tick + LOOK_EVERY_S
        state = self._state(now)
        if now.tick < self._state_due and not _changed(self._said, state):
            return
        self._said = state
        self._state_due = now.tick + self._state_every_s
        message = Message(self._address.state, topics.encode(state))
        self._publish(message, topics.JSON_TYPE, now, retain=True)

    def _state(self, now: Moment) -> State:
        found = self._outbox.summary()
        kiosk = health.read(self._kiosk_health, KioskHealth, boot=now.boot, tick=now.tick)
        temperature, undervoltage = self._machine()
        room = self._outbox.room()
        faults = [*(kiosk.faults if kiosk else ["kiosk-silent"])]
        faults += self._certificate_faults(now)
        faults += ["outbox-went-back"] if self._went_back else []
        faults += ["outbox-set-aside"] if damaged_files(self._outbox.path) else []
        faults += [] if room == "plenty" else [f"outbox-{room}"]
        faults += self._updates.faults if self._updates is not None else []
        return State(
            online=True,
            version=VERSION,
            update=self._updates.in_words if self._updates is not None else "",
            boot=now.boot,
            at=now.at.isoformat(),
            clock_synced=now.synced,
            camera=kiosk.camera if kiosk else "unknown",
            frames_per_s=kiosk.frames_per_s if kiosk else 0.0,
            trust_days=kiosk.trust_days if kiosk else None,
            revocations_days=kiosk.revocations_days if kiosk else None,
            certificate_days=self._certificate.days(now.at) if now.synced else None,
            settings_version=kiosk.settings_version if kiosk else None,
            trust_version=kiosk.trust_version if kiosk else None,
            revocations_version=kiosk.revocations_version if kiosk else None,
            not_taken=kiosk.not_taken[: topics.MOST_NOT_TAKEN] if kiosk else [],
            last_checkin_at=found.last_at,
            anchors=[
                topics.Anchor(one.boot, one.tick, one.at, one.error_s)
                for one in self._outbox.anchors(topics.MOST_ANCHORS)
            ],
            faults=sorted(set(faults)),
            temperature_c=temperature,
            undervoltage=undervoltage,
            outbox=OutboxState(
                id=found.outbox,
                appended=found.appended,
                confirmed=found.confirmed,
                pending=found.pending,
                oldest_pending_at=found.oldest_pending_at,
                set_aside=found.set_aside,
                gone=list(self._sender.gone),
            ),
        )

    def _write_health(self, now: Moment) -> None:
        link = self._sender.link.name.lower()
        enrolment, trouble = self._enrolment()
        if now.tick < self._health_due and (link, enrolment) == self._link_said:
            return
        self._health_due = now.tick + HEALTH_EVERY_S
        self._link_said = (link, enrolment)
        mine = SyncHealth(
            boot=now.boot,
            tick=now.tick,
            broker=link,
            last_settled_tick=self._settled_tick,
            why_lost=self._why_lost,
            certificate_days=self._certificate.days(now.at) if now.synced else None,
            certificate_trouble=self._certificate.trouble,
            connected_s=now.tick - self._connected_tick if self._online else None,
            first_receipt_s=self._first_receipt_s if self._online else None,
            enrolment=enrolment,
            enrolment_trouble=trouble,
            renewal_refused=self._renewing.refused if self._renewing else "",
        )
        try:
            health.write(self._sync_health, mine)
        except OSError as error:
            if str(error) != self._health_trouble:
                self._health_trouble = str(error)
                log.warning("the health file could not be written: %s", error)

    def _prune(self, now: Moment) -> None:
        if now.tick < self._prune_due:
            return
        # Confirmed check-ins are kept for a central that needs them again, but not at the cost of
        # those that nobody has yet. A clock that was never set says nothing of how old they are.
        tight = self._outbox.room() != "plenty"
        kept_from = now.at - self._keep if now.synced else None
        pruned = self._outbox.prune(None if tight else kept_from) if tight or kept_from else 0
        if pruned == 0:
            self._prune_due = now.tick + PRUNE_EVERY_S

    def _log_lost(self, reason: str, now: Moment) -> None:
        """Say a transition once, not every attempt."""
        if self._lost_tick is None:
            self._lost_tick = now.tick
        if reason != self._why_lost:
            log.warning("no broker: %s", reason)
            self._why_lost = reason

    def _log_back(self, now: Moment) -> None:
        waiting = self._outbox.pending_count()
        if self._lost_tick is None:
            log.info("broker there, %d waiting", waiting)
        else:
            log.info("broker back after %.0f s, %d waiting", now.tick - self._lost_tick, waiting)
        self._lost_tick = None
        self._why_lost = ""


def certificate_faults(trouble: str, *, synced: bool) -> list[str]:
    """What is wrong with a certificate; of its dates only a clock that was set can tell."""
    if trouble in {EXPIRED, NOT_YET_VALID}:
        return (
            [f"certificate-{trouble.removeprefix('has ')}"] if synced and trouble == EXPIRED else []
        )
    return ["certificate-unusable"]


def _changed(said: State | None, state: State) -> bool:
    """Whether something changed that is worth a message of its own."""
    if said is None or said.outbox is None or state.outbox is None:
        return True
    return _worth_saying(said, said.outbox) != _worth_saying(state, state.outbox)


def _worth_saying(state: State, outbox: OutboxState) -> tuple[object, ...]:
    """`set_aside` is among it: the central names more refusals once it knows that these came."""
    machine = (state.faults, state.clock_synced, state.camera, state.undervoltage)
    signed = (state.settings_version, state.trust_version, state.revocations_version)
    # An update's percents come with the next state.
    told = (*signed, state.not_taken, state.update.partition(" ")[0])
    return (*machine, *told, outbox.gone, outbox.set_aside, state.anchors)
