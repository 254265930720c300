"""The settings: one file for both processes, typed, with every default written here.

`vaora-kiosk settings` prints the effective ones. A key that is no setting is refused with the
known ones named, because a misspelt key that is quietly ignored is found weeks later, at a door.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

DEFAULT_FILE = Path("/etc/vaora/kiosk.toml")

# A settings file is a page; anything much longer is another file given by mistake.
LONGEST_FILE_BYTES = 256 * 1024

# The reader of TOML takes time in the square of a key's parts: 8,000 of them took two seconds.
MOST_DOTS = 64

# One level of an MQTT topic and one path segment of a URI, so that neither needs escaping.
NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$"

# BCM numbers that the 40-pin header carries.
Pin = Annotated[int, Meta(ge=2, le=27)]
OptionalPin = Annotated[int, Meta(ge=0, le=27)]


class SettingsError(ValueError):
    """The settings can't be used; the message says which, why, and what to write instead."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""


class Kiosk(Section, frozen=True):
    id: Annotated[
        str, Meta(pattern=NAME, description="this device", examples=["bv-lao-cai-cong-1"])
    ] = "kiosk-1"
    checkpoint: Annotated[
        str,
        Meta(pattern=NAME, description="the registered place it stands at", examples=["0100123"]),
    ] = "checkpoint-1"
    data_dir: Annotated[
        str, Meta(min_length=1, description="where the outbox lies; must be on a disk that lasts")
    ] = "/var/lib/vaora"
    runtime_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="health files and the hold-off's key; must be in memory, so that a stolen "
            "card says nothing of who came",
        ),
    ] = "/run/vaora"


class Door(Section, frozen=True):
    direction: Annotated[
        Literal["in", "out", "alternate", "button"],
        Meta(
            description="what a check-in here means; `alternate` turns round per visitor, `button` "
            "is chosen at the kiosk"
        ),
    ] = "in"
    hold_off_s: Annotated[
        float,
        Meta(ge=1, le=86_400, description="seconds out of sight that end a visit", examples=[10.0]),
    ] = 10.0
    visitor_prefix: Annotated[
        str,
        Meta(
            min_length=2,
            max_length=32,
            description="what a plain visitor code begins with",
            examples=["VISITOR:"],
        ),
    ] = "VISITOR:"


Kind = Literal[
    "cccd", "qrqg", "bhyt", "hc1", "shc", "pass", "health-declaration", "vcard", "visitor"
]
ProvableKind = Literal["hc1", "shc", "pass"]

# Kind and field: what of a credential goes into the record.
Field = Annotated[str, Meta(pattern=r"^[a-z0-9-]+\.[a-z_]+$")]

# Empty, or a day.
Day = Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]

_ACCEPT = Meta(
    min_length=1,
    description="kinds of credential that are taken here",
    examples=[["cccd", "pass"]],
)
_VERIFY = Meta(
    description="kinds that are taken only if a signature proves them; the rest is read and "
    "recorded as unverified",
    examples=[["pass", "hc1"]],
)
_KEEP = Meta(
    description="what of the bearer is recorded, as `kind.field`; empty keeps what tracing needs "
    "and no more",
    examples=[["cccd.name", "cccd.id_number"]],
)


class Policy(Section, frozen=True):
    accept: Annotated[tuple[Kind, ...], _ACCEPT] = (
        "cccd", "qrqg", "bhyt", "hc1", "shc", "pass", "health-declaration", "visitor",
    )  # fmt: skip
    must_verify: Annotated[tuple[ProvableKind, ...], _VERIFY] = ("pass",)
    keep: Annotated[tuple[Field, ...], _KEEP] = ()
    hours: Annotated[
        str,
        Meta(
            pattern=r"^(\d{2}:\d{2} ?- ?\d{2}:\d{2})?$",
            description="local hours in which visitors are taken; empty is always",
            examples=["06:00-22:00"],
        ),
    ] = ""
    begins: Annotated[
        Day,
        Meta(description="first day of an event; empty is open", examples=["2026-12-01"]),
    ] = ""
    ends: Annotated[
        Day, Meta(description="last day of an event; empty is open", examples=["2026-12-03"])
    ] = ""
    utc_offset_h: Annotated[
        float, Meta(ge=-12, le=14, description="hours of local time ahead of UTC; Viet Nam is 7")
    ] = 7.0
    authority: Annotated[
        str,
        Meta(
            description="the public key that signs trust lists, revocations and settings sent "
            "over the network, as `vaora-pass keygen` prints it; without it none is taken"
        ),
    ] = ""
    trust_file: Annotated[
        str,
        Meta(description="signed list of whose passes and certificates count; empty is none"),
    ] = ""
    revocations_file: Annotated[
        str, Meta(description="signed list of passes that were called back; empty is none")
    ] = ""
    stale_after_days: Annotated[
        float,
        Meta(gt=0, le=3_650, description="age from which a trust list or revocations are a fault"),
    ] = 30.0


