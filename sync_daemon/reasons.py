"""What a broker's refusals mean for a kiosk, and what somebody should do.

The codes are MQTT 5.0's (section 2.4); paho translates those of MQTT 3.1.1 into them.
"""

from dataclasses import dataclass

from checkin.words import N_

PACKET_TOO_LARGE = 0x95
UNSUPPORTED_PROTOCOL = 0x84


@dataclass(frozen=True, slots=True)
class Reason:
    """`patient`: trying again soon is of no use, or does harm; wait as long as the longest wait."""

    words: str
    advice: str
    patient: bool = False


_LOOK_AT_LOG = N_("look at the broker's log")
_LET_IN = N_("let this kiosk in at the broker (its name, its certificate, the access list)")
_LIMITS = N_("look at the broker's limits")
_NO_ROOM = N_("look at the broker's limits: it has no room for this kiosk")

REASONS: dict[int, Reason] = {
    0x80: Reason(N_("unspecified error"), _LOOK_AT_LOG),
    0x81: Reason(N_("malformed packet"), _LOOK_AT_LOG),
    0x82: Reason(N_("protocol error"), _LOOK_AT_LOG),
    0x83: Reason(N_("implementation specific error"), _LOOK_AT_LOG),
    UNSUPPORTED_PROTOCOL: Reason(
        N_("unsupported protocol version"), N_("use a broker that knows MQTT 5")
    ),
    0x85: Reason(N_("client identifier not valid"), _LET_IN, patient=True),
    0x86: Reason(N_("bad user name or password"), _LET_IN, patient=True),
    0x87: Reason(N_("not authorized"), _LET_IN, patient=True),
    0x88: Reason(N_("server unavailable"), N_("nothing; it is tried again later"), patient=True),
    0x89: Reason(N_("server busy"), N_("nothing; it is tried again later"), patient=True),
    0x8A: Reason(N_("banned"), _LET_IN, patient=True),
    0x8B: Reason(N_("server shutting down"), N_("nothing; it is tried again")),
    0x8C: Reason(N_("bad authentication method"), _LET_IN, patient=True),
    0x8D: Reason(N_("keep alive timeout"), N_("look at the network, or make keepalive_s longer")),
    0x8E: Reason(
        N_("session taken over"),
        N_(
            "another program uses this kiosk's name: look for a second kiosk with the same settings"
        ),
        patient=True,
    ),
    0x8F: Reason(
        N_("topic filter not valid"),
        N_("rename the kiosk: its topics aren't taken"),
        patient=True,
    ),
    0x90: Reason(
        N_("topic name not valid"),
        N_("rename the kiosk: its topics aren't taken"),
        patient=True,
    ),
    0x93: Reason(N_("receive maximum exceeded"), N_("make window smaller")),
    0x94: Reason(N_("topic alias not valid"), _LOOK_AT_LOG),
    PACKET_TOO_LARGE: Reason(N_("packet too large"), N_("nothing; smaller messages follow")),
    0x96: Reason(N_("message rate too high"), _LIMITS, patient=True),
    0x97: Reason(N_("quota exceeded"), _NO_ROOM, patient=True),
    0x98: Reason(N_("administrative action"), N_("ask who runs the broker"), patient=True),
    0x99: Reason(N_("payload format not valid"), _LOOK_AT_LOG, patient=True),
    0x9A: Reason(
        N_("retain not supported"), N_("let the broker keep retained messages"), patient=True
    ),
    0x9B: Reason(N_("QoS not supported"), N_("let the broker take QoS 1"), patient=True),
    0x9C: Reason(N_("use another server"), N_("set [broker] host to the new one"), patient=True),
    0x9D: Reason(N_("server moved"), N_("set [broker] host to the new one"), patient=True),
    0x9E: Reason(N_("shared subscriptions not supported"), _LOOK_AT_LOG, patient=True),
    0x9F: Reason(
        N_("connection rate exceeded"), N_("nothing; it is tried again later"), patient=True
    ),
    0xA0: Reason(N_("maximum connect time"), N_("nothing; it is tried again")),
    0xA1: Reason(N_("subscription identifiers not supported"), _LOOK_AT_LOG, patient=True),
    0xA2: Reason(N_("wildcard subscriptions not supported"), _LOOK_AT_LOG, patient=True),
}


def reason_of(code: int) -> Reason:
    """What `code` means; a code that no standard names is an error like any."""
    return REASONS.get(code, Reason(f"reason 0x{code:02X}", _LOOK_AT_LOG))


def in_words(code: int) -> str:
    """`code` for the log: the standard's name, the number, and what to do."""
    found = reason_of(code)
    return f"{found.words} (0x{code:02X}); {found.advice}"
