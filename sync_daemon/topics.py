"""The topics, and the messages on them that are no check-ins.

vaora/v1/<checkpoint>/<kiosk>/checkins     up
vaora/v1/<checkpoint>/<kiosk>/state        up, retained
vaora/v1/<checkpoint>/<kiosk>/receipt      down
vaora/v1/<checkpoint>/<kiosk>/settings     down, retained
vaora/v1/<checkpoint>/<kiosk>/renewal      up
vaora/v1/<checkpoint>/<kiosk>/certificate  down
vaora/v1/claim/<kiosk>/request             up, from a kiosk that has no certificate yet
vaora/v1/claim/<kiosk>/answer              down
vaora/v1/trust, vaora/v1/revocations       down, retained
vaora/v1/update/<arch>                     down, retained
vaora/v1/update/<arch>/<sha256>/<part>     down, retained: the parts of a package
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

ROOT = "vaora/v1"

CHECKINS_TYPE = "application/cloudevents-batch+json"
JSON_TYPE = "application/json"
SIGNED_TYPE = 'application/cose; cose-type="cose-sign1"'  # RFC 9052, section 2
PART_TYPE = "application/octet-stream"

# A receipt names at most so many ranges and refusals: the rest is said by the next one, and a
# stranger's receipt can't make the daemon work for long.
MOST_RANGES = 16
MOST_REFUSED = 64
# Boots of which a state tells the clock, the latest: those that check-ins in the outbox are of.
MOST_ANCHORS = 64

# Documents that a state says are not taken: settings, trust list, revocations.
MOST_NOT_TAKEN = 3
LONGEST_REASON = 300

LONGEST_MESSAGE_BYTES = 65_536


class MessageError(ValueError):
    """A message on one of our topics is not what it should be."""


@dataclass(frozen=True, slots=True)
class Address:
    """One kiosk at one checkpoint: the middle of its topics."""

    checkpoint: str
    kiosk: str

    def topic(self, leaf: str) -> str:
        return f"{ROOT}/{self.checkpoint}/{self.kiosk}/{leaf}"

    @property
    def checkins(self) -> str:
        return self.topic("checkins")

    @property
    def state(self) -> str:
        return self.topic("state")

    @property
    def receipt(self) -> str:
        return self.topic("receipt")

    @property
    def settings(self) -> str:
        return self.topic("settings")

    @property
    def renewal(self) -> str:
        return self.topic("renewal")

    @property
    def certificate(self) -> str:
        return self.topic("certificate")


ALL_CHECKINS = Address("+", "+").checkins
ALL_STATES = Address("+", "+").state
ALL_RENEWALS = Address("+", "+").renewal

ALL_CLAIMS = f"{ROOT}/claim/+/request"
TRUST = f"{ROOT}/trust"
REVOCATIONS = f"{ROOT}/revocations"

# A part of a package in one message: a slow link is through with it in seconds.
PART_BYTES = 131_072


def claim_request(kiosk: str) -> str:
    return f"{ROOT}/claim/{kiosk}/request"


def claim_answer(kiosk: str) -> str:
    return f"{ROOT}/claim/{kiosk}/answer"


def update(arch: str) -> str:
    return f"{ROOT}/update/{arch}"


def update_part(arch: str, sha256: str, number: int) -> str:
    return f"{ROOT}/update/{arch}/{sha256}/{number}"


def address(topic: str) -> tuple[Address, str]:
    """The kiosk and the leaf of `topic`. Raises `MessageError` for a topic that is none of ours."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT:  # noqa: PLR2004  root, two names, a leaf
        raise MessageError(f"topic {topic!r} is not {ROOT}/<checkpoint>/<kiosk>/<leaf>")
    return Address(parts[2], parts[3]), parts[4]


Seq = Annotated[int, Meta(ge=0, le=2**62)]
Range = tuple[Annotated[int, Meta(ge=1, le=2**62)], Annotated[int, Meta(ge=1, le=2**62)]]


class Refusal(msgspec.Struct, frozen=True):
    """The central will never take this row. The kiosk sets it aside with the reason."""

    seq: Annotated[int, Meta(ge=1, le=2**62)]
    reason: Annotated[str, Meta(max_length=200)]


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the central has of one outbox: everything up to `through`, but for `refused`.

    `again` are ranges it wants once more, both ends included.
    """

    outbox: Annotated[str, Meta(min_length=1, max_length=64)]
    through: Seq
    refused: Annotated[list[Refusal], Meta(max_length=MOST_REFUSED)] = []
    again: Annotated[list[Range], Meta(max_length=MOST_RANGES)] = []


class OutboxState(msgspec.Struct, frozen=True):
    """How far the outbox is, so that the central can tell what it doesn't have yet.

    `gone` are ranges that were asked for and are not there any more.
    """

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    appended: Seq
    confirmed: Seq
    pending: int
    oldest_pending_at: str | None
    set_aside: int
    gone: Annotated[list[Range], Meta(max_length=MOST_RANGES)] = []


class Anchor(msgspec.Struct, frozen=True):
    """At second `tick_s` of the monotonic clock of `boot` it was `at`, give or take `error_s`.

    By it the central corrects the times of check-ins that were made before the clock was set.
    """

    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    tick_s: Annotated[float, Meta(ge=0, le=10**10)]
    at: Annotated[datetime, Meta(tz=True)]
    error_s: Annotated[float, Meta(ge=0, le=10**6)]


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a kiosk is. Retained; the last will says `online: false` and no more.

    `temperature_c` and `undervoltage` are None where the machine can't tell, the ages of the signed
    lists and the days that the certificate is still good where there is none or no clock. The three
    versions are of what is signed and in force; `not_taken` says why something else that came is
    not. `last_checkin_at` is as the kiosk believed, None where no check-in is left on it. `update`
    says in words what goes on with a package: "downloading 40 %", "on trial 0.2.0", "refused
    0.2.0: …".
    """

    online: bool
    version: str = ""
    boot: str = ""
    at: str = ""
    clock_synced: bool = False
    camera: str = ""
    frames_per_s: float = 0.0
    faults: list[str] = []
    temperature_c: float | None = None
    undervoltage: bool | None = None
    outbox: OutboxState | None = None
    trust_days: float | None = None
    revocations_days: float | None = None
    certificate_days: float | None = None
    settings_version: int | None = None
    trust_version: int | None = None
    revocations_version: int | None = None
    not_taken: Annotated[
        list[Annotated[str, Meta(max_length=LONGEST_REASON)]], Meta(max_length=MOST_NOT_TAKEN)
    ] = []
    last_checkin_at: str | None = None
    anchors: Annotated[list[Anchor], Meta(max_length=MOST_ANCHORS)] = []
    update: Annotated[str, Meta(max_length=200)] = ""


_encoder = msgspec.json.Encoder()
_receipts = msgspec.json.Decoder(Receipt)
_states = msgspec.json.Decoder(State)


def encode(message: Receipt | State) -> bytes:
    return _encoder.encode(message)


def read_receipt(body: bytes) -> Receipt:
    """Raises only `MessageError`, whatever the bytes."""
    if len(body) > LONGEST_MESSAGE_BYTES:
        raise MessageError(f"a receipt of {len(body)} bytes")
    try:
        return _receipts.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"not a receipt: {error}") from error


def read_state(body: bytes) -> State:
    """Raises only `MessageError`, whatever the bytes."""
    if len(body) > LONGEST_MESSAGE_BYTES:
        raise MessageError(f"a state of {len(body)} bytes")
    try:
        return _states.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"not a state: {error}") from error