class Epidemic(Section, frozen=True):
    begins: Annotated[
        Day,
        Meta(
            description="first day of the epidemic rules, in place of [policy]'s; empty is never",
            examples=["2026-12-01"],
        ),
    ] = ""
    ends: Annotated[
        Day, Meta(description="their last day; empty is open", examples=["2027-01-31"])
    ] = ""
    accept: Annotated[tuple[Kind, ...], _ACCEPT] = (
        "cccd", "qrqg", "bhyt", "hc1", "shc", "pass", "health-declaration", "visitor",
    )  # fmt: skip
    must_verify: Annotated[tuple[ProvableKind, ...], _VERIFY] = ("pass", "hc1", "shc")
    keep: Annotated[tuple[Field, ...], _KEEP] = (
        "cccd.name", "cccd.id_number", "cccd.dob", "cccd.address", "qrqg.qid", "qrqg.name",
        "qrqg.phone", "bhyt.name", "bhyt.bhyt_code", "bhyt.dob", "bhyt.address", "hc1.name",
        "hc1.dob", "shc.name", "shc.dob", "pass.pass_id", "pass.pass_kind", "pass.name",
        "health-declaration.declaration", "visitor.code",
    )  # fmt: skip


class Camera(Section, frozen=True):
    source: Annotated[
        Literal["picamera2", "webcam", "replay"],
        Meta(description="the Pi's camera, a V4L2 webcam, or a folder of images or a video"),
    ] = "picamera2"
    path: Annotated[
        str, Meta(description="the webcam's device, or the folder or video to show")
    ] = ""
    width: Annotated[int, Meta(ge=320, le=4608, description="pixels of a frame")] = 1280
    height: Annotated[int, Meta(ge=240, le=2592, description="pixels of a frame")] = 720
    fps: Annotated[float, Meta(ge=1, le=120, description="frames a second", examples=[30.0])] = 30.0
    repeat: Annotated[
        bool, Meta(description="replay: begin again after the last frame, instead of ending")
    ] = False
    lens_position: Annotated[
        float,
        Meta(
            ge=0,
            le=32,
            description="dioptres of a fixed focus where the module can focus; 0 focuses by itself",
            examples=[10.0],
        ),
    ] = 0.0
    exposure_us: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="longest exposure in microseconds, a multiple of 10,000 under 50 Hz lamps "
            "and of a phone's screen; 0 leaves it to the camera",
            examples=[10000],
        ),
    ] = 10_000
    gain: Annotated[
        float,
        Meta(
            ge=0,
            le=64,
            description="fixed analogue gain with the exposure above; 0 leaves both to the camera, "
            "which then prefers short exposures",
            examples=[4.0],
        ),
    ] = 0.0
    zoom: Annotated[
        float,
        Meta(
            ge=1,
            le=8,
            description="part of the sensor's middle that fills the frame: 2 makes a module twice "
            "as many pixels and sees half as wide; 1.8 is one sensor pixel each with Camera Module "
            "3 at 1280 pixels",
            examples=[1.8],
        ),
    ] = 1.8
    stall_s: Annotated[
        float,
        Meta(
            ge=0.5, le=5, description="seconds without a frame after which the camera is restarted"
        ),
    ] = 3.0


class Decoder(Section, frozen=True):
    effort: Annotated[
        float,
        Meta(
            ge=0,
            le=0.9,
            description="share of a frame's time that reading may take, extra turns included, "
            "where something code-like is in sight; 0 gives each frame one look and no more",
            examples=[0.6],
        ),
    ] = 0.6


