"""A broker and a central for one client on this machine's own loopback, for a rehearsal.

As much of MQTT 5 as a sync daemon speaks, with the central's own protocol behind it: what comes is
taken as the central would take it, and its receipt goes back on the same connection. Nothing is
kept, and nobody but this machine can reach it.
"""

import select
import socket
from collections.abc import Iterator
from contextlib import suppress

from sync_daemon import topics
from sync_daemon.protocol import Receiver
from sync_daemon.topics import MessageError

# MQTT 5.0, 2.1.2: types of packets.
PACKETS = {1: "connect", 3: "publish", 8: "subscribe", 10: "unsubscribe", 12: "ping"}
CONNACK = b"\x20\x03\x00\x00\x00"  # 3.2: no session, success, no properties
PINGRESP = b"\xd0\x00"
PUBLISH, PUBACK, SUBACK, UNSUBACK = 0x30, 0x40, 0x90, 0xB0
GRANTED_QOS_1 = 1

LONGEST_BYTES = 16 * 1024 * 1024  # what one client may send before it says a whole packet
READ_BYTES = 65_536


class Loopback:
    """Listens on `port`; call `turn` again and again. `confirmed` counts what came."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._client: socket.socket | None = None
        self._unread = b""
        self._receiver = Receiver()
        self.confirmed = 0

    def turn(self, wait_s: float) -> None:
        """Answer what came; wait at most so long for it."""
        waiting = [self._listening] if self._client is None else [self._listening, self._client]
        readable, _, _ = select.select(waiting, [], [], wait_s)
        if self._listening in readable:
            self._forget_client()
            self._client, _ = self._listening.accept()
        elif self._client is not None and self._client in readable:
            with suppress(OSError):
                self._read(self._client)

    def close(self) -> None:
        self._forget_client()
        self._listening.close()

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self._unread = None, b""

    def _read(self, client: socket.socket) -> None:
        came = client.recv(READ_BYTES)
        self._unread += came
        if not came or len(self._unread) > LONGEST_BYTES:
            self._forget_client()
            return
        while (packet := _packet(self._unread)) is not None:
            first, body, length = packet
            self._unread = self._unread[length:]
            for answer in self._answers(first, body):
                client.sendall(answer)

    def _answers(self, first: int, body: bytes) -> Iterator[bytes]:
        match PACKETS.get(first >> 4):
            case "connect":
                yield CONNACK
            case "ping":
                yield PINGRESP
            case "subscribe":
                yield _acknowledged(SUBACK, body[:2], bytes([GRANTED_QOS_1]) * _filters(body, 1))
            case "unsubscribe":
                yield _acknowledged(UNSUBACK, body[:2], bytes(_filters(body, 0)))
            case "publish":
                yield from self._published(first, body)

    def _published(self, first: int, body: bytes) -> Iterator[bytes]:
        topic, at = _text(body, 0)
        if first & 0x06:  # QoS 1: 3.3.1.2
            yield bytes([PUBACK, 2]) + body[at : at + 2]
            at += 2
        length, at = _number(body, at)
        yield from self._receipts(topic, body[at + length :])

    def _receipts(self, topic: str, payload: bytes) -> Iterator[bytes]:
        """What the central says to `payload`."""
        try:
            address, leaf = topics.address(topic)
        except MessageError:
            return
        if leaf != "checkins":
            return
        delivery = self._receiver.receive(address, payload)
        self._receiver.kept(delivery)
        self.confirmed += sum(run.last - run.first + 1 for run in delivery.runs)
        for to, receipt in self._receiver.receipts():
            name = to.receipt.encode()
            said = len(name).to_bytes(2) + name + b"\x00" + topics.encode(receipt)
            yield bytes([PUBLISH]) + _as_number(len(said)) + said


def _packet(raw: bytes) -> tuple[int, bytes, int] | None:
    """First byte, body and whole length of the packet that `raw` begins with, once it is whole."""
    try:
        length, at = _number(raw, 1)
    except IndexError:
        return None
    if len(raw) < at + length:
        return None
    return raw[0], raw[at : at + length], at + length


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5) and where it ends."""
    number = shift = 0
    while True:
        number |= (raw[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not raw[at - 1] & 0x80:
            return number, at


def _as_number(number: int) -> bytes:
    said = b""
    while True:
        number, low = divmod(number, 0x80)
        said += bytes([low | (0x80 if number else 0)])
        if not number:
            return said


def _text(raw: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(raw[at : at + 2])
    return raw[at + 2 : end].decode("utf-8", "replace"), end


def _filters(body: bytes, options: int) -> int:
    """How many topic filters there are, each with so many bytes of `options` behind it."""
    length, at = _number(body, 2)
    at, count = at + length, 0
    while at < len(body):
        _, at = _text(body, at)
        at, count = at + options, count + 1
    return count


def _acknowledged(kind: int, packet_id: bytes, reasons: bytes) -> bytes:
    said = packet_id + b"\x00" + reasons
    return bytes([kind]) + _as_number(len(said)) + said
