"""The MQTT adapter, against real brokers: mosquitto (MQTT 5) and amqtt (MQTT 3.1.1)."""

import contextlib
import socket
import ssl
import sys
import threading
import time

import pytest

from central.loop import CentralLoop
from central.store import Store, StoreError
from checkin.clock import SystemClock
from demo.link import Link
from demo.programs import BrokerProgram, Program, free_port, mosquitto_path, wait_for_port
from sync_daemon.broker import (
    Acknowledged,
    Broker,
    BrokerError,
    Connected,
    Lost,
    Message,
    Options,
    Received,
    Tls,
    TurnedDown,
)
from tests.authority import authority, certificate, readable_by_mosquitto
from tests.made_up import body

PATIENCE_S = 10


STARTED = []


@pytest.fixture(autouse=True)
def brokers_end():
    """A broker that a test left running, because it failed, ends with it."""
    yield
    for broker in STARTED:
        broker.stop()
    STARTED.clear()


def mosquitto(folder, extra="", *, started=STARTED):  # one for a whole module ends itself
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    broker = BrokerProgram(folder, extra=extra)
    broker.start()
    started.append(broker)
    return broker


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def port(request, tmp_path_factory):
    if request.param == "mosquitto":
        broker = mosquitto(tmp_path_factory.mktemp("mosquitto"), started=[])
        yield broker.port
        broker.stop()
        return
    port = free_port()
    program = Program("amqtt", [sys.executable, "-m", "demo.amqtt_broker", str(port)])
    wait_for_port(port, program)
    yield port
    program.stop()


def options(port, client_id, **more):
    return Options(host="127.0.0.1", port=port, client_id=client_id, **more)


def hear(broker, wanted, patience_s=PATIENCE_S):
    """Wait until something of type `wanted` is heard; return it. The rest waits its turn."""
    end = time.monotonic() + patience_s
    heard = broker.__dict__.setdefault("heard_before", [])
    while time.monotonic() < end:
        for one in heard:
            if isinstance(one, wanted):
                heard.remove(one)
                return one
        heard += broker.wait(0.05)
    raise AssertionError(f"no {wanted} in {patience_s} s, only {heard}")


def connected(port, client_id, **more):
    """A connected broker; one that only knows MQTT 3.1.1 needs a second try."""
    broker = Broker(options(port, client_id, **more))
    for _ in range(4):
        broker.connect()
        try:
            heard = hear(broker, Connected | Lost, patience_s=1.5)
        except AssertionError:
            continue
        if isinstance(heard, Connected):
            return broker
    raise AssertionError(f"{client_id} is not connected")


def test_a_message_is_acknowledged_and_arrives(port):
    listener = connected(port, "listener", subscriptions=("a/+/c",))
    sender = connected(port, "sender")
    mid = sender.publish(Message("a/b/c", b"\x00\xffbytes"), "application/x")
    assert hear(sender, Acknowledged) == Acknowledged(mid)
    assert hear(listener, Received).message == Message("a/b/c", b"\x00\xffbytes")
    for broker in (listener, sender):
        broker.close()


def test_many_messages_are_each_acknowledged(port):
    sender = connected(port, "many")
    mids = {sender.publish(Message("a/many", b"%d" % n)) for n in range(50)}
    while mids:
        mids.discard(hear(sender, Acknowledged).mid)
    sender.close()


def test_the_last_will_is_published_when_the_process_dies(port):
    listener = connected(port, "watcher", subscriptions=("w/state",))
    dying = connected(port, "dying", will=Message("w/state", b"offline"))
    # What a SIGKILL does: the socket ends without a goodbye.
    dying._client.socket().close()
    assert hear(listener, Received).message.body == b"offline"
    listener.close()


def test_a_goodbye_with_the_will_says_it_too(port):
    listener = connected(port, "watcher2", subscriptions=("w2/state",))
    going = connected(port, "going", will=Message("w2/state", b"offline"))
    going.close(with_will=True)
    assert hear(listener, Received).message.body == b"offline"
    listener.close()


def test_a_retained_state_is_there_for_who_comes_later(port):
    sender = connected(port, "retainer")
    sender.publish(Message("r/state", b"here"), retain=True)
    hear(sender, Acknowledged)
    later = connected(port, "later", subscriptions=("r/state",))
    # amqtt sends every retained message to whoever subscribes to any; ours look at the topic.
    while (message := hear(later, Received).message).topic != "r/state":
        pass
    assert message.body == b"here"
    for broker in (sender, later):
        broker.close()


def test_nobody_there_is_said_with_what_to_look_at():
    with pytest.raises(BrokerError, match="is the broker running, and the port right"):
        Broker(options(free_port(), "x")).connect()