class Panel(Section, frozen=True):
    kind: Annotated[
        Literal["gpio", "terminal"],
        Meta(description="LEDs and a buzzer on the pins, or lines on the terminal"),
    ] = "gpio"
    green_pin: Annotated[Pin, Meta(description="BCM number of the green LED")] = 17
    red_pin: Annotated[Pin, Meta(description="BCM number of the red LED")] = 27
    amber_pin: Annotated[
        OptionalPin, Meta(description="BCM number of the amber LED; 0 where there is none")
    ] = 0
    buzzer_pin: Annotated[
        OptionalPin, Meta(description="BCM number of the buzzer; 0 where there is none")
    ] = 22
    buzzer: Annotated[
        Literal["active", "passive"],
        Meta(description="active: has one tone of its own; passive: plays the tone it is given"),
    ] = "active"

    direction_button_pin: Annotated[
        OptionalPin,
        Meta(description="BCM number of the direction button, to ground; 0 where there is none"),
    ] = 0
    test_button_pin: Annotated[
        OptionalPin,
        Meta(
            description="BCM number of the button that, held, starts the self-test; 0 where there "
            "is none"
        ),
    ] = 0
    lamp_pin: Annotated[
        OptionalPin,
        Meta(description="BCM number of a lamp for dark places; 0 where there is none"),
    ] = 0
    lamp_below: Annotated[
        int,
        Meta(
            ge=0,
            le=255,
            description="mean grey of a frame (0 to 255) below which the lamp goes on",
        ),
    ] = 50
    not_synced_after_s: Annotated[
        float,
        Meta(
            ge=1,
            le=10**7,
            description="seconds without a confirmation, with check-ins waiting, until shown",
        ),
    ] = 900.0


class Outbox(Section, frozen=True):
    limit_rows: Annotated[
        int,
        Meta(
            ge=10,
            le=10**9,
            description="check-ins waiting at most; at the limit the door shows a fault",
        ),
    ] = 1_000_000
    min_free_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=10**6,
            description="megabytes of disk to leave free; below it the door shows a fault",
        ),
    ] = 64
    keep_confirmed_h: Annotated[
        float,
        Meta(
            ge=0,
            le=8_760,
            description="hours a confirmed check-in is kept, so that a central restored from a "
            "backup can ask for it again",
        ),
    ] = 72.0


class Broker(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1, description="name or address of the MQTT broker")] = (
        "localhost"
    )
    port: Annotated[int, Meta(ge=1, le=65_535, description="8883 is MQTT over TLS")] = 8883
    tls: Annotated[bool, Meta(description="false only on a bench")] = True
    ca_file: Annotated[
        str, Meta(description="the authority that signed the broker's certificate")
    ] = "/etc/vaora/ca.pem"
    cert_file: Annotated[str, Meta(description="this kiosk's certificate; empty sends none")] = (
        "/etc/vaora/kiosk.pem"
    )
    key_file: Annotated[
        str,
        Meta(
            description="this kiosk's private key: a path, or the name of a credential, which "
            "systemd hands over from /etc/credstore; empty sends none. The same path as cert_file: "
            "one file, which the daemon gets with the claim.pem and claim.token beside it, and "
            "renews",
            examples=["vaora.key"],
        ),
    ] = "vaora.key"
    confirm: Annotated[
        Literal["central", "broker"],
        Meta(
            description="who confirms a check-in: the central by receipts, or the broker alone, "
            "for a central that only subscribes"
        ),
    ] = "central"
    keepalive_s: Annotated[int, Meta(ge=5, le=3600, description="MQTT keep-alive")] = 30
    window: Annotated[int, Meta(ge=1, le=1000, description="messages in flight at once")] = 8
    batch_rows: Annotated[int, Meta(ge=1, le=1000, description="check-ins in one message")] = 500
    batch_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=8_000_000,
            description="bytes in one message at most, unless one row is longer; on a slow link "
            "messages are shorter by themselves",
        ),
    ] = 262_144
    answer_s: Annotated[
        float, Meta(ge=0.5, le=600, description="patience with the broker and with receipts")
    ] = 20.0
    wait_initial_s: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="longest first wait before connecting again; each kiosk draws its own, so "
            "that a province of them doesn't come back in one second",
        ),
    ] = 10.0
    wait_max_s: Annotated[
        float, Meta(gt=0, le=86_400, description="longest wait before connecting again")
    ] = 300.0
    state_every_s: Annotated[
        float, Meta(ge=1, le=86_400, description="seconds between two states while nothing changes")
    ] = 60.0
    update_spread_s: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="seconds within which a kiosk begins to download an update; each draws its "
            "own, so that a province of them doesn't download at once",
        ),
    ] = 1800.0


