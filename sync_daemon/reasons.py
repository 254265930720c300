"""What a broker's refusals mean for a kiosk, and what somebody should do.

The codes are MQTT 5.0's (section 2.4); paho translates those of MQTT 3.1.1 into them.
"""

from dataclasses import dataclass

from checkin.marks import text

PACKET_TOO_LARGE = 0x95
UNSUPPORTED_PROTOCOL = 0x84


@dataclass(frozen=True, slots=True)
class Reason:
    """`patient`: trying again soon is of no use, or does harm; wait as long as the longest wait."""

    words: str
    advice: str
    patient: bool = False


_LOOK_AT_LOG = text("look at the broker's log")
_LET_IN = text("let this kiosk in at the broker (its name, its certificate, the access list)")
_LIMITS = text("look at the broker's limits")
_NO_ROOM = text("look at the broker's limits: it has no room for this kiosk")

REASONS: dict[int, Reason] = {
    0x80: Reason(text("unspecified error"), _LOOK_AT_LOG),
    0x81: Reason(text("malformed packet"), _LOOK_AT_LOG),
    0x82: Reason(text("protocol error"), _LOOK_AT_LOG),
    0x83: Reason(text("implementation specific error"), _LOOK_AT_LOG),
    UNSUPPORTED_PROTOCOL: Reason(
        text("unsupported protocol version"), text("use a broker that knows MQTT 5")
    ),
    0x85: Reason(text("client identifier not valid"), _LET_IN, patient=True),
    0x86: Reason(text("bad user name or password"), _LET_IN, patient=True),
    0x87: Reason(text("not authorized"), _LET_IN, patient=True),
    0x88: Reason(
        text("server unavailable"), text("nothing; it is tried again later"), patient=True
    ),
    0x89: Reason(text("server busy"), text("nothing; it is tried again later"), patient=True),
    0x8A: Reason(text("banned"), _LET_IN, patient=True),
    0x8B: Reason(text("server shutting down"), text("nothing; it is tried again")),
    0x8C: Reason(text("bad authentication method"), _LET_IN, patient=True),
    0x8D: Reason(
        text("keep alive timeout"), text("look at the network, or make keepalive_s longer")
    ),
    0x8E: Reason(
        text("session taken over"),
        text(
            "another program uses this kiosk's name: look for a second kiosk with the same settings"
        ),
        patient=True,
    ),
    0x8F: Reason(
        text("topic filter not valid"),
        text("rename the kiosk: its topics aren't taken"),
        patient=True,
    ),
    0x90: Reason(
        text("topic name not valid"),
        text("rename the kiosk: its topics aren't taken"),
        patient=True,
    ),
    0x93: Reason(text("receive maximum exceeded"), text("make window smaller")),
    0x94: Reason(text("topic alias not valid"), _LOOK_AT_LOG),
    PACKET_TOO_LARGE: Reason(text("packet too large"), text("nothing; smaller messages follow")),
    0x96: Reason(text("message rate too high"), _LIMITS, patient=True),
    0x97: Reason(text("quota exceeded"), _NO_ROOM, patient=True),
    0x98: Reason(text("administrative action"), text("ask who runs the broker"), patient=True),
    0x99: Reason(text("payload format not valid"), _LOOK_AT_LOG, patient=True),
    0x9A: Reason(
        text("retain not supported"), text("let the broker keep retained messages"), patient=True
    ),
    0x9B: Reason(text("QoS not supported"), text("let the broker take QoS 1"), patient=True),
    0x9C: Reason(
        text("use another server"), text("set [broker] host to the new one"), patient=True
    ),
    0x9D: Reason(text("server moved"), text("set [broker] host to the new one"), patient=True),
    0x9E: Reason(text("shared subscriptions not supported"), _LOOK_AT_LOG, patient=True),
    0x9F: Reason(
        text("connection rate exceeded"), text("nothing; it is tried again later"), patient=True
    ),
    0xA0: Reason(text("maximum connect time"), text("nothing; it is tried again")),
    0xA1: Reason(text("subscription identifiers not supported"), _LOOK_AT_LOG, patient=True),
    0xA2: Reason(text("wildcard subscriptions not supported"), _LOOK_AT_LOG, patient=True),
}


def reason_of(code: int) -> Reason:
    """What `code` means; a code that no standard names is an error like any."""
    return REASONS.get(code, Reason(f"reason 0x{code:02X}", _LOOK_AT_LOG))


def in_words(code: int) -> str:
    """`code` for the log: the standard's name, the number, and what to do."""
    found = reason_of(code)
    return f"{found.words} (0x{code:02X}); {found.advice}"
