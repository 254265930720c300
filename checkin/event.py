"""The check-in: the one event that kiosk, daemon and central agree on.

On disk and on the wire it is a CloudEvents 1.0 event in JSON, with the official `sequence`
extension and one of ours, `outbox`:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md

It is encoded once, at the door, and from there on only copied. `docs/asyncapi.yaml` is the
contract for whoever writes another central.
"""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from checkin.seal import Seal

TYPE = "vn.vaora.checkin.v1"

# Somebody showed a credential that isn't taken here. It stands in the same sequence as the
# check-ins, says why, and nothing of who it was.
REFUSAL = "vn.vaora.refusal.v1"

# The longest event that is read. One that the door wrote is under 2 kB; a central that reads
# more has a stranger's bytes before it.
LONGEST_EVENT_BYTES = 16_384

# `sequence` has to sort as text (the extension's own rule): 2**63 has 19 digits.
SEQUENCE_DIGITS = 19

# How wrong a time may be that says `synced`. Up to this much systemd-timesyncd doesn't step but
# slews (NTP_MAX_ADJUST in its source), while it says already that the clock is set.
SYNCED_ERROR_S = 0.4

# The last that a receipt has room for, and far beyond any that a door will count.
LAST_SEQ = 2**62

LONGEST_ID = 64  # ours have 36 and 32; longer ones are none of ours

# A reason is a word or three, never a text.
LONGEST_REASON = 64

Direction = Literal["in", "out"]

# How the direction was known. `mounting`: this kiosk reads one direction only. `alternating`: the
# other one than this visitor's last. `button`: chosen at the kiosk. `first-seen`: alternating or by
# button, but nothing was known since the kiosk booted, so that `in` is likely and not known.
DirectionBy = Literal["mounting", "alternating", "first-seen", "button"]


class EventError(ValueError):
    """Bytes that should hold a check-in do not."""


LONGEST_NAME = 64
LONGEST_BOX = 12_000  # letters of base64; a card of every field has 800

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Box = Annotated[str, Meta(max_length=LONGEST_BOX)]


# None of these can be part of a cycle: `gc=False` spares a drain a third of its reading.
class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What kind of credential was shown, and whether a signature proves it."""

    kind: Name
    verified: bool


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Personal fields, closed to the central's key named `key`."""

    key: Name
    box: Box


class Believed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How sure `time` is: the boot and monotonic second it was read at, and whether it was set."""

    boot: Name
    tick_s: Annotated[float, Meta(ge=0, le=10**10)]
    synced: bool


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    checkpoint: Name
    kiosk: Name
    direction: Direction
    direction_by: DirectionBy
    credential: Shown
    clock: Believed
    sealed: Sealed | None = None
    person: dict[str, str] | None = None
    refused: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""


class CheckIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One accepted arrival or departure, as it travels; or one refusal, which is none.

    `id` is a UUIDv7, made once, when the check-in is recorded: the central may receive it many
    times and knows by `id` that it is one. (`outbox`, `sequence`) counts without a gap, so that
    the central can tell what it doesn't have yet.
    """

    id: str
    source: str
    time: datetime
    sequence: str
    outbox: str
    data: Data
    specversion: Literal["1.0"] = "1.0"
    type: Literal["vn.vaora.checkin.v1", "vn.vaora.refusal.v1"] = "vn.vaora.checkin.v1"
    datacontenttype: Literal["application/json"] = "application/json"

    @property
    def seq(self) -> int:
        return int(self.sequence)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CheckIn, strict=True)
_batches = msgspec.json.Decoder(list[CheckIn], strict=True)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def source(checkpoint: str, kiosk: str) -> str:
    """Where an event comes from, as a URI reference."""
    return f"/vaora/{checkpoint}/{kiosk}"


def sequence(seq: int) -> str:
    """`seq` as text that sorts like the number."""
    return str(seq).zfill(SEQUENCE_DIGITS)


def encode(checkin: CheckIn) -> bytes:
    """Return `checkin` as it lies on disk and travels: one line of JSON, UTF-8."""
    return _encoder.encode(checkin)


def decode(body: bytes) -> CheckIn:
    """Read back what `encode` wrote. Raises only `EventError`, whatever the bytes."""
    if len(body) > LONGEST_EVENT_BYTES:
        raise EventError(f"{len(body)} bytes, an event has at most {LONGEST_EVENT_BYTES}")
    try:
        checkin = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise EventError(f"not a check-in: {error}") from error
    _check(checkin)
    return checkin