class Settings(Section, frozen=True):
    """Everything the two processes can be told. Each section is one table of the file."""

    seal: Annotated[
        str,
        Meta(
            description="the central's public key, as `vaora-central keygen` prints it; or `off`, "
            "which leaves personal fields readable on this disk and on the way"
        ),
    ] = ""
    kiosk: Kiosk = Kiosk()
    door: Door = Door()
    policy: Policy = Policy()
    epidemic: Epidemic = Epidemic()
    camera: Camera = Camera()
    decoder: Decoder = Decoder()
    panel: Panel = Panel()
    outbox: Outbox = Outbox()
    broker: Broker = Broker()

    @property
    def outbox_file(self) -> Path:
        return Path(self.kiosk.data_dir) / "outbox.db"

    @property
    def settings_arrived(self) -> Path:
        """Signed settings as the network brought them, below as they were taken; so the lists."""
        return Path(self.kiosk.data_dir) / "settings.arrived"

    @property
    def settings_taken(self) -> Path:
        return Path(self.kiosk.data_dir) / "settings.signed"

    @property
    def trust_arrived(self) -> Path:
        return Path(self.kiosk.data_dir) / "trust.arrived"

    @property
    def trust_taken(self) -> Path:
        return Path(self.kiosk.data_dir) / "trust.signed"

    @property
    def revocations_arrived(self) -> Path:
        return Path(self.kiosk.data_dir) / "revocations.arrived"

    @property
    def revocations_taken(self) -> Path:
        return Path(self.kiosk.data_dir) / "revocations.signed"

    @property
    def kiosk_health_file(self) -> Path:
        return Path(self.kiosk.runtime_dir) / "kiosk-health.json"

    @property
    def sync_health_file(self) -> Path:
        return Path(self.kiosk.runtime_dir) / "sync-health.json"

    @property
    def clock_file(self) -> Path:
        return Path(self.kiosk.runtime_dir) / "clock"

    @property
    def sightings_file(self) -> Path:
        return Path(self.kiosk.runtime_dir) / "sightings.bin"


