"""The MQTT broker, by paho: the one module that knows paho.

One connection, one client object: a broken connection is thrown away whole, because paho keeps
QoS 1 messages of its own in memory, and the outbox is the only queue we have. What happens comes
back from `wait` as values; no callback of paho's runs any code of ours but the noting of it.
"""

import select
import socket
import ssl
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from checkin.words import N_
from sync_daemon import reasons

# MQTT 5.0, 3.2.2.3.3: what holds when the broker names no receive-maximum.
RECEIVE_MAXIMUM = 65_535

# MQTT 5.0, 2.1.4: the largest there can be, where the broker names none.
LARGEST_PACKET_BYTES = 268_435_455

# For name look-up, TCP and TLS together. A resolver without a network may take minutes.
CONNECT_TIMEOUT_S = 10.0

HANGS = N_("the look-up of its name still hangs; is the network's name server there?")

# For the broker's word on a certificate that is tried; with the above well within the watchdog.
TRIED_S = 10.0
_TRIED_TURN_S = 0.1

# Tries in MQTT 5 without an answer, in a row, before an unknown broker is asked in MQTT 3.1.1.
UNANSWERED = 2

# Packets read in one turn at most, so that a flood can't keep the loop from its other duties.
MOST_PACKETS = 1000


class BrokerError(ConnectionError):
    """The broker can't be reached, or not as this kiosk is set up; the message says why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM. The broker's certificate is checked against `ca_file` and no other."""

    ca_file: str
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Options:
    """How to connect. `session_s` is how long the broker keeps what we miss; 0 keeps nothing."""

    host: str
    port: int
    client_id: str
    subscriptions: tuple[str, ...] = ()
    wishes: tuple[str, ...] = ()  # topics to read too, where the broker lets us
    will: Message | None = None
    tls: Tls | None = None
    keepalive_s: int = 30
    session_s: int = 0
    acknowledge_by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us, and every subscription stands.

    It takes `receive_maximum` messages in flight, and packets of `packet_bytes` at most. Whether
    it `can_refuse` a message: MQTT 3.1.1 acknowledges what it throws away, MQTT 5 says so.
    """

    receive_maximum: int
    packet_bytes: int
    can_refuse: bool = True
    unread: tuple[str, ...] = ()  # what of the `wishes` it doesn't let us read, in words


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, or was refused.

    `patient`: trying again soon is of no use. `too_large`: a message was longer than it takes.
    """

    reason: str
    patient: bool = False
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has message `mid`."""

    mid: int


@dataclass(frozen=True, slots=True)
class TurnedDown:
    """The broker won't have message `mid`."""

    mid: int
    reason: str
    too_large: bool
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    message: Message
    mid: int


Heard = Connected | Lost | Acknowledged | TurnedDown | Received


@dataclass(slots=True)
class _Pending:
    """What a connection still waits for before it counts as connected."""

    connected: Connected = Connected(RECEIVE_MAXIMUM, LARGEST_PACKET_BYTES)
    subscribe_mid: int | None = None
    answered: bool = False
    heard: list[Heard] = field(default_factory=list)