def test_an_unknown_name_is_said():
    unknown = Options(host="no-such-name.invalid", port=1883, client_id="x")
    with pytest.raises(BrokerError, match="the name is not known"):
        Broker(unknown).connect()


def test_publishing_without_a_connection_is_an_error():
    with pytest.raises(BrokerError, match="not connected"):
        Broker(options(1, "x")).publish(Message("a", b""))


def test_a_cut_connection_is_noticed_and_a_new_one_stands(port):
    link = Link(port)
    broker = connected(link.port, "cut")
    link.cut()
    assert isinstance(hear(broker, Lost), Lost)
    assert broker.wait(0.01) == []
    link.restore()
    for _ in range(3):  # one that knows only 3.1.1 is asked in 5 first, each time
        broker.connect()
        if isinstance(hear(broker, Connected | Lost), Connected):
            break
    else:
        pytest.fail("no connection any more")
    link.close()
    broker.close()


def test_waiting_without_a_connection_waits():
    broker = Broker(options(1, "x"))
    began = time.monotonic()
    assert broker.wait(0.05) == []
    assert time.monotonic() - began >= 0.045


# ── what only MQTT 5 and mosquitto show


def test_the_brokers_receive_maximum_is_heard(tmp_path):
    broker = mosquitto(tmp_path, "allow_anonymous true\nmax_inflight_messages 7")
    client = Broker(options(broker.port, "x"))
    client.connect()
    assert hear(client, Connected).receive_maximum == 7
    client.close()
    broker.stop()


def test_a_topic_that_is_not_allowed_is_turned_down_and_not_settled(tmp_path):
    (tmp_path / "acl").write_text("topic write allowed\n")
    readable_by_mosquitto(tmp_path)
    broker = mosquitto(tmp_path, f"allow_anonymous true\nacl_file {tmp_path / 'acl'}")
    client = connected(broker.port, "x")
    mid = client.publish(Message("forbidden", b"x"))
    heard = hear(client, TurnedDown | Acknowledged)
    assert (type(heard), heard.mid, heard.patient) == (TurnedDown, mid, True)
    assert "not authorized (0x87)" in heard.reason
    mid = client.publish(Message("allowed", b"x"))
    assert hear(client, TurnedDown | Acknowledged) == Acknowledged(mid)
    client.close()
    broker.stop()


def test_the_brokers_largest_packet_is_heard(tmp_path):
    broker = mosquitto(tmp_path, "allow_anonymous true\nmax_packet_size 5000")
    client = Broker(options(broker.port, "x"))
    client.connect()
    assert hear(client, Connected).packet_bytes == 5000
    client.close()
    broker.stop()


def test_a_refused_login_is_said(tmp_path):
    broker = mosquitto(tmp_path, "allow_anonymous false")
    client = Broker(options(broker.port, "x"))
    client.connect()
    assert "not authorized" in hear(client, Lost).reason
    client.close()
    broker.stop()


def test_a_session_keeps_what_came_while_we_were_away_until_it_is_acknowledged(tmp_path):
    broker = mosquitto(tmp_path)
    keeping = {"subscriptions": ("s/#",), "session_s": 600, "acknowledge_by_hand": True}
    first = connected(broker.port, "central", **keeping)
    sender = connected(broker.port, "sender")
    sender.publish(Message("s/1", b"one"))
    hear(sender, Acknowledged)
    assert hear(first, Received).message.body == b"one"
    first.close()  # ... before it was acknowledged
    sender.publish(Message("s/2", b"two"))
    hear(sender, Acknowledged)
    second = connected(broker.port, "central", **keeping)
    got = [hear(second, Received) for _ in range(2)]
    assert sorted(one.message.body for one in got) == [b"one", b"two"]
    for one in got:
        second.acknowledge(one)
    second.wait(0.1)
    second.close()
    third = connected(broker.port, "central", **keeping)
    assert not [one for one in third.wait(0.3) if isinstance(one, Received)]
    for client in (third, sender):
        client.close()
    broker.stop()


def test_a_broker_that_speaks_5_is_never_asked_in_3_however_often_it_is_cut_off(tmp_path):
    """In 3.1.1 it would acknowledge what it throws away."""
    (tmp_path / "acl").write_text("topic write allowed\n")
    readable_by_mosquitto(tmp_path)
    broker = mosquitto(tmp_path, f"allow_anonymous true\nacl_file {tmp_path / 'acl'}")
    link = Link(broker.port)
    client = connected(link.port, "x")
    for _ in range(4):
        link.cut()
        hear(client, Lost)
        link.restore()
        client.connect()  # ... and cut in mid-connect
        link.cut()
        hear(client, Lost)
        link.restore()
        client.connect()
        assert hear(client, Connected).can_refuse
    client.publish(Message("forbidden", b"x"))
    assert isinstance(hear(client, TurnedDown | Acknowledged), TurnedDown)
    link.close()
    client.close()
    broker.stop()