def decode_batch(body: bytes) -> list[CheckIn]:
    """Read a message of many events at once, in half the time that one by one takes.

    Raises only `EventError`, whatever the bytes, for all of it where one event is wrong.
    """
    try:
        checkins = _batches.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise EventError(f"not check-ins: {error}") from error
    if not _are_as_usual(checkins):
        for checkin in checkins:
            _check(checkin)
    _check_lengths(body)
    return checkins


def _check_lengths(body: bytes) -> None:
    """One may be too long among many that aren't, and would never be read again by itself."""
    longest = max(map(len, map(bytes, _raws.decode(body))), default=0)
    if longest > LONGEST_EVENT_BYTES:
        raise EventError(f"{longest} bytes, an event has at most {LONGEST_EVENT_BYTES}")


def _are_as_usual(checkins: list[CheckIn]) -> bool:
    """Whether all these are sealed check-ins of one kiosk, and as `_check` wants them.

    The same questions, asked of all at once: a backlog is read three times as fast.
    """
    datas = [checkin.data for checkin in checkins]
    sequences = [checkin.sequence for checkin in checkins]
    together = "".join(sequences)
    named = {(data.checkpoint, data.kiosk) for data in datas}
    return (
        set(map(len, sequences)) == {SEQUENCE_DIGITS}
        and together.isascii()
        and together.isdigit()
        and min(sequences) > "0" * SEQUENCE_DIGITS
        and max(sequences) <= str(LAST_SEQ)
        and {checkin.time.tzinfo for checkin in checkins} == {UTC}
        and len(named) == 1
        and {checkin.source for checkin in checkins} == {source(*one) for one in named}
        and {checkin.type for checkin in checkins} == {TYPE}
        and {data.refused for data in datas} == {""}
        and None not in [data.sealed for data in datas]
        and {data.person is None for data in datas} == {True}
        and {0 < len(checkin.id) <= LONGEST_ID for checkin in checkins} == {True}
        and {0 < len(checkin.outbox) <= LONGEST_ID for checkin in checkins} == {True}
    )


def _check(checkin: CheckIn) -> None:
    """Refuse what the types allow and the format doesn't."""
    digits = checkin.sequence
    if not (len(digits) == SEQUENCE_DIGITS and digits.isascii() and digits.isdigit()):
        raise EventError(f"sequence is not {SEQUENCE_DIGITS} digits")
    if not 0 < checkin.seq <= LAST_SEQ:
        raise EventError("sequence is out of range")
    zone = checkin.time.tzinfo
    if zone is not UTC and (zone is None or checkin.time.utcoffset() != timedelta(0)):
        raise EventError("time is not in UTC")
    data = checkin.data
    if checkin.source != source(data.checkpoint, data.kiosk):
        raise EventError("source and data name different kiosks")
    if (checkin.type == REFUSAL) != bool(data.refused):
        raise EventError("a refusal has a reason, and a check-in has none")
    if data.refused and (data.sealed is not None or data.person is not None):
        raise EventError("a refusal says nothing of who it was")
    if not data.refused and (data.sealed is None) == (data.person is None):
        raise EventError("exactly one of sealed and person must be there")
    if not 0 < len(checkin.id) <= LONGEST_ID or not 0 < len(checkin.outbox) <= LONGEST_ID:
        raise EventError(f"id and outbox have 1 to {LONGEST_ID} characters")


def closed(data: Data, seal: Seal) -> Data:
    """`data` with its personal fields sealed, so that only the central can read them."""
    box = b64encode(seal.close(_encoder.encode(data.person))).decode()
    return msgspec.structs.replace(data, person=None, sealed=Sealed(key=seal.key_id, box=box))


def open_person(plain: bytes) -> dict[str, str]:
    """Read the fields that a sealed box held. Raises only `EventError`."""
    try:
        return msgspec.json.decode(plain, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError(f"sealed fields are damaged: {error}") from error


def sealed_bytes(sealed: Sealed) -> bytes:
    """The box of `sealed`. Raises only `EventError`."""
    try:
        return b64decode(sealed.box, validate=True)
    except ValueError as error:
        raise EventError("sealed box is no base64") from error


def uuid7(at: datetime, random: bytes) -> str:
    """A UUID that sorts by time: 48 bits of milliseconds, then 74 random ones (RFC 9562, 5.7).

    `random` is 10 bytes. A kiosk that believes to be before 1970 counts as 1970: the id has to be
    unique, the time is in the event.
    """
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = max(0, (at - epoch) // timedelta(milliseconds=1))
    number = int.from_bytes(random, "big") & ((1 << 74) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | (number >> 62) << 64  # version 7, then 12 random bits
    value |= 0b10 << 62 | (number & ((1 << 62) - 1))  # RFC variant, then 62 more
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def moment(text: str) -> datetime | None:
    """The time that `text` says in ISO 8601, without a zone in UTC; None where it says none."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
