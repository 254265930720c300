"""What a doctor makes of a kiosk: its parts one by one, and for each the cure.

The parts are numbered, so that a kiosk without a screen can blink what is wrong with it.
"""

from collections.abc import Sequence

import msgspec

# What the printed test code holds: held before the camera, it asks the kiosk how it is.
TEST_CODE = b"VAORA:TEST"

# In the order in which one depends on another. Their numbers are blinked, printed on labels and
# read out over the telephone: a part that comes later is added at the end.
PARTS = (
    "camera",
    "lights",
    "buttons",
    "clock",
    "disk",
    "outbox",
    "broker",
    "certificate",
    "central",
    "kiosk",
    "rules",
)

# A camera of 30 frames a second that gives fewer than this is in trouble.
SLOW_PART = 0.5
DARK, BRIGHT = 20.0, 240.0

# An SD card that is well flushes a page in 5 to 30 ms; at a second the next visitor waits.
SLOW_FLUSH_MS = 500.0

SOON_DAYS = 30.0

# A central that runs answers a kiosk's first words within its round trips.
SLOW_RECEIPT_S = 30.0


class Sight(msgspec.Struct, frozen=True):
    """What the camera gave. `sharpness` is as in `vaora-kiosk watch`; None is what it can't say."""

    camera: str
    frames_per_s: float | None
    wanted_frames_per_s: float
    mean: float | None = None
    sharpness: float | None = None
    exposure_us: int | None = None
    gain: float | None = None
    lens_position: float | None = None
    test_code_s: float | None = None  # how long ago the printed test code was read


class Facts(msgspec.Struct, frozen=True):
    """What was found. None: could not be told; a trouble is the words of whoever met it."""

    kiosk_runs: bool = False
    rules_trouble: Sequence[str] = ()
    sight: Sight | None = None
    camera_trouble: str = ""
    panel_trouble: str = ""
    panel_played: bool = False
    buttons_fitted: Sequence[str] = ()
    buttons_down: Sequence[str] = ()
    clock_synced: bool = False
    clock_source: str = ""
    has_clock_chip: bool = False
    disk_trouble: str = ""
    free_mb: float | None = None
    min_free_mb: float = 0.0
    flush_ms: float | None = None
    outbox_trouble: str = ""
    outbox_checked: bool = False
    waiting: int | None = None
    room: str = "plenty"
    lies_aside: Sequence[str] = ()
    daemon_runs: bool = False
    broker: str = ""
    why_no_broker: str = ""
    uses_certificate: bool = True
    certificate_days: float | None = None
    certificate_trouble: str = ""
    needs_receipts: bool = True
    connected_s: float | None = None
    first_receipt_s: float | None = None


class Finding(msgspec.Struct, frozen=True):
    """One part: `well` is None where it can't be told. `cure` is empty where none is needed."""

    number: int
    part: str
    well: bool | None
    told: str
    cure: str = ""


def examine(facts: Facts) -> list[Finding]:
    """One finding for each of `PARTS`, in their order."""
    looks = (
        _camera, _lights, _buttons, _clock, _disk, _outbox, _broker, _certificate, _central, _kiosk,
        _rules,
    )  # fmt: skip
    return [
        Finding(number, part, *look(facts))
        for number, (part, look) in enumerate(zip(PARTS, looks, strict=True), 1)
    ]


def unwell(findings: Sequence[Finding]) -> list[int]:
    """The numbers to blink."""
    return [one.number for one in findings if one.well is False]


# What to do about each, in words for somebody who stands before the door.
CABLE = (
    "is its flat cable in at both ends, contacts the right way round, and the right one for this "
    "Pi? Then switch the kiosk off and on"
)
NO_KIOSK = "`systemctl status vaora-kiosk` says why; `systemctl start vaora-kiosk` starts it"
LATE = "frames are late: lower [decoder] effort, or [camera] width and height"
BLIND = "it sees only dark, or only bright: is its cap off, its window clean, the light on?"
SHOW_CODE = "hold the printed test code before it to see that it reads"
PINS = "is lgpio installed, is the user in the group gpio, does no other program hold the pins?"
SHOW_LIGHTS = "hold the test button, or the printed test code before the camera"
WIRING = "what didn't light or sound is not connected: see hardware.md, Wiring"
STUCK = "one that is down with nobody's finger on it is stuck, or wired to the wrong contact"
TIME_SERVER = (
    "visitors are served and the central corrects the times later; is there a time server? "
    "`timedatectl timesync-status`"
)
CARD_ENDS = (
    "a card that takes no writes is at its end: save the outbox with `vaora-sync export`, put in a "
    "new card"
)
SLOW_CARD = "each visitor waits for that: take an endurance or A2 card"
NEW_OUTBOX = (
    "stop vaora-kiosk and start it: a damaged file is set aside and a new one begun; `vaora-sync "
    "recover` reads the old one"
)
EMPTY_IT = "bring back the network, or `vaora-sync export`"
RECOVER = "`vaora-sync recover` reads what is left of it; then remove it"
NO_DAEMON = "`systemctl status vaora-sync` says why"
NO_BROKER = "check-ins wait here meanwhile; is the network there, is [broker] host right?"
CERTIFICATE = "ca_file, cert_file, key_file under [broker]: all three there, and of one authority?"
NO_CENTRAL = "is the central running, and does it know this checkpoint and kiosk?"

RULES = {
    "trust": "the trust list is stale or can't be used",
    "revocations": "the revocations are stale or can't be used",
    "settings": "settings that came over the network are not taken",
}

_Told = tuple[bool | None, str, str]


