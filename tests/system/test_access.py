"""The fleet's broker configuration, in a real mosquitto: each forbidden thing is refused."""

import re

import pytest

from sync_daemon import broker as brokers
from sync_daemon.broker import (
    Acknowledged,
    Broker,
    Connected,
    Lost,
    Message,
    Options,
    Received,
    Tls,
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
        self.name, tls = name, made.tls(name)
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


EVERYTHING = [
    "vaora/v1/cp/{name}/checkins",
    "vaora/v1/cp/{name}/state",
    "vaora/v1/cp/{name}/receipt",
    "vaora/v1/cp/{name}/settings",
    "vaora/v1/cp/{name}/renewal",
    "vaora/v1/cp/{name}/certificate",
    "vaora/v1/cp/k2/checkins",
    "vaora/v1/cp/k2/state",
    "vaora/v1/cp/k2/receipt",
    "vaora/v1/cp/k2/settings",
    "vaora/v1/cp/k2/renewal",
    "vaora/v1/cp/k2/certificate",
    "vaora/v1/claim/k2/request",
    "vaora/v1/claim/k2/answer",
    "vaora/v1/trust",
    "vaora/v1/revocations",
    "vaora/v1/update/arm64",
    "vaora/v1/update/arm64/ab12/0",
    "vaora/v1/claim",
    "anything",
]

KIOSKS_READ = [
    "vaora/v1/cp/{name}/receipt",
    "vaora/v1/cp/{name}/settings",
    "vaora/v1/cp/{name}/certificate",
    "vaora/v1/trust",
    "vaora/v1/revocations",
    "vaora/v1/update/arm64",
    "vaora/v1/update/arm64/ab12/0",
]
SENT_TO_KIOSKS = [
    "vaora/v1/cp/k2/settings",
    "vaora/v1/trust",
    "vaora/v1/revocations",
    "vaora/v1/update/arm64",
    "vaora/v1/update/arm64/ab12/0",
]

# Who may write, and who may read, what of EVERYTHING; all else is refused.
MAY = {
    "k1": (
        [
            "vaora/v1/cp/{name}/checkins",
            "vaora/v1/cp/{name}/state",
            "vaora/v1/cp/{name}/renewal",
        ],
        KIOSKS_READ,
    ),
    "vaora-claim": (["vaora/v1/claim/k2/request"], ["vaora/v1/claim/k2/answer"]),
    "vaora-enrol": (
        ["vaora/v1/claim/k2/answer", "vaora/v1/cp/k2/certificate"],
        ["vaora/v1/claim/k2/request", "vaora/v1/cp/k2/renewal"],
    ),
    "vaora-central": (
        ["vaora/v1/cp/k2/receipt", "vaora/v1/cp/k2/settings"],
        ["vaora/v1/cp/k2/checkins", "vaora/v1/cp/k2/state"],
    ),
    "vaora-fleet": (
        ["vaora/v1/cp/k2/state", *SENT_TO_KIOSKS],
        # What everybody may read comes by the patterns too.
        ["vaora/v1/cp/k2/state", *SENT_TO_KIOSKS],
    ),
}
ALSO_READ = {
    # Signed for all kiosks, and no secret: the patterns give it to every other name as well.
    "vaora-enrol": ["vaora/v1/trust", "vaora/v1/revocations", *KIOSKS_READ[-2:]],
    "vaora-central": ["vaora/v1/trust", "vaora/v1/revocations", *KIOSKS_READ[-2:]],
}


@pytest.fixture(scope="module")
def anybody(fleet):
    """Writes everything, past the access list's names: by the programs that may."""
    writers = {}
    for name in ("k1", "k2", "vaora-claim", "vaora-enrol", "vaora-central", "vaora-fleet"):
        writers[name] = Client(fleet, name)
        writers[name].wait_for(Connected)
    yield writers
    for one in writers.values():
        one.broker.close()


@pytest.mark.parametrize("name", MAY)
def test_each_name_may_write_its_own_and_nothing_else(anybody, name):
    client, (may, _) = anybody[name], MAY[name]
    written = [topic for topic in EVERYTHING if client.may_write(topic.format(name=name))]
    assert sorted(written) == sorted(may)


@pytest.mark.parametrize("name", MAY)
def test_each_name_may_read_its_own_and_nothing_else(fleet, anybody, name):
    """Everybody writes what they may; only what is this one's is delivered."""
    _, may = MAY[name]
    listener = Client(fleet, name)
    listener.broker.close()
    listener.broker = Broker(
        Options(
            "127.0.0.1",
            fleet[1],
            f"{name}-listens",
            wishes=("#", *(topic.format(name=name) for topic in EVERYTHING)),
            tls=fleet[0].tls(name),
        )
    )
    listener.heard = []
    listener.broker.connect()
    listener.wait_for(Connected)
    for writer, client in anybody.items():
        for topic in EVERYTHING:
            for address in {topic.format(name=name), topic.format(name=writer)}:
                client.broker.publish(Message(address, b"x"))
    for client in anybody.values():
        client.may_write("anything")  # all before it has been judged
    heard = set()
    while more := listener.broker.wait(0.3):
        heard |= {one.message.topic for one in more if isinstance(one, Received)}
    # What is another's is one and the same, whoever that is.
    heard = {
        topic if f"/{name}/" in topic else re.sub("cp/[^/]+/", "cp/k2/", topic) for topic in heard
    }
    allowed = {topic.format(name=name) for topic in [*may, *ALSO_READ.get(name, [])]}
    assert heard <= allowed
    # Of what nobody at all may write to this name there is nothing to hear.
    assert allowed - heard <= {f"vaora/v1/cp/{name}/{leaf}" for leaf in ("receipt", "settings")}
    listener.broker.close()


@pytest.fixture
def by_any_name(monkeypatch):
    """A stranger's own program: it connects by whichever name it likes."""
    monkeypatch.setattr(brokers, "_client_id", lambda options: options.client_id)


def test_who_has_a_card_ends_nobodys_connection(fleet, request):
    """mosquitto gives a connection's name to whoever comes with it, so nobody else can tell it."""
    made, port = fleet

    def opened(name, client_id):
        options = Options("127.0.0.1", port, client_id, tls=made.tls(name))
        client = Client(fleet, name)
        client.broker.close()
        client.broker, client.heard = Broker(options), []
        client.broker.connect()
        client.wait_for(Connected)
        return client

    central = opened("vaora-central", "vaora-central")
    request.getfixturevalue("by_any_name")
    opened("vaora-claim", "vaora-central").broker.close()
    central.drain()
    assert central.heard == []
    central.broker.close()


def test_the_name_of_a_connection_stays_as_long_as_its_key(fleet, tmp_path):
    made, _ = fleet
    first, second = (made.tls(name) for name in ("k1", "k2"))
    names = [
        brokers._client_id(Options("h", 1, "vaora", tls=tls))
        for tls in (first, first, second, Tls("ca", str(tmp_path / "x"), str(tmp_path / "x")))
    ]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("vaora-")
    assert names[3] == brokers._client_id(Options("h", 1, "vaora")) == "vaora"


@pytest.mark.usefixtures("by_any_name")
def test_a_card_that_takes_over_the_desks_connection_hears_nothing_of_what_waited(fleet):
    """What waits is judged anew by the certificate, should somebody come by the desk's name."""
    made, port = fleet

    def opened(name, *subscriptions):
        options = Options(
            "127.0.0.1", port, "desk", subscriptions, tls=made.tls(name), session_s=60
        )  # fmt: skip
        client = Client(fleet, name)
        client.broker.close()
        client.broker, client.heard = Broker(options), []
        client.broker.connect()
        client.wait_for(Connected)
        return client

    desk = opened("vaora-enrol", "vaora/v1/claim/+/request")
    desk.broker.close()  # and what is asked now waits for it
    other = Client(fleet, "vaora-claim")
    other.wait_for(Connected)
    assert other.may_write("vaora/v1/claim/k7/request")
    assert opened("vaora-claim").drain() == []