class _Dial:
    """One attempt to open a connection, in a thread of its own.

    The C library's name look-up has no time limit that a caller could set, so the caller stops
    waiting instead. What comes of it afterwards is closed at once.
    """

    def __init__(self, client: Client, options: Options, arguments: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        self._arguments = arguments
        self._lock = threading.Lock()
        self._given_up = False
        self._trouble: Exception | None = None
        self.thread = threading.Thread(target=self._run, name="vaora-connect", daemon=True)
        self.thread.start()

    def finish(self, timeout_s: float) -> None:
        """Wait until the connection is open. Raises whatever went wrong."""
        self.thread.join(timeout_s)
        with self._lock:
            self._given_up = self.thread.is_alive()
        if self._given_up:
            raise TimeoutError
        if self._trouble is not None:
            raise self._trouble

    def _run(self) -> None:
        options = self._options
        try:
            self._client.connect(options.host, options.port, options.keepalive_s, **self._arguments)
        except (OSError, ValueError) as error:
            self._trouble = error
        with self._lock:
            sock = self._client.socket() if self._given_up else None
        if sock is not None:
            sock.close()


class Broker:
    """A link to one broker, opened again and again."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._knows_v5 = False
        self._unanswered = 0
        self._client: Client | None = None
        self._dial: _Dial | None = None
        self._pending = _Pending()

    def connect(self) -> None:
        """Open the connection; `wait` says whether it stands. Raises `BrokerError`.

        Blocks for name look-up, TCP and TLS, `CONNECT_TIMEOUT_S` at most together.
        """
        self.close()
        where = f"{self._options.host}:{self._options.port}"
        if self._dial is not None and self._dial.thread.is_alive():
            raise BrokerError(f"{where}: {HANGS}")
        self._pending = _Pending()
        client = self._new_client()
        if self._options.tls is not None:
            client.tls_set_context(_tls_context(self._options.tls))
        self._dial = _Dial(client, self._options, self._connect_arguments())
        try:
            self._dial.finish(CONNECT_TIMEOUT_S)
        except (OSError, ValueError) as error:
            raise BrokerError(f"{where}: {_in_words(error)}") from error
        self._client = client

    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int:
        """Send with QoS 1; the number that `Acknowledged` or `TurnedDown` will name."""
        if self._client is None:
            raise BrokerError(N_("not connected"))
        properties = None
        if self._protocol == MQTTProtocolVersion.MQTTv5 and content_type:
            properties = _typed(content_type)
        sent = self._client.publish(message.topic, message.body, 1, retain, properties)
        return sent.mid

    def read(self, topic: str) -> None:
        """Subscribe to one more topic, for as long as this connection stands."""
        if self._client is not None:
            self._client.subscribe(topic, 1)

    def leave(self, topic: str) -> None:
        """Unsubscribe from it again."""
        if self._client is not None:
            self._client.unsubscribe(topic)

    def acknowledge(self, received: Received) -> None:
        """Say that `received` is safe here (with `acknowledge_by_hand`)."""
        if self._client is not None:
            self._client.ack(received.mid, 1)

    def wait(self, timeout_s: float) -> list[Heard]:
        """Do what the connection needs for at most `timeout_s`; return what happened."""
        client, sock = self._client, self._client.socket() if self._client else None
        if client is None or sock is None:
            self._closed_without_a_word()
            if not self._pending.heard:
                select.select([], [], [], timeout_s)
            return self._take()
        writing = [sock] if client.want_write() else []
        buffered = _pending_bytes(sock)
        readable, writable, _ = select.select([sock], writing, [], 0 if buffered else timeout_s)
        if writable:
            client.loop_write()
        if readable or buffered:
            self._read(client)
            _acknowledge_at_once(client.socket())
        client.loop_misc()
        if client.socket() is None:
            self._closed_without_a_word()
        return self._take()

    def close(self, *, with_will: bool = False) -> None:
        """End the connection; `with_will`: the broker publishes the last will, as if we died."""
        if self._client is None:
            return
        client, self._client = self._client, None
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        self._note_unanswered()  # may choose another version for the next connection
        for callback in ("on_connect", "on_subscribe", "on_publish", "on_message", "on_disconnect"):
            setattr(client, callback, None)  # our own goodbye is no news
        reason = None
        if with_will and v5:
            reason = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
        sock = client.socket()
        if v5 or not with_will:  # in 3.1.1 only a link that breaks off says the will
            client.disconnect(reason)
            client.loop_write()
        if sock is not None:
            sock.close()

    def _read(self, client: Client) -> None:
        for _ in range(MOST_PACKETS):
            client.loop_read()
            sock = client.socket()
            if sock is None:
                return
            if not _pending_bytes(sock) and not select.select([sock], [], [], 0)[0]:
                return

    def _take(self) -> list[Heard]:
        heard, self._pending.heard = self._pending.heard, []
        return heard

    def _closed_without_a_word(self) -> None:
        if self._client is not None:
            self._note_unanswered()
            self._client = None
            if not any(isinstance(one, Lost) for one in self._pending.heard):
                self._note(Lost(N_("the connection was closed")))

    def _note(self, heard: Heard) -> None:
        self._pending.heard.append(heard)

    def _new_client(self) -> Client:
        options = self._options
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            clean_session=None if v5 else options.session_s == 0,
            protocol=self._protocol,
            reconnect_on_failure=False,
            manual_ack=options.acknowledge_by_hand,
        )
        # The Sender's window is the one that counts; paho's own would queue behind our back.
        client.max_inflight_messages_set(RECEIVE_MAXIMUM)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if options.will is not None:
            client.will_set(options.will.topic, options.will.body, 1, retain=True)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _connect_arguments(self) -> dict[str, Any]:
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            return {}
        if self._options.session_s == 0:
            return {"clean_start": True}  # without a word on expiry the session ends with the link
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._options.session_s
        return {"clean_start": False, "properties": properties}

    def _note_unanswered(self) -> None:
        """Old brokers, and amqtt, know MQTT 3.1.1 only; some say so, some just don't answer.

        A cut in mid-connect looks the same, and in 3.1.1 a broker acknowledges what it throws
        away. So a broker that ever spoke 5 is never asked in 3.1.1, and any other only after
        `UNANSWERED` tries in a row; a connection in 3.1.1 that ends is followed by a try in 5.
        """
        if self._pending.answered:
            if self._protocol == MQTTProtocolVersion.MQTTv311:
                self._protocol = MQTTProtocolVersion.MQTTv5
                self._unanswered = UNANSWERED - 1
            return
        self._unanswered += 1
        old = self._protocol == MQTTProtocolVersion.MQTTv5 and self._unanswered >= UNANSWERED
        if old and not self._knows_v5:
            self._protocol = MQTTProtocolVersion.MQTTv311
        else:
            self._protocol = MQTTProtocolVersion.MQTTv5

    def _on_connect(
        self,
        client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._pending.answered = True
        if reason.is_failure:
            if reason.value == reasons.UNSUPPORTED_PROTOCOL:
                self._pending.answered = False
                self._unanswered = UNANSWERED
                self._note(Lost(N_("the broker knows no MQTT 5; trying MQTT 3.1.1")))
            else:
                self._note(_lost(N_("the broker refused the connection"), reason))
            return
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        self._knows_v5 = self._knows_v5 or v5
        self._unanswered = 0
        self._pending.connected = Connected(
            can_refuse=v5,
            receive_maximum=int(getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)),
            packet_bytes=int(getattr(properties, "MaximumPacketSize", LARGEST_PACKET_BYTES)),
        )
        topics = (*self._options.subscriptions, *self._options.wishes)
        if not topics:
            self._note(self._pending.connected)
            return
        _, mid = client.subscribe([(topic, 1) for topic in topics])
        self._pending.subscribe_mid = mid

    def _on_subscribe(
        self,
        _client: Client,
        _data: object,
        mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if mid != self._pending.subscribe_mid:
            return
        topics = (*self._options.subscriptions, *self._options.wishes)
        unread = []
        for topic, reason in zip(topics, codes, strict=False):
            refused = N_("the broker refused to let this client read")
            what = f"{refused} ({topic})"
            if reason.is_failure and topic in self._options.subscriptions:
                self._note(_lost(what, reason))
                return
            if reason.is_failure:
                unread.append(f"{what}: {reasons.in_words(reason.value)}")
        self._note(replace(self._pending.connected, unread=tuple(unread)))

    def _on_publish(
        self,
        _client: Client,
        _data: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # paho counts a message as published whatever the PUBACK says: only the reason tells.
        if reason.is_failure:
            found = reasons.reason_of(reason.value)
            too_large = reason.value == reasons.PACKET_TOO_LARGE
            words = reasons.in_words(reason.value)
            self._note(TurnedDown(mid, words, too_large, found.patient))
        else:
            self._note(Acknowledged(mid))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._note(Received(Message(message.topic, bytes(message.payload)), message.mid))

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if any(isinstance(one, Lost) for one in self._pending.heard):
            return
        if flags.is_disconnect_packet_from_server and reason.is_failure:
            self._note(_lost(N_("the broker ended the connection"), reason))
        else:
            gone = N_("the connection is gone")
            advice = N_("if that goes on, another program may use the name")
            self._note(Lost(f"{gone} ({reason}); {advice}: {self._options.client_id}"))


def tried(options: Options) -> str:
    """Why the broker doesn't let us in so; empty if it does. Takes some seconds, and says goodbye.

    In TLS 1.3 it judges our certificate after the connection stands, so its own word is waited for.
    """
    link = Broker(options)
    try:
        link.connect()
        for _ in range(round(TRIED_S / _TRIED_TURN_S)):
            for heard in link.wait(_TRIED_TURN_S):
                match heard:
                    case Connected():
                        return ""
                    case Lost(reason):
                        return reason
    except BrokerError as error:
        return str(error)
    finally:
        link.close()
    return "no answer"


def _lost(what: str, reason: ReasonCode) -> Lost:
    found = reasons.reason_of(reason.value)
    too_large = reason.value == reasons.PACKET_TOO_LARGE
    return Lost(f"{what}: {reasons.in_words(reason.value)}", found.patient, too_large)


@cache
def _typed(content_type: str) -> Properties:
    """What a PUBLISH says of its body; paho takes 20 µs to make it, and a drain needs one each."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    return properties


def _no_delay(_client: Client, _data: object, sock: Any) -> None:  # noqa: ANN401  paho's socket-likes
    # Receipts are small packets that somebody waits for: Nagle's delay costs more than half the
    # speed of a drain (measured: 19,000 check-ins a second with it, 45,000 without).
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        return


def _acknowledge_at_once(sock: Any) -> None:  # noqa: ANN401
    """Ask the kernel not to hold back TCP's own acknowledgements; it forgets, so again and again.

    A broker with Nagle's algorithm (mosquitto's default) waits for them before it sends the rest
    of a message: 40 ms (tcp(7), TCP_QUICKACK).
    """
    if sock is not None and hasattr(socket, "TCP_QUICKACK"):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            return


def _pending_bytes(sock: Any) -> int:  # noqa: ANN401
    """Bytes that TLS has decrypted already: select knows nothing of them."""
    return int(sock.pending()) if isinstance(sock, ssl.SSLSocket) else 0


def _tls_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    except OSError as error:
        raise BrokerError(f"ca_file = {tls.ca_file}: {_file_trouble(error)}") from error
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file or None)
        except OSError as error:
            pair = f"cert_file = {tls.cert_file} with key_file = {tls.key_file}"
            raise BrokerError(f"{pair}: {_file_trouble(error)}") from error
    return context


def _file_trouble(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        wrong = N_("not PEM, or the key isn't the certificate's")
        return f"{wrong} ({error.reason or error})"
    unread = N_("can't be read")
    return f"{unread}: {error.strerror}"


def _in_words(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            told = N_("the broker's certificate was not accepted")
            return f"{told}: {error.verify_message}"
        case ssl.SSLError():
            told = N_("no TLS connection")
            return f"{told}: {error.reason or error}"
        case socket.gaierror():
            return N_("the name is not known; is the network there, and the name right?")
        case TimeoutError():
            return N_("no answer")
        case ConnectionRefusedError():
            return N_("nobody listens there; is the broker running, and the port right?")
        case _:
            return str(error)
