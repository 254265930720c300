"""What is signed for kiosks: whose signatures count, which passes don't any more, and settings.

A file is one COSE_Sign1 message (RFC 9052) signed with the authority's Ed25519 key, around a JSON
document. It comes by hand, on a stick or over the network: who carried it doesn't matter. A newer
version replaces an older one, never the other way round.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from checkin import cose
from checkin.cose import CoseError, SigningKey
from checkin.settings import Door, Epidemic, Policy, Settings
from checkin.words import N_

# All health authorities of the world are about 1,000 certificates of 1.2 kB in base64.
LONGEST_FILE_BYTES = 8 * 1024 * 1024

# With the wheels of three Pythons our package has 70 MB.
LONGEST_PACKAGE_BYTES = 512 * 1024 * 1024

# Whose signatures count and where its files lie is the kiosk's own: who has the authority's key
# today must not be able to hand it on for good.
LOCAL = ("authority", "trust_file", "revocations_file")

Version = Annotated[int, Meta(ge=1, le=2**53)]

# Why a list isn't taken: said to logs, and to whoever looks after the fleet (`words.known`).
UNSIGNED = N_("is not signed by this kiosk's [policy] authority")
NO_LIST = N_("is no signed list")
OTHER_LIST = N_("isn't what belongs there")
UNREAD = N_("can't be read")
TOO_LONG = N_("is longer than any list")
OLDER = N_("is older than what is in force")
SAME_NUMBER = N_("has the number of what is in force, and is another")
SIGN_HIGHER = N_("sign it with a higher number")
NO_DATE = N_("issued is no date in ISO 8601")
UNKEPT = N_("can't be kept")
UNUSABLE = N_("can't be used here")


class SignedListError(ValueError):
    """A signed list can't be used; the message says which, why, and what to do."""


class Signer(msgspec.Struct, frozen=True):
    """A health authority's certificate: key id and DER, both in base64."""

    kid: str
    cert_der_b64: str


class CardKey(msgspec.Struct, frozen=True):
    """A SMART Health Card issuer's key: P-256, as in its JWK set. `iss` is the issuer's address."""

    kid: str = ""
    x: str = ""
    y: str = ""
    iss: str = ""


class TrustList(msgspec.Struct, frozen=True, tag="vaora-trust", tag_field="type"):
    """`issued` is ISO 8601 in UTC; `pass_keys` are Ed25519 public keys in base64."""

    version: Version
    issued: str
    signers: list[Signer] = []
    card_keys: list[CardKey] = []
    pass_keys: list[str] = []


class Revocations(msgspec.Struct, frozen=True, tag="vaora-revocations", tag_field="type"):
    """`passes` are the ids of passes that were called back: 16 hexadecimal digits each."""

    version: Version
    issued: str
    passes: list[str] = []


class SignedSettings(msgspec.Struct, frozen=True, tag="vaora-settings", tag_field="type"):
    """What the central may change from afar; what it says nothing of stays as in the kiosk's file.

    `seal` is its public key. A kiosk seals to the new key from its next check-in on; what is
    sealed already stays as it is, so the central keeps its old key as long as an old backlog may
    come. A table replaces the kiosk's whole, but for `LOCAL` keys of the policy.
    """

    version: Version
    issued: str
    seal: str | None = None
    door: Door | None = None
    policy: Policy | None = None
    epidemic: Epidemic | None = None


class Release(msgspec.Struct, frozen=True, tag="vaora-release", tag_field="type"):
    """A package for kiosks to change to: its own version, and the bytes it is made of."""

    version: Version
    issued: str
    package: Annotated[str, Meta(pattern=r"^[0-9][A-Za-z0-9.+~]{0,31}$")]
    arch: Literal["arm64", "amd64"]
    bytes: Annotated[int, Meta(ge=1, le=LONGEST_PACKAGE_BYTES)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


ListT = TypeVar("ListT", TrustList, Revocations, SignedSettings, Release)


def in_force(loaded: Settings, told: SignedSettings | None) -> Settings:
    """The settings that count: the kiosk's file, and what was signed in place of its tables."""
    if told is None:
        return loaded
    policy = loaded.policy
    if told.policy is not None:
        kept = {key: getattr(loaded.policy, key) for key in LOCAL}
        policy = msgspec.structs.replace(told.policy, **kept)
    return msgspec.structs.replace(
        loaded,
        seal=loaded.seal if told.seal is None else told.seal,
        door=told.door or loaded.door,
        policy=policy,
        epidemic=told.epidemic or loaded.epidemic,
    )


def sign(document: TrustList | Revocations | SignedSettings | Release, key: SigningKey) -> bytes:
    return key.sign(msgspec.json.encode(document))


def read(document: bytes, kind: type[ListT], authority: bytes) -> ListT:
    """The list in `document`, if `authority` (32 bytes) signed it. Raises `SignedListError`."""
    try:
        signed = cose.take_apart(document, LONGEST_FILE_BYTES)
        if not cose.is_signed_by(signed, cose.ed25519_key(authority)):
            raise SignedListError(UNSIGNED)
        return msgspec.json.decode(signed.payload, type=kind)
    except CoseError as error:
        raise SignedListError(f"{NO_LIST} ({error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SignedListError(f"{OTHER_LIST} ({kind.__name__}): {error}") from error


def read_file(file: Path, kind: type[ListT], authority: bytes) -> ListT:
    """The list in `file`. Raises `SignedListError`, with the file's name before it."""
    found = raw(file)
    try:
        return read(found, kind, authority)
    except SignedListError as error:
        raise SignedListError(f"{file}: {error}") from error


def raw(file: Path) -> bytes:
    """What is in `file`, as far as any signed list goes. Raises `SignedListError`."""
    try:
        with file.open("rb") as opened:
            found = opened.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise SignedListError(f"{file}: {UNREAD} ({error.strerror})") from error
    if len(found) > LONGEST_FILE_BYTES:
        raise SignedListError(f"{file}: {TOO_LONG} ({LONGEST_FILE_BYTES} bytes)")
    return found


def mark(file: Path) -> tuple[int, int] | None:
    """What changes when `file` is replaced; None where there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def public_key(text: str) -> bytes:
    """The authority's key from the settings' base64. Raises `SignedListError`."""
    try:
        raw = cose.from_base64(text)
        cose.ed25519_key(raw)
    except CoseError as error:
        raise SignedListError(
            "authority: is no public key; write what `vaora-pass keygen` printed"
        ) from error
    return raw
