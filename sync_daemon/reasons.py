"""What a broker's refusals mean for a kiosk, and what somebody should do.

The codes are MQTT 5.0's (section 2.4); paho translates those of MQTT 3.1.1 into them.
"""

from dataclasses import dataclass

PACKET_TOO_LARGE = 0x95
UNSUPPORTED_PROTOCOL = 0x84


@dataclass(frozen=True, slots=True)
class Reason:
    """`patient`: trying again soon is of no use, or does harm; wait as long as the longest wait."""

    words: str
    advice: str
    patient: bool = False


_LOOK_AT_LOG = "look at the broker's log"
_LET_IN = "let this kiosk in at the broker (its name, its certificate, the access list)"
_LIMITS = "look at the broker's limits"

REASONS: dict[int, Reason] = {
    0x80: Reason("unspecified error", _LOOK_AT_LOG),
    0x81: Reason("malformed packet", _LOOK_AT_LOG),
    0x82: Reason("protocol error", _LOOK_AT_LOG),
    0x83: Reason("implementation specific error", _LOOK_AT_LOG),
    UNSUPPORTED_PROTOCOL: Reason("unsupported protocol version", "use a broker that knows MQTT 5"),
    0x85: Reason("client identifier not valid", _LET_IN, patient=True),
    0x86: Reason("bad user name or password", _LET_IN, patient=True),
    0x87: Reason("not authorized", _LET_IN, patient=True),
    0x88: Reason("server unavailable", "nothing; it is tried again later", patient=True),
    0x89: Reason("server busy", "nothing; it is tried again later", patient=True),
    0x8A: Reason("banned", _LET_IN, patient=True),
    0x8B: Reason("server shutting down", "nothing; it is tried again"),
    0x8C: Reason("bad authentication method", _LET_IN, patient=True),
    0x8D: Reason("keep alive timeout", "look at the network, or make keepalive_s longer"),
    0x8E: Reason(
        "session taken over",
        "another program uses this kiosk's name: look for a second kiosk with the same settings",
        patient=True,
    ),
    0x8F: Reason(
        "topic filter not valid", "rename the kiosk: its topics aren't taken", patient=True
    ),
    0x90: Reason("topic name not valid", "rename the kiosk: its topics aren't taken", patient=True),
    0x93: Reason("receive maximum exceeded", "make window smaller"),
    0x94: Reason("topic alias not valid", _LOOK_AT_LOG),
    PACKET_TOO_LARGE: Reason("packet too large", "nothing; smaller messages follow"),
    0x96: Reason("message rate too high", _LIMITS, patient=True),
    0x97: Reason("quota exceeded", f"{_LIMITS}: it has no room for this kiosk", patient=True),
    0x98: Reason("administrative action", "ask who runs the broker", patient=True),
    0x99: Reason("payload format not valid", _LOOK_AT_LOG, patient=True),
    0x9A: Reason("retain not supported", "let the broker keep retained messages", patient=True),
    0x9B: Reason("QoS not supported", "let the broker take QoS 1", patient=True),
    0x9C: Reason("use another server", "set [broker] host to the new one", patient=True),
    0x9D: Reason("server moved", "set [broker] host to the new one", patient=True),
    0x9E: Reason("shared subscriptions not supported", _LOOK_AT_LOG, patient=True),
    0x9F: Reason("connection rate exceeded", "nothing; it is tried again later", patient=True),
    0xA0: Reason("maximum connect time", "nothing; it is tried again"),
    0xA1: Reason("subscription identifiers not supported", _LOOK_AT_LOG, patient=True),
    0xA2: Reason("wildcard subscriptions not supported", _LOOK_AT_LOG, patient=True),
}


def reason_of(code: int) -> Reason:
    """What `code` means; a code that no standard names is an error like any."""
    return REASONS.get(code, Reason(f"reason 0x{code:02X}", _LOOK_AT_LOG))


def in_words(code: int) -> str:
    """`code` for the log: the standard's name, the number, and what to do."""
    found = reason_of(code)
    return f"{found.words} (0x{code:02X}); {found.advice}"
