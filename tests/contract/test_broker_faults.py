"""A broker that refuses, lies, falls silent or hangs: each has its words and its cure.

It speaks MQTT 5 byte by byte (OASIS MQTT 5.0, section 3), so that it can answer as no real one
would on purpose.
"""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from checkin.clock import SystemClock
from checkin.outbox import Outbox
from sync_daemon import broker, reasons
from sync_daemon.broker import (
    Acknowledged,
    Broker,
    BrokerError,
    Connected,
    Lost,
    Message,
    Options,
    TurnedDown,
)
from sync_daemon.loop import SyncLoop
from sync_daemon.protocol import Sender, Terms
from sync_daemon.topics import Address
from tests.made_up import append

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12

# The codes that a CONNACK may carry (3.2.2.2), but for 0x99, which paho takes for none of them;
# 0x84 is answered by asking in MQTT 3.1.1.
REFUSALS = (
    0x80, 0x81, 0x82, 0x83, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x9A,
    0x9B, 0x9C, 0x9D, 0x9F,
)  # fmt: skip


class Scripted:
    """A broker on a port of its own. `answer` maps a packet type to the bytes it is answered by."""

    def __init__(self, **answer):
        self.answer = {"connect": bytes((0x20, 3, 0, 0, 0)), "ping": b"\xd0\x00"} | answer
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.sizes, self.ended = [], threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.ended.is_set():
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection):
        read = connection.makefile("rb")
        while head := read.read(1):
            kind, flags = head[0] >> 4, head[0] & 15
            length, shift = 0, 0
            while True:
                byte = read.read(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = read.read(length)
            if kind == CONNECT:
                connection.sendall(self.answer["connect"])
            elif kind == SUBSCRIBE and "subscribe" in self.answer:
                codes = self.answer["subscribe"]
                connection.sendall(bytes((0x90, 3 + len(codes))) + body[:2] + b"\0" + codes)
            elif kind == PUBLISH and flags & 6:
                self.sizes.append(length)
                at = 2 + int.from_bytes(body[:2], "big")
                connection.sendall(self._puback(body[at : at + 2], length))
            elif kind == PINGREQ:
                connection.sendall(self.answer["ping"])

    def _puback(self, mid, length):
        found = self.answer.get("publish", b"\0")
        code = found(length) if callable(found) else found
        if code is None or len(code) > 1:  # silence, or a packet of another kind
            return code or b""
        return bytes((0x40, 4)) + mid + code + b"\0"

    def close(self):
        self.ended.set()
        self.server.close()


@contextmanager
def scripted(**answer):
    made = Scripted(**answer)
    try:
        yield made
    finally:
        made.close()


def refusal(code):
    return bytes((0x20, 3, 0, code, 0))


def goodbye(code):
    return bytes((0xE0, 2, code, 0))


def link(port, **more):
    return Broker(Options(host="127.0.0.1", port=port, client_id="k1", **more))


def hear(one, patience_s=8.0):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        for heard in one.wait(0.05):
            return heard
    raise AssertionError("nothing heard")


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refused_connection_says_which_code_and_what_to_do(code):
    with scripted(connect=refusal(code)) as there:
        one = link(there.port)
        one.connect()
        heard = hear(one)
        one.close()
    found = reasons.REASONS[code]
    assert isinstance(heard, Lost)
    assert heard.reason.startswith("the broker refused the connection: ")
    assert f"(0x{code:02X}); {found.advice}" in heard.reason
    assert heard.patient == found.patient
    assert heard.too_large == (code == 0x95)


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2])
def test_a_refused_subscription_is_no_connection(code):
    topics = ("vaora/v1/cp/k1/receipt", "vaora/v1/cp/k1/settings")
    with scripted(subscribe=bytes((1, code))) as there:
        one = link(there.port, subscriptions=topics)
        one.connect()
        heard = hear(one)
        one.close()
    assert isinstance(heard, Lost)
    assert f"let this client read ({topics[1]}): " in heard.reason
    assert f"0x{code:02X}" in heard.reason


def test_a_wish_that_the_broker_refuses_is_said_and_holds_up_nothing():
    with scripted(subscribe=bytes((1, 0x87))) as there:
        one = link(there.port, subscriptions=("a/receipt",), wishes=("a/settings",))
        one.connect()
        heard = hear(one)
        one.close()
    assert isinstance(heard, Connected)
    assert "read (a/settings): not authorized (0x87)" in heard.unread[0]


def test_a_subscription_with_a_lower_quality_stands():
    with scripted(subscribe=b"\0") as there:
        one = link(there.port, subscriptions=("a/receipt",))
        one.connect()
        assert isinstance(hear(one), Connected)
        one.close()


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
def test_a_refused_message_is_turned_down_and_never_counts_as_there(code):
    with scripted(publish=bytes((code,))) as there:
        one = link(there.port)
        one.connect()
        assert isinstance(hear(one), Connected)
        mid = one.publish(Message("vaora/v1/cp/k1/checkins", b"[]"))
        heard = hear(one)
        one.close()
    assert isinstance(heard, TurnedDown)
    assert (heard.mid, heard.too_large) == (mid, False)
    assert f"0x{code:02X}" in heard.reason
    assert heard.patient == reasons.reason_of(code).patient