def _camera(facts: Facts) -> _Told:
    if facts.camera_trouble:
        return False, facts.camera_trouble, CABLE
    sight = facts.sight
    if sight is None:
        return None, "nobody looks through it", NO_KIOSK
    cure = ""
    if (
        sight.frames_per_s is not None
        and sight.frames_per_s < sight.wanted_frames_per_s * SLOW_PART
    ):
        cure = LATE
    elif sight.mean is not None and not DARK <= sight.mean <= BRIGHT:
        cure = BLIND
    hint = SHOW_CODE if sight.test_code_s is None else ""
    return not cure, ", ".join(_sight_in_words(sight)), cure or hint


def _sight_in_words(sight: Sight) -> list[str]:
    rate = "" if sight.frames_per_s is None else f": {sight.frames_per_s:.1f} frames a second"
    words = [sight.camera + rate]
    if sight.mean is not None:
        words.append(f"light {sight.mean:.0f} of 255")
    if sight.sharpness is not None:
        words.append(f"focus {sight.sharpness:.0f}")
    if sight.lens_position is not None:
        words.append(f"lens at {sight.lens_position:.1f} dioptres")
    if sight.exposure_us is not None:
        words.append(f"exposure {sight.exposure_us / 1000:.1f} ms")
    if sight.gain is not None:
        words.append(f"gain {sight.gain:.1f}")
    if sight.test_code_s is None:
        words.append("test code not read yet")
    else:
        words.append(f"test code read {sight.test_code_s:.0f} s ago")
    return words


def _lights(facts: Facts) -> _Told:
    if facts.panel_trouble:
        return False, facts.panel_trouble, PINS
    if not facts.panel_played:
        return None, "not tried", SHOW_LIGHTS
    return True, "driven: red, red with green, amber, a high tone, a low tone, in turn", WIRING


def _buttons(facts: Facts) -> _Told:
    down = set(facts.buttons_down)
    told = [f"{name} {'down' if name in down else 'up'}" for name in facts.buttons_fitted]
    return not down, ", ".join(told) or "none fitted", STUCK if down else ""


def _clock(facts: Facts) -> _Told:
    chip = "with a clock chip" if facts.has_clock_chip else "no clock chip"
    if facts.clock_synced:
        by = f" ({facts.clock_source})" if facts.clock_source else ""
        return True, f"set by the network{by}, {chip}", ""
    return False, f"not set by the network yet, {chip}", TIME_SERVER


def _disk(facts: Facts) -> _Told:
    if facts.disk_trouble:
        return False, facts.disk_trouble, CARD_ENDS
    told = []
    if facts.free_mb is not None:
        told.append(f"{facts.free_mb:.0f} MB free")
    if facts.flush_ms is not None:
        told.append(f"a flush takes {facts.flush_ms:.1f} ms")
    cure = ""
    if facts.free_mb is not None and facts.free_mb < facts.min_free_mb:
        cure = f"make room: check-ins stop below {facts.min_free_mb:.0f} MB"
    elif facts.flush_ms is not None and facts.flush_ms > SLOW_FLUSH_MS:
        cure = SLOW_CARD
    return (not cure if told else None), ", ".join(told) or "not looked at", cure


def _outbox(facts: Facts) -> _Told:
    if facts.outbox_trouble:
        return False, facts.outbox_trouble, NEW_OUTBOX
    if facts.waiting is None:
        return None, "no outbox yet; vaora-kiosk makes it when it starts", ""
    told = f"{'sound, ' if facts.outbox_checked else ''}{facts.waiting} check-ins wait"
    if facts.room == "full":
        return False, told + ", full", EMPTY_IT
    if facts.lies_aside:
        return False, f"{told}; a damaged one lies aside: {', '.join(facts.lies_aside)}", RECOVER
    return True, told, ""


def _broker(facts: Facts) -> _Told:
    if not facts.daemon_runs and facts.waiting is None:
        return None, "vaora-sync begins once vaora-kiosk has made the outbox", ""
    if not facts.daemon_runs:
        return False, "vaora-sync doesn't run", NO_DAEMON
    if facts.broker == "online":
        return True, "connected", ""
    return False, facts.why_no_broker or "connecting", NO_BROKER


def _certificate(facts: Facts) -> _Told:
    if not facts.uses_certificate:
        return True, "none in use (tls = false, or no cert_file)", ""
    if facts.certificate_trouble:
        return False, facts.certificate_trouble, CERTIFICATE
    if facts.certificate_days is None:
        return None, "its end can't be told before the clock is set", ""
    told = f"good for {facts.certificate_days:.0f} days"
    return (True, told, "") if facts.certificate_days > SOON_DAYS else (False, told, "renew it")


def _central(facts: Facts) -> _Told:
    if not facts.needs_receipts:
        return True, 'the broker confirms (confirm = "broker")', ""
    if facts.broker != "online":
        return None, "no broker to reach it by", ""
    if facts.first_receipt_s is not None:
        slow = facts.first_receipt_s > SLOW_RECEIPT_S
        cure = "the central is slow to answer: is it overloaded?" if slow else ""
        return not slow, f"first receipt {facts.first_receipt_s:.1f} s after connecting", cure
    if (facts.connected_s or 0.0) < SLOW_RECEIPT_S:
        return None, "no receipt yet, connected just now", ""
    return False, "no receipt since connecting", NO_CENTRAL


def _kiosk(facts: Facts) -> _Told:
    if facts.kiosk_runs:
        return True, "runs", ""
    return False, "vaora-kiosk doesn't run: nobody is served", NO_KIOSK


def _rules(facts: Facts) -> _Told:
    if not facts.rules_trouble:
        return True, "nothing in the way of settings and lists", ""
    named = [RULES[name] for name in facts.rules_trouble if name in RULES]
    return False, "; ".join(named), "`journalctl -u vaora-kiosk` says which; put newer ones there"