def load(file: Path) -> Settings:
    """Read `file`. Raises only `SettingsError`, which says what to write instead."""
    try:
        if file.exists() and not file.is_file():
            raise SettingsError(f"{file}: is no ordinary file; settings are read from one")
        if file.stat().st_size > LONGEST_FILE_BYTES:
            raise SettingsError(
                f"{file}: longer than {LONGEST_FILE_BYTES} bytes, no settings file is"
            )
        return parse(file.read_text(encoding="utf-8-sig"), file.name)
    except OSError as error:
        raise SettingsError(
            f"{file}: can't be read ({error.strerror}). Write the settings there, or name another "
            f"file with --settings FILE; `vaora-kiosk settings --defaults` prints one to begin with"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text ({error})") from error


def parse(text: str, name: str = "kiosk.toml") -> Settings:
    """Read the settings in `text`; `name` stands before each message."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS and not line.lstrip().startswith("#"):
            raise SettingsError(
                f"{name}: line {number} has more than {MOST_DOTS} dots in it, no setting has"
            )
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError is a ValueError; a number of more than 4,300 digits is just that.
        raise SettingsError(f"{name}: is not TOML: {error}") from error
    unknown = next(_unknown_keys(table), None)
    if unknown is not None:
        raise SettingsError(f"{name}: {unknown}")
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {_in_words(str(error), table)}") from error
    check_together(settings, name)
    return settings


def check_together(settings: Settings, name: str) -> None:
    """Refuse settings that are each right and together can't work."""
    for where, value in _texts(settings):
        if any(ord(character) < ord(" ") for character in value):
            raise SettingsError(f"{name}: {where} = {value!r}: has a control character in it")
    panel = settings.panel
    pins = {"green_pin": panel.green_pin, "red_pin": panel.red_pin, "amber_pin": panel.amber_pin}
    pins |= {"buzzer_pin": panel.buzzer_pin, "lamp_pin": panel.lamp_pin}
    pins |= {
        "direction_button_pin": panel.direction_button_pin,
        "test_button_pin": panel.test_button_pin,
    }
    used: dict[int, str] = {}
    for key, pin in pins.items():
        if pin and pin in used:
            raise SettingsError(
                f"{name}: [panel] {key} = {pin}: {used[pin]} is on that pin already"
            )
        used[pin] = key
    if settings.door.direction == "button" and not panel.direction_button_pin:
        raise SettingsError(
            f'{name}: [door] direction = "button" needs [panel] direction_button_pin'
        )
    policy = settings.policy
    if (policy.trust_file or policy.revocations_file) and not policy.authority:
        raise SettingsError(
            f"{name}: [policy] authority is missing: without the public key that signs it, a trust "
            "list could be anybody's. `vaora-pass keygen` prints it"
        )
    camera = settings.camera
    if camera.source != "picamera2" and not camera.path:
        raise SettingsError(
            f'{name}: [camera] path is missing: source = "{camera.source}" needs '
            + (
                "a device, such as /dev/video0"
                if camera.source == "webcam"
                else "a folder or a video"
            )
        )
    if settings.broker.wait_max_s < settings.broker.wait_initial_s:
        raise SettingsError(f"{name}: [broker] wait_max_s is shorter than wait_initial_s")


def _texts(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "seal", settings.seal
    for name, kind in section_types():
        for key in kind.__struct_fields__:
            value = getattr(getattr(settings, name), key)
            if isinstance(value, str):
                yield f"[{name}] {key}", value


def _unknown_keys(table: dict[str, Any]) -> Iterator[str]:
    sections = dict(section_types())
    top = [*sections, "seal"]
    for key, value in table.items():
        if key not in top:
            yield f"{key!r} is no setting; known here: {', '.join(sorted(top))}"
        elif key in sections and isinstance(value, dict):
            known = sections[key].__struct_fields__
            for inner in value:
                if inner not in known:
                    yield f"[{key}] {inner!r} is no setting; known here: {', '.join(sorted(known))}"


def section_types() -> Iterator[tuple[str, type[Section]]]:
    """The name and the type of each table."""
    for key, kind in get_type_hints(Settings).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            yield key, kind


def _in_words(message: str, table: dict[str, Any]) -> str:
    """Msgspec's message with the table, the key, the value, and what would be right."""
    match = re.fullmatch(r"(.*) - at `\$\.(.*)`", message, re.DOTALL)
    if match is None:
        return message
    reason, dotted = match.groups()
    dotted = re.sub(r"\[.*\]$", "", dotted)  # a mistake inside a list is shown with the list
    *section, key = dotted.split(".")
    value: Any = table
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    where = f"[{section[0]}] {key}" if section else key
    hint = _hint(section[0] if section else "", key)
    return f"{where} = {value!r}: {reason[0].lower()}{reason[1:]}{hint}"


def _hint(section: str, key: str) -> str:
    kind: type[Section] = dict(section_types()).get(section, Settings)
    meta = meta_of(kind, key)
    if meta is None:
        return ""
    words = re.findall(r"'([a-z0-9-]+)'", str(get_type_hints(kind).get(key)))
    if words and "Literal" in str(get_type_hints(kind).get(key)):
        return f" ({meta.description}; one of {', '.join(words)})"
    example = f", such as {meta.examples[0]!r}" if meta.examples else ""
    return f" ({meta.description}{example})" if meta.description else ""


def meta_of(kind: type[Section], key: str) -> Meta | None:
    """What is written about setting `key` beside its type."""
    hint = get_type_hints(kind, include_extras=True).get(key)
    metas = [part for part in get_args(hint)[1:] if isinstance(part, Meta)]
    described = [meta for meta in metas if meta.description]
    return described[-1] if described else None


def as_toml(
    settings: Settings, *, explained: bool = False, notes: Mapping[str, str] | None = None
) -> str:
    """`settings` as a file that `parse` reads back; `explained` puts a comment beside each.

    `notes` are comments by the table they stand above, or `seal`, or `top`.
    """
    said = notes or {}
    lines = [*_note(said, "top"), *_note(said, "seal")]
    lines += [*_lines(Settings, settings, ["seal"], explained=explained), ""]
    for name, kind in section_types():
        section = getattr(settings, name)
        lines += [*_note(said, name), f"[{name}]"]
        lines += [*_lines(kind, section, kind.__struct_fields__, explained=explained), ""]
    return "\n".join(lines)


def _note(notes: Mapping[str, str], place: str) -> list[str]:
    text = "".join(each if each.isprintable() else " " for each in notes.get(place, ""))
    return [f"# {text}"] if text else []


def _lines(
    kind: type[Section], section: Section, keys: list[str] | tuple[str, ...], *, explained: bool
) -> Iterator[str]:
    for key in keys:
        meta = meta_of(kind, key)
        if explained and meta is not None:
            yield f"# {meta.description}"
        yield f"{key} = {_toml_value(getattr(section, key))}"


def _toml_value(value: str | float | bool | tuple[str, ...]) -> str:  # noqa: FBT001  a value, not a flag
    # JSON's strings, numbers and booleans are TOML's too.
    return msgspec.json.encode(value).decode()
