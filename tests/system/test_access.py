"""The fleet's broker configuration, in a real mosquitto: each forbidden thing is refused."""

import pytest

from sync_daemon.broker import (
    Acknowledged,
    Broker,
    Connected,
    Lost,
    Message,
    Options,
    Received,
    TurnedDown,
)
from tests import fleet as fleets
from tests.system.conftest import wait_until


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A made-up fleet, and its broker running."""
    made = fleets.made_up(tmp_path_factory.mktemp("fleet") / "fleet")
    with made.served() as broker:
        yield made, broker.port


class Client:
    def __init__(self, fleet, name, *subscriptions):
        made, port = fleet
        tls = made.tls(name)
        self.broker = Broker(
            Options("127.0.0.1", port, f"{name}-{id(self)}", tuple(subscriptions), tls=tls)
        )
        self.heard = []
        self.broker.connect()

    def wait_for(self, kind):
        def heard():
            self.heard += self.broker.wait(0.05)
            return any(isinstance(one, kind) for one in self.heard)

        wait_until(heard, 10, f"{kind}")
        one = next(one for one in self.heard if isinstance(one, kind))
        self.heard.remove(one)
        return one

    def may_write(self, topic):
        self.broker.publish(Message(topic, b"x"))
        return isinstance(self.wait_for(Acknowledged | TurnedDown), Acknowledged)

    def drain(self):
        self.heard += self.broker.wait(0.5)
        return [one.message.topic for one in self.heard if isinstance(one, Received)]


@pytest.fixture
def kiosk(fleet):
    client = Client(fleet, "k1", "vaora/v1/cp/k1/receipt", "vaora/v1/cp/k1/settings")
    client.wait_for(Connected)
    yield client
    client.broker.close()


@pytest.mark.parametrize("topic", ["vaora/v1/cp/k1/checkins", "vaora/v1/cp/k1/state"])
def test_a_kiosk_may_write_its_own(kiosk, topic):
    assert kiosk.may_write(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "vaora/v1/cp/k2/checkins",
        "vaora/v1/cp/k2/state",
        "vaora/v1/cp/k1/receipt",
        "vaora/v1/cp/k2/receipt",
        "vaora/v1/cp/k1/settings",
        "vaora/v1/k1/k2/checkins",
        "vaora/v2/cp/k1/checkins",
        "anything",
        "$SYS/broker/x",
    ],
)
def test_a_kiosk_may_write_nothing_else(kiosk, topic):
    assert not kiosk.may_write(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "vaora/v1/cp/k2/receipt",
        "vaora/v1/+/+/receipt",
        "vaora/v1/+/+/checkins",
        "vaora/#",
        "#",
    ],
)
def test_a_kiosk_hears_nothing_of_others(fleet, topic):
    """mosquitto refuses some subscriptions at once, and for others delivers nothing."""
    central = Client(fleet, "vaora-central")
    central.wait_for(Connected)
    listener = Client(fleet, "k1", topic)
    if isinstance(listener.wait_for(Connected | Lost), Lost):
        return
    other = Client(fleet, "k2")
    other.wait_for(Connected)
    assert other.may_write("vaora/v1/cp/k2/checkins")
    assert central.may_write("vaora/v1/cp/k2/receipt")
    assert listener.drain() == []


def test_receipts_reach_their_kiosk(fleet, kiosk):
    central = Client(fleet, "vaora-central")
    central.wait_for(Connected)
    assert central.may_write("vaora/v1/cp/k1/receipt")
    assert kiosk.wait_for(Received).message.topic == "vaora/v1/cp/k1/receipt"


def test_the_central_hears_every_kiosk_and_forges_none(fleet, kiosk):
    central = Client(fleet, "vaora-central", "vaora/v1/+/+/checkins", "vaora/v1/+/+/state")
    central.wait_for(Connected)
    assert kiosk.may_write("vaora/v1/cp/k1/checkins")
    assert central.wait_for(Received).message.topic == "vaora/v1/cp/k1/checkins"
    assert not central.may_write("vaora/v1/cp/k1/checkins")
