"""What a doctor makes of a kiosk: its parts one by one, and for each the cure.

The parts are numbered, so that a kiosk without a screen can blink what is wrong with it.
"""

from collections.abc import Sequence

import msgspec

from checkin.blinks import PARTS
from checkin.marks import joined, text

# What the printed test code holds: held before the camera, it asks the kiosk how it is.
TEST_CODE = b"VAORA:TEST"

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
    enrolment: str = ""
    enrolment_trouble: str = ""
    renewal_refused: str = ""
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
CABLE = text(
    "is its flat cable in at both ends, contacts the right way round, and the right one for this "
    "Pi? Then switch the kiosk off and on"
)
NO_KIOSK = text("`systemctl status vaora-kiosk` says why; `systemctl start vaora-kiosk` starts it")
LATE = text("frames are late: lower [decoder] effort, or [camera] width and height")
BLIND = text("it sees only dark, or only bright: is its cap off, its window clean, the light on?")
SHOW_CODE = text("hold the printed test code before it to see that it reads")
PINS = text(
    "is lgpio installed, is the user in the group gpio, does no other program hold the pins?"
)
SHOW_LIGHTS = text("hold the test button, or the printed test code before the camera")
WIRING = text("what didn't light or sound is not connected: see hardware.md, Wiring")
STUCK = text("one that is down with nobody's finger on it is stuck, or wired to the wrong contact")
TIME_SERVER = text(
    "visitors are served and the central corrects the times later; is there a time server? "
    "`timedatectl timesync-status`"
)
CARD_ENDS = text(
    "a card that takes no writes is at its end: save the outbox with `vaora-sync export`, put in a "
    "new card"
)
SLOW_CARD = text("each visitor waits for that: take an endurance or A2 card")
NEW_OUTBOX = text(
    "stop vaora-kiosk and start it: a damaged file is set aside and a new one begun; `vaora-sync "
    "recover` reads the old one"
)
EMPTY_IT = text("bring back the network, or `vaora-sync export`")
RECOVER = text("`vaora-sync recover` reads what is left of it; then remove it")
NO_DAEMON = text("`systemctl status vaora-sync` says why")
NO_BROKER = text("check-ins wait here meanwhile; is the network there, is [broker] host right?")
CERTIFICATE = text(
    "ca_file, cert_file, key_file under [broker]: all three there, and of one authority?"
)
LISTS = text("`journalctl -u vaora-kiosk` says which; put newer ones there")
NO_BROKER_YET = text("is the network there, is [broker] host right? It is tried until it is")
NO_ANSWER_YET = text("run `vaora-provision enrol` in the fleet's folder: it answers claims")
NO_CLAIM = text("`vaora-sync enrolment` says what to do; a new card does it")
NOT_RENEWED = text("until the certificate ends all goes on: ask who runs the fleet")
NO_CENTRAL = text("is the central running, and does it know this checkpoint and kiosk?")

# Faults of what the kiosk goes by; visitors are still served.
RULES = {
    "trust": text("the trust list is stale or can't be used"),
    "revocations": text("the revocations are stale or can't be used"),
    "settings": text("settings that came over the network are not taken"),
}

_Told = tuple[bool | None, str, str]


def _camera(facts: Facts) -> _Told:
    if facts.camera_trouble:
        return False, facts.camera_trouble, CABLE
    sight = facts.sight
    if sight is None:
        return None, text("nobody looks through it"), NO_KIOSK
    cure = ""
    if (
        sight.frames_per_s is not None
        and sight.frames_per_s < sight.wanted_frames_per_s * SLOW_PART
    ):
        cure = LATE
    elif sight.mean is not None and not DARK <= sight.mean <= BRIGHT:
        cure = BLIND
    hint = SHOW_CODE if sight.test_code_s is None else ""
    return not cure, joined(", ", _sight_in_words(sight)), cure or hint


def _sight_in_words(sight: Sight) -> list[str]:
    words = [sight.camera]
    if sight.frames_per_s is not None:
        rate = text("{rate:.1f} frames a second", rate=sight.frames_per_s)
        words = [joined(": ", [sight.camera, rate])]
    if sight.mean is not None:
        words.append(text("light {mean:.0f} of 255", mean=sight.mean))
    if sight.sharpness is not None:
        words.append(text("focus {sharpness:.0f}", sharpness=sight.sharpness))
    if sight.lens_position is not None:
        words.append(text("lens at {dioptres:.1f} dioptres", dioptres=sight.lens_position))
    if sight.exposure_us is not None:
        words.append(text("exposure {ms:.1f} ms", ms=sight.exposure_us / 1000))
    if sight.gain is not None:
        words.append(text("gain {gain:.1f}", gain=sight.gain))
    if sight.test_code_s is None:
        words.append(text("test code not read yet"))
    else:
        words.append(text("test code read {ago_s:.0f} s ago", ago_s=sight.test_code_s))
    return words


def _lights(facts: Facts) -> _Told:
    if facts.panel_trouble:
        return False, facts.panel_trouble, PINS
    if not facts.panel_played:
        return None, text("not tried"), SHOW_LIGHTS
    told = text("driven: red, red with green, amber, a high tone, a low tone, in turn")
    return True, told, WIRING


# What the buttons are called, by the names of their settings.
BUTTONS = {
    ("direction", False): text("direction up"),
    ("direction", True): text("direction down"),
    ("test", False): text("test up"),
    ("test", True): text("test down"),
}


def _buttons(facts: Facts) -> _Told:
    down = set(facts.buttons_down)
    told = [BUTTONS[name, name in down] for name in facts.buttons_fitted]
    return not down, joined(", ", told) if told else text("none fitted"), STUCK if down else ""


