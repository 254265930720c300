"""The enrolment desk: answers claims and renewals over the fleet's broker.

The register is on disk before an answer goes out, and a message is acknowledged after that: a
power cut in between brings the same message again, and it gets the same answer.
"""

import logging
from datetime import datetime
from typing import Protocol

from checkin import claim
from checkin.claim import Answer, ClaimError
from checkin.clock import Clock, Moment
from checkin.command_line import printable
from provisioning.enrolling import A_DAY, Enroller, Outcome, Standing
from provisioning.register import Register, RegisterError
from sync_daemon import topics
from sync_daemon.broker import BrokerError, Connected, Heard, Lost, Message, Received
from sync_daemon.topics import Address, MessageError

log = logging.getLogger("vaora.enrol")

TURN_S = 0.5
CONNECT_AGAIN_S = 2.0
ANSWER_S = 5.0

# A kiosk that is refused asks again and again, and a stranger with a card's credential as often as
# they like: the same is said once an hour, of so many kiosks.
SAY_AGAIN_S = 3600.0
MOST_SAID = 1000

CLAIMS = "claim"  # vaora/v1/claim/<kiosk>/request


class BrokerLink(Protocol):
    """What the desk needs of a broker."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def acknowledge(self, received: Received) -> None: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self, *, with_will: bool = False) -> None: ...


class EnrolmentDesk:
    """Call `turn` for ever; `stop` once. `answered` and `enrolled` count since the start."""

    def __init__(
        self, *, register: Register, enroller: Enroller, broker: BrokerLink, clock: Clock
    ) -> None:
        self._register = register
        self._enroller = enroller
        self._broker = broker
        self._clock = clock
        self._connecting_until = 0.0
        self._connect_due = 0.0
        self._said: dict[str, float] = {}
        self.is_online = False
        self.why_lost = ""
        self.answered = 0
        self.enrolled = 0

    def turn(self, wait_s: float = TURN_S) -> int:
        """Hear, write down, answer, acknowledge. Returns how many messages came."""
        now = self._clock.moment()
        if not self.is_online and now.tick >= max(self._connect_due, self._connecting_until):
            self._connect(now)
        heard = self._broker.wait(wait_s)
        now = self._clock.moment()
        for one in heard:
            match one:
                case Connected():
                    self.is_online, self.why_lost = True, ""
                    log.info("broker there")
                case Lost(reason):
                    self._lost(reason, now)
        received = [one for one in heard if isinstance(one, Received)]
        try:
            for one in received:
                self._serve(one, now)
        except (RegisterError, BrokerError) as error:
            # What wasn't acknowledged comes again with the next connection, and only then
            # (MQTT 5.0, 4.4).
            self._lost(str(error), now)
        return len(received)

    def stop(self) -> None:
        self._broker.close()

    def _serve(self, received: Received, now: Moment) -> None:
        message = received.message
        try:
            address, leaf = topics.address(message.topic)
            if (address.checkpoint, leaf) == (CLAIMS, "request"):
                to, outcome = self._claimed(address.kiosk, message.body, now.at)
            elif leaf == "renewal":
                to, outcome = self._renewed(address, message.body, now.at)
            else:
                to, outcome = "", Outcome(None)
        except (ClaimError, MessageError) as error:
            self._say(f"a message on {message.topic} was ignored: {error}", now)
        else:
            self._note(message.topic, outcome, now)
            if outcome.answer is not None:
                self._answer(to, outcome.answer)
        self._broker.acknowledge(received)

    def _claimed(self, kiosk: str, body: bytes, at: datetime) -> tuple[str, Outcome]:
        shown = claim.read_claim(body)
        if shown.kiosk != kiosk:
            raise ClaimError(f"a claim of {shown.kiosk}")
        with self._register.change() as register:
            standing = Standing(
                token=register.token(shown.token),
                certificate=register.claimed_with(shown.token),
                is_retired=register.retired(kiosk) is not None,
            )
            outcome = self._enroller.claimed(shown, standing, at)
            if outcome.issued is not None:
                register.use_token(shown.token, at)
                register.add_certificate(outcome.issued)
        return topics.claim_answer(kiosk), outcome

    def _renewed(self, address: Address, body: bytes, at: datetime) -> tuple[str, Outcome]:
        asked = claim.read_renewal(body)
        with self._register.change() as register:
            standing = Standing(
                certificate=register.newest(address.kiosk),
                is_retired=register.retired(address.kiosk) is not None,
                issued_lately=register.count_since(address.kiosk, at - A_DAY),
            )
            outcome = self._enroller.renewed(asked, address.kiosk, address.checkpoint, standing, at)
            if outcome.issued is not None:
                register.add_certificate(outcome.issued)
        return address.certificate, outcome

    def _answer(self, topic: str, answer: Answer) -> None:
        self._broker.publish(Message(topic, claim.encode(answer)), topics.JSON_TYPE)
        self.answered += 1

    def _note(self, topic: str, outcome: Outcome, now: Moment) -> None:
        issued, answer = outcome.issued, outcome.answer
        if issued is not None:
            self.enrolled += 1
            how = "has claimed" if issued.token else "has renewed"
            log.info(
                "%s %s its certificate, good until %s", issued.kiosk, how, issued.ends_at.date()
            )
        elif answer is None:
            self._say(f"{topic}: asks for too many certificates; not answered", now)
        elif answer.refused:
            self._say(f"{topic}: refused: {answer.refused}", now)
        else:
            self._say(f"{topic}: got the certificate again that it has", now)

    def _say(self, text: str, now: Moment) -> None:
        """Log what is new; a flood of it fills neither the log nor the memory."""
        self._said = {
            said: tick for said, tick in self._said.items() if now.tick < tick + SAY_AGAIN_S
        }
        if text in self._said or len(self._said) > MOST_SAID:
            return
        self._said[text] = now.tick
        if len(self._said) > MOST_SAID:
            log.warning("too much to be said of what was refused; no more of it for a while")
        else:
            log.warning("%s", printable(text[:300]))

    def _connect(self, now: Moment) -> None:
        self._connecting_until = now.tick + ANSWER_S
        try:
            self._broker.connect()
        except BrokerError as error:
            self._lost(str(error), now)

    def _lost(self, reason: str, now: Moment) -> None:
        self.is_online = False
        self._broker.close()
        self._connecting_until = 0.0
        self._connect_due = now.tick + CONNECT_AGAIN_S
        if reason != self.why_lost:
            self.why_lost = reason
            log.warning("no broker: %s", reason)