def test_our_own_goodbye_is_no_news(tmp_path):
    broker = mosquitto(tmp_path)
    client = connected(broker.port, "x")
    client.close(with_will=True)
    assert client.wait(0.05) == []
    broker.stop()


# ── TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two authorities; the first signed a broker's certificate and a kiosk's."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ca", "other"):
        authority(folder, name)
    for name in ("broker", "kiosk"):
        certificate(folder, name)
    readable_by_mosquitto(folder)
    return folder


@pytest.fixture(scope="module")
def tls_port(certificates):
    c = certificates
    broker = mosquitto(
        c / "run",
        f"allow_anonymous true\ncafile {c}/ca.pem\ncertfile {c}/broker.pem\n"
        f"keyfile {c}/broker.key\nrequire_certificate true",
        started=[],
    )
    yield broker.port
    broker.stop()


def test_mutual_tls_connects_and_carries_messages(tls_port, certificates):
    c = certificates
    tls = Tls(f"{c}/ca.pem", f"{c}/kiosk.pem", f"{c}/kiosk.key")
    client = connected(tls_port, "tls", tls=tls, subscriptions=("t",))
    for size in (10, 200_000):
        client.publish(Message("t", b"x" * size))
        assert len(hear(client, Received).message.body) == size
    client.close()


def test_tls_is_1_3_where_both_know_it(tls_port, certificates):
    tls = Tls(*(str(certificates / name) for name in ("ca.pem", "kiosk.pem", "kiosk.key")))
    client = connected(tls_port, "k1-newest", tls=tls)
    assert client._client.socket().version() == "TLSv1.3"
    client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that they are old is the point
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a_broker_that_knows_only_old_tls_is_not_spoken_to(certificates, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificates / "broker.pem", certificates / "broker.key")
    context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True)

        threading.Thread(target=greet, daemon=True).start()
        tls = Tls(*(str(certificates / name) for name in ("ca.pem", "kiosk.pem", "kiosk.key")))
        with pytest.raises(BrokerError, match="no TLS connection"):
            Broker(options(port, "k1", tls=tls)).connect()


def test_a_broker_of_another_authority_is_not_trusted(tls_port, certificates):
    c = certificates
    tls = Tls(f"{c}/other.pem", f"{c}/kiosk.pem", f"{c}/kiosk.key")
    with pytest.raises(BrokerError, match="certificate was not accepted"):
        Broker(options(tls_port, "x", tls=tls)).connect()


def test_without_a_certificate_of_its_own_a_kiosk_is_not_taken(tls_port, certificates):
    client = Broker(options(tls_port, "x", tls=Tls(f"{certificates}/ca.pem")))
    try:
        client.connect()
    except BrokerError:
        return
    assert isinstance(hear(client, Lost | Connected), Lost)


def test_a_missing_file_is_named(tls_port, certificates):
    tls = Tls(f"{certificates}/ca.pem", "/nowhere/kiosk.pem", "/nowhere/kiosk.key")
    with pytest.raises(
        BrokerError, match="cert_file = /nowhere/kiosk.pem.*can't be read: No such file"
    ):
        Broker(options(tls_port, "x", tls=tls)).connect()


def test_no_thread_is_left_behind(port):
    before = set(threading.enumerate())
    broker = connected(port, "threads")
    broker.close()
    assert set(threading.enumerate()) <= before


# ── a central on a real broker whose disk fails


def test_what_came_while_the_centrals_disk_was_full_comes_again(tmp_path, monkeypatch):
    broker = mosquitto(tmp_path / "broker")
    store = Store(tmp_path / "central.db")
    keeping = {"subscriptions": ("vaora/v1/+/+/checkins",), "session_s": 600}
    link = Broker(options(broker.port, "central", acknowledge_by_hand=True, **keeping))
    central = CentralLoop(store=store, broker=link, clock=SystemClock())
    turn_until(central, lambda: central._online)
    real = store.keep

    def full(_deliveries, _at):
        raise StoreError("central.db: disk full")

    monkeypatch.setattr(store, "keep", full)
    sender = connected(broker.port, "kiosk")
    for seq in range(1, 31):
        sender.publish(Message("vaora/v1/cp/k1/checkins", b"[" + body(seq) + b"]"))
    turn_until(central, lambda: not central._online)
    assert store.count() == 0
    monkeypatch.setattr(store, "keep", real)
    turn_until(central, lambda: store.count() == 30)
    central.stop()
    store.close()
    sender.close()
    broker.stop()


def turn_until(central, true):
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        central.turn(0.05)
