"""The fleet's own line to its broker: what is retained there is read, what is signed is left there.

As `vaora-fleet`, which may read each kiosk's state, and read and replace what is signed for them.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from checkin.words import _, known
from sync_daemon import topics
from sync_daemon.broker import (
    Acknowledged,
    Broker,
    BrokerError,
    Connected,
    Heard,
    Lost,
    Message,
    Options,
    Received,
    TurnedDown,
)
from sync_daemon.topics import Address, MessageError, State

CONNECTED_S = 10.0
ACKNOWLEDGED_S = 30.0

# The broker begins with what it retains as soon as we are subscribed, and MQTT has no word for the
# end of it: silence for so long is the end. A gap is a round trip, where many come at once.
QUIET_S = 1.0

# The same, once all that was looked for has come.
ENOUGH_S = 0.3

TURN_S = 0.1

# mosquitto takes 20 at once from one client (max_inflight_messages).
IN_FLIGHT = 10


class BrokerLink(Protocol):
    """What is needed of a broker."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self, *, with_will: bool = False) -> None: ...


@contextmanager
def connected(wanted: Options) -> Iterator["Line"]:
    """A line that stands. Raises `BrokerError`, which says what to do."""
    line = Line(Broker(wanted))
    try:
        try:
            line.connect()
        except BrokerError as error:
            raise BrokerError(
                _(
                    "{error}. Is this machine where the broker can be reached, and is its address "
                    "in fleet.toml (broker_host, broker_port)?"
                ).format(error=known(str(error)))
            ) from error
        yield line
    finally:
        line.close()


@dataclass(slots=True)
class Line:
    """One connection. Every wait has an end, and raises `BrokerError`."""

    broker: BrokerLink
    tick: Callable[[], float] = time.monotonic
    _heard: deque[Heard] = field(default_factory=deque)

    def connect(self) -> None:
        """Connect and subscribe."""
        self.broker.connect()
        until = self.tick() + CONNECTED_S
        while not any(isinstance(one, Connected) for one in self._hear()):
            if self.tick() > until:
                raise BrokerError(_("it doesn't answer"))

    def retained(self, wanted: Collection[str]) -> dict[str, bytes]:
        """What is retained, by topic; whether more than is `wanted` comes is waited for less."""
        found: dict[str, bytes] = {}
        missing = set(wanted)
        quiet_since = self.tick()
        while self.tick() - quiet_since < (QUIET_S if missing else ENOUGH_S):
            for message in self.messages():
                found[message.topic] = message.body
                missing.discard(message.topic)
                quiet_since = self.tick()
        return found

    def messages(self) -> list[Message]:
        """What came meanwhile; waits a moment."""
        self._hear()
        came = [one.message for one in self._heard if isinstance(one, Received)]
        self._heard.clear()
        return came

    def leave(self, messages: Iterable[Message], kind: str = "") -> None:
        """Put `messages` where the broker retains them; it has every one when this returns."""
        waiting = deque(messages)
        on_the_way: dict[int, str] = {}
        until = self.tick() + ACKNOWLEDGED_S
        while waiting or on_the_way:
            while waiting and len(on_the_way) < IN_FLIGHT:
                message = waiting.popleft()
                on_the_way[self.broker.publish(message, kind, retain=True)] = message.topic
            if self._settle(on_the_way):
                until = self.tick() + ACKNOWLEDGED_S
            elif self.tick() > until:
                topic = next(iter(on_the_way.values()))
                raise BrokerError(_("it doesn't acknowledge {topic}").format(topic=topic))

    def close(self) -> None:
        self.broker.close()

    def _settle(self, on_the_way: dict[int, str]) -> bool:
        """Whether something was acknowledged."""
        settled = False
        for one in self._hear():
            match one:
                case Acknowledged(mid):
                    settled = on_the_way.pop(mid, None) is not None or settled
                case TurnedDown(mid, reason):
                    topic = on_the_way.get(mid, "")
                    raise BrokerError(
                        _("it refuses {topic}: {why}").format(topic=topic, why=known(reason))
                    )
        return settled

    def _hear(self) -> list[Heard]:
        """What happened since; messages are also kept for `messages`."""
        heard = self.broker.wait(TURN_S)
        for one in heard:
            if isinstance(one, Lost):
                raise BrokerError(_("{why}; try again").format(why=known(one.reason)))
        self._heard.extend(one for one in heard if isinstance(one, Received))
        return heard


def states(found: Mapping[str, bytes]) -> dict[Address, State]:
    """The states among what is retained; what is none is nobody's."""
    told = {}
    for topic, body in found.items():
        with suppress(MessageError):
            address, leaf = topics.address(topic)
            if leaf == "state" and body:
                told[address] = topics.read_state(body)
    return told


def cleared(found: Mapping[str, bytes]) -> set[Address]:
    """Whose state is retained no more: kiosks that were retired."""
    gone = set()
    for topic, body in found.items():
        with suppress(MessageError):
            address, leaf = topics.address(topic)
            if leaf == "state" and not body:
                gone.add(address)
    return gone
