"""The central's loop, with a store that fails and a link that is told what to say."""

import pytest

from central.loop import CentralLoop
from central.store import Store, StoreError
from sync_daemon import topics
from sync_daemon.broker import BrokerError, Connected, Lost, Message, Received
from sync_daemon.protocol import Receiver
from sync_daemon.topics import Address, OutboxState, State
from tests.made_up import NOON, FakeClock, body

HERE = Address("cp", "k1")


class Wire:
    """A link that hears what it is given and keeps what it was told."""

    def __init__(self):
        self.heard, self.published, self.acknowledged, self.connects = [], [], [], 0
        self.down = False

    def connect(self):
        self.connects += 1
        if self.down:
            raise BrokerError("nobody listens there")
        self.heard.append(Connected(20, 1000))

    def publish(self, message, content_type="", *, retain=False):
        if self.down:
            raise BrokerError("not connected")
        assert content_type == topics.JSON_TYPE
        assert not retain
        self.published.append((message.topic, topics.read_receipt(message.body)))
        return 1

    def acknowledge(self, received):
        self.acknowledged.append(received.mid)

    def wait(self, _timeout_s):
        heard, self.heard = self.heard, []
        return heard

    def close(self, *, with_will=False):
        pass

    def deliver(self, topic, message, mid=1):
        self.heard.append(Received(Message(topic, message), mid))


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "central.db")
    yield opened
    opened.close()


@pytest.fixture
def central(store, wire, clock):
    loop = CentralLoop(store=store, broker=wire, clock=clock)
    loop.turn(0)
    return loop


def test_what_comes_is_kept_acknowledged_and_confirmed(central, store, wire):
    wire.deliver(HERE.checkins, b"[" + body(1) + b"," + body(2) + b"]", mid=7)
    central.turn(0)
    assert store.count() == 2
    assert wire.acknowledged == [7]
    ((topic, receipt),) = wire.published
    assert (topic, receipt.outbox, receipt.through) == (HERE.receipt, "ob", 2)


def test_many_messages_of_one_turn_get_one_receipt(central, wire):
    for seq in range(1, 6):
        wire.deliver(HERE.checkins, b"[" + body(seq) + b"]", mid=seq)
    central.turn(0)
    assert [receipt.through for _, receipt in wire.published] == [5]
    assert wire.acknowledged == [1, 2, 3, 4, 5]


def test_what_could_not_be_kept_is_not_confirmed(central, store, wire, clock, monkeypatch):
    def fail(_deliveries, _at):
        raise StoreError("central.db: disk full")

    wire.deliver(HERE.checkins, b"[" + body(1) + b"]")
    monkeypatch.setattr(store, "keep", fail)
    central.turn(0)
    central.turn(0)
    assert wire.acknowledged == []
    assert wire.published == []
    assert wire.connects == 1
    monkeypatch.undo()
    # The link is dropped: only a new connection brings again what wasn't acknowledged.
    clock.pass_(3)
    central.turn(0)
    assert wire.connects == 2
    wire.deliver(HERE.checkins, b"[" + body(1) + b"]")
    central.turn(0)
    assert [receipt.through for _, receipt in wire.published] == [1]


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        (HERE.checkins, b"rubbish"),
        (HERE.state, b"rubbish"),
        ("vaora/v1/too/short", b"x"),
        (HERE.topic("other"), b"x"),
    ],
)
def test_rubbish_is_said_and_the_rest_goes_on(central, store, wire, topic, message):
    wire.deliver(topic, message)
    wire.deliver(HERE.checkins, b"[" + body(1) + b"]", mid=2)
    central.turn(0)
    assert store.count() == 1
    assert 2 in wire.acknowledged


def state(**outbox):
    known = OutboxState("ob", 9, 4, 5, None, 0, **outbox)
    return topics.encode(State(online=True, outbox=known))


def test_a_kiosks_state_is_answered_with_a_receipt(central, wire):
    wire.deliver(HERE.state, state())
    central.turn(0)
    ((_, receipt),) = wire.published
    assert (receipt.through, receipt.again) == (0, [(1, 4)])


def test_what_is_gone_is_written_down(central, store, wire, caplog):
    wire.deliver(HERE.state, state(gone=[(1, 2)]))
    central.turn(0)
    assert wire.published[-1][1].through == 2
    assert "can't send check-ins [(1, 2)] any more" in caplog.text
    ledger = store.ledgers()[HERE, "ob"]
    assert ledger.through == 2


def test_what_came_by_a_stick_meanwhile_is_not_asked_for(central, store, wire, tmp_path):
    wire.deliver(HERE.state, state())
    central.turn(0)
    assert wire.published[-1][1].again == [(1, 4)]
    other = Store(store._path)  # `vaora-central import`, beside the running central
    other.keep(
        [Receiver().receive(HERE, b"[" + b",".join(body(seq) for seq in range(1, 5)) + b"]")], NOON
    )
    other.close()
    central._recount_due.clear()
    wire.deliver(HERE.state, state(gone=[(1, 4)]))
    central.turn(0)
    assert wire.published[-1][1].through == 4
    assert store._db.execute("select * from gone").fetchall() == []


def test_a_broker_that_is_away_is_asked_again_and_said_once(store, clock, caplog):
    wire = Wire()
    wire.down = True
    central = CentralLoop(store=store, broker=wire, clock=clock)
    for _ in range(20):
        central.turn(0)
        clock.pass_(0.5)
    assert 4 <= wire.connects <= 6
    assert caplog.text.count("no broker") == 1
    wire.down = False
    for _ in range(8):
        central.turn(0)
        clock.pass_(0.5)
    wire.heard.append(Lost("dropped"))
    central.turn(0)
    assert caplog.text.count("no broker") == 2


def test_a_restart_knows_what_it_has(central, store, wire, clock):
    wire.deliver(HERE.checkins, b"[" + body(1) + b"," + body(2) + b"]")
    central.turn(0)
    central.stop()
    again = CentralLoop(store=store, broker=wire, clock=clock)
    again.turn(0)
    wire.published.clear()
    wire.deliver(HERE.checkins, b"[" + body(3) + b"]")
    again.turn(0)
    assert [receipt.through for _, receipt in wire.published] == [3]