def test_no_matching_subscribers_is_an_acknowledgement():
    with scripted(publish=b"\x10") as there:
        one = link(there.port)
        one.connect()
        assert isinstance(hear(one), Connected)
        mid = one.publish(Message("t", b""))
        assert hear(one) == Acknowledged(mid)
        one.close()


@pytest.mark.parametrize("code", [0x8B, 0x8E, 0x93, 0x95, 0x97, 0x98, 0x9F])
def test_a_goodbye_of_the_brokers_says_why(code):
    with scripted(ping=goodbye(code)) as there:
        one = link(there.port, keepalive_s=1)
        one.connect()
        assert isinstance(hear(one), Connected)
        heard = hear(one)
        one.close()
    assert isinstance(heard, Lost)
    assert heard.reason.startswith("the broker ended the connection: ")
    assert f"0x{code:02X}" in heard.reason
    assert heard.too_large == (code == 0x95)


def test_a_half_open_connection_is_noticed_by_the_keep_alive():
    with scripted(ping=b"") as there:
        one = link(there.port, keepalive_s=1)
        one.connect()
        assert isinstance(hear(one), Connected)
        began = time.monotonic()
        assert isinstance(hear(one), Lost)
        assert time.monotonic() - began < 5
        one.close()


def test_a_code_that_no_standard_names_is_said_with_its_number():
    with scripted(connect=refusal(0xEE)) as there:
        one = link(there.port)
        one.connect()
        heard = hear(one)
        one.close()
    assert isinstance(heard, Lost)


def test_a_name_server_that_hangs_holds_up_nobody(monkeypatch):
    hanging = threading.Event()

    def never(*_arguments, **_more):
        hanging.wait(20)
        raise OSError("at last")

    monkeypatch.setattr(broker, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    one = Broker(Options(host="broker.example", port=8883, client_id="k1"))
    for says in ("no answer", "the look-up of its name still hangs"):
        began = time.monotonic()
        with pytest.raises(BrokerError, match=says):
            one.connect()
        assert time.monotonic() - began < 2
    threads = [thread for thread in threading.enumerate() if thread.name == "vaora-connect"]
    assert len(threads) == 1
    hanging.set()
    threads[0].join(5)
    with pytest.raises(BrokerError, match="at last"):
        one.connect()


@contextmanager
def daemon(tmp_path, port, **terms):
    outbox = Outbox(tmp_path / "outbox.db")
    patience = {"answer_s": 1.0, "wait_initial_s": 0.05, "wait_max_s": 0.1, "confirm": "broker"}
    sender = Sender(outbox.id, 0, Terms(**(patience | terms)), jitter=lambda: 0.5)
    loop = SyncLoop(
        address=Address("cp", "k1"),
        outbox=outbox,
        sender=sender,
        broker=link(port),
        clock=SystemClock(),
        kiosk_health=tmp_path / "k.json",
        sync_health=tmp_path / "s.json",
        confirm="broker",
    )
    try:
        yield outbox, loop
    finally:
        loop.stop()
        outbox.close()


def until(loop, done, patience_s=15.0):
    end = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < end
        loop.turn(0.02)


def test_messages_shrink_until_the_broker_takes_them(tmp_path):
    """It names no limit and hangs up on what is longer: each row arrives all the same."""
    small = 4_000
    with (
        scripted(publish=lambda length: goodbye(0x95) if length > small else b"\0") as there,
        daemon(tmp_path, there.port) as (outbox, loop),
    ):
        for n in range(60):
            append(outbox, n)
        until(loop, lambda: outbox.pending_count() == 0)
        assert max(there.sizes) > small


def test_a_broker_that_acknowledges_nothing_settles_nothing(tmp_path, caplog):
    with scripted(publish=None) as there:
        there.answer["publish"] = lambda _length: None
        with daemon(tmp_path, there.port) as (outbox, loop):
            append(outbox, 0)
            until(loop, lambda: len(there.sizes) > 3)
            assert outbox.pending_count() == 1
    assert "acknowledges nothing (1 s)" in caplog.text


def test_a_quota_that_is_used_up_loses_nothing_and_says_whom_to_ask(tmp_path, caplog):
    with (
        scripted(publish=b"\x97") as there,
        daemon(tmp_path, there.port) as (outbox, loop),
    ):
        append(outbox, 0)
        until(loop, lambda: "quota" in caplog.text)
        assert outbox.pending_count() == 1
        there.answer["publish"] = b"\0"
        until(loop, lambda: outbox.pending_count() == 0)
    assert "quota exceeded (0x97); look at the broker's limits" in caplog.text