def _clock(facts: Facts) -> _Told:
    chip = text("with a clock chip") if facts.has_clock_chip else text("no clock chip")
    if facts.clock_synced and facts.clock_source:
        by = facts.clock_source
        return True, text("set by the network ({by}), {chip}", by=by, chip=chip), ""
    if facts.clock_synced:
        return True, text("set by the network, {chip}", chip=chip), ""
    return False, text("not set by the network yet, {chip}", chip=chip), TIME_SERVER


def _disk(facts: Facts) -> _Told:
    if facts.disk_trouble:
        return False, facts.disk_trouble, CARD_ENDS
    told = []
    if facts.free_mb is not None:
        told.append(text("{free:.0f} MB free", free=facts.free_mb))
    if facts.flush_ms is not None:
        told.append(text("a flush takes {ms:.1f} ms", ms=facts.flush_ms))
    cure = ""
    if facts.free_mb is not None and facts.free_mb < facts.min_free_mb:
        cure = text("make room: check-ins stop below {least:.0f} MB", least=facts.min_free_mb)
    elif facts.flush_ms is not None and facts.flush_ms > SLOW_FLUSH_MS:
        cure = SLOW_CARD
    if not told:
        return None, text("not looked at"), cure
    return not cure, joined(", ", told), cure


def _outbox(facts: Facts) -> _Told:
    if facts.outbox_trouble:
        return False, facts.outbox_trouble, NEW_OUTBOX
    if facts.waiting is None:
        return None, text("no outbox yet; vaora-kiosk makes it when it starts"), ""
    told = text("{count} check-ins wait", count=facts.waiting)
    if facts.outbox_checked:
        told = joined(", ", [text("sound"), told])
    if facts.room == "full":
        return False, joined(", ", [told, text("full")]), EMPTY_IT
    if facts.lies_aside:
        files = ", ".join(facts.lies_aside)
        return (
            False,
            joined("; ", [told, text("a damaged one lies aside: {files}", files=files)]),
            RECOVER,
        )
    return True, told, ""


def _broker(facts: Facts) -> _Told:
    if not facts.daemon_runs and facts.waiting is None:
        return None, text("vaora-sync begins once vaora-kiosk has made the outbox"), ""
    if not facts.daemon_runs:
        return False, text("vaora-sync doesn't run"), NO_DAEMON
    if facts.broker == "online":
        return True, text("connected"), ""
    if facts.enrolment not in _ENROLLED:
        return _broker_to_claim_by(facts)
    return False, facts.why_no_broker or text("connecting"), NO_BROKER


# What the daemon says of one that has its certificate, or gets it otherwise.
_ENROLLED = {"", "enrolled"}


def _broker_to_claim_by(facts: Facts) -> _Told:
    if facts.enrolment == "missing":
        return None, text("not tried without a certificate"), ""
    if facts.enrolment == "no-broker":
        told = facts.enrolment_trouble or text("connecting, to claim a certificate")
        return False, told, NO_BROKER_YET
    return True, text("reached, to claim a certificate"), ""


def _enrolment(facts: Facts) -> _Told:
    match facts.enrolment:
        case "missing":
            return False, text("none, and nothing to claim one with"), NO_CLAIM
        case "no-broker":
            return None, text("none yet: the broker isn't reached"), ""
        case "waiting":
            return False, text("none yet: nobody has answered the claim"), NO_ANSWER_YET
    # The daemon's word for a refusal is in the catalogue as it stands.
    why = text(facts.enrolment_trouble or facts.enrolment)
    return False, text("the claim is refused: {why}", why=why), NO_CLAIM


def _certificate(facts: Facts) -> _Told:
    if not facts.uses_certificate:
        return True, text("none in use (tls = false, or no cert_file)"), ""
    if facts.enrolment not in _ENROLLED:
        return _enrolment(facts)
    if facts.certificate_trouble:
        ended = facts.enrolment and facts.certificate_trouble == "has expired"
        return False, facts.certificate_trouble, NO_CLAIM if ended else CERTIFICATE
    if facts.certificate_days is None:
        return None, text("its end can't be told before the clock is set"), ""
    return _good_for(facts.certificate_days, facts.renewal_refused)


def _good_for(days: float, renewal_refused: str) -> _Told:
    told = text("good for {days:.0f} days", days=days)
    if renewal_refused:
        refused = text("its renewal is refused ({why})", why=renewal_refused)
        return False, joined("; ", [told, refused]), NOT_RENEWED
    if days > SOON_DAYS:
        return True, told, ""
    return False, told, text("renew it")


def _central(facts: Facts) -> _Told:
    if not facts.needs_receipts:
        return True, text('the broker confirms (confirm = "broker")'), ""
    if facts.broker != "online":
        return None, text("no broker to reach it by"), ""
    if facts.first_receipt_s is not None:
        slow = facts.first_receipt_s > SLOW_RECEIPT_S
        cure = text("the central is slow to answer: is it overloaded?") if slow else ""
        told = text("first receipt {after_s:.1f} s after connecting", after_s=facts.first_receipt_s)
        return not slow, told, cure
    if (facts.connected_s or 0.0) < SLOW_RECEIPT_S:
        return None, text("no receipt yet, connected just now"), ""
    return False, text("no receipt since connecting"), NO_CENTRAL


def _kiosk(facts: Facts) -> _Told:
    if facts.kiosk_runs:
        return True, text("runs"), ""
    return False, text("vaora-kiosk doesn't run: nobody is served"), NO_KIOSK


def _rules(facts: Facts) -> _Told:
    if not facts.rules_trouble:
        return True, text("nothing in the way of settings and lists"), ""
    named = [RULES[name] for name in facts.rules_trouble if name in RULES]
    return False, joined("; ", named), LISTS
