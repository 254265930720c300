"""The SMART Health Card: a signed JSON web token, as digits.

    shc:/ + pairs of digits (a character's code, less 45) of a compact JWS, zipped, ES256

https://spec.smarthealth.cards. Keys normally come from the issuer's web address; a kiosk has no
network, so they are on the trust list. A card of several codes (`shc:/1/3/…`) is given up by
newer versions and still in pockets: the parts are put together as they are shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from checkin import cose
from checkin.cose import CoseError
from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here, ShcKey
from kiosk.logic.credentials.malformed import Malformed

PREFIX = "shc:/"

ZERO = 45
HIGHEST_PAIR = 77  # "z", the last character that a token has

# A card of more parts than this is none that was ever made.
MOST_PARTS = 9
_PART = re.compile(r"shc:/([1-9])/([1-9])/(.*)", re.DOTALL)

# Several keys of one issuer may be named alike.
MOST_TRIED = 24

# Parts of one card are shown one after the other: half a minute is a slow hand.
PARTS_S = 30.0


@dataclass(frozen=True, slots=True)
class Shc:
    """A health card that was read. `reason` says why it isn't verified, or is None."""

    issuer: str
    holder: str
    dob: str
    reason: str | None
    token_id: str

    kind = "shc"
    signed = True

    @property
    def verified(self) -> bool:
        return self.reason is None

    @property
    def identity(self) -> str:
        return self.token_id

    def person(self) -> dict[str, str]:
        found = {"name": self.holder, "dob": self.dob}
        return {key: value for key, value in found.items() if value}

    def reading(self) -> dict[str, object]:
        found: dict[str, object] = {
            "ok": True,
            "type": self.kind,
            "verified": self.verified,
            "issuer": self.issuer,
            "holder": self.holder or None,
            "dob": self.dob,
            "signed": self.signed,
        }
        return found if self.verified else {**found, "reason": self.reason}

    def __repr__(self) -> str:
        return f"<shc {self.reason or 'verified'}>"


def put_together(texts: Sequence[str]) -> str | None:
    """One card's text from its parts in any order, or None where some are missing."""
    by_count: dict[int, dict[int, str]] = {}
    for match in filter(None, map(_PART.fullmatch, texts)):
        by_count.setdefault(int(match[2]), {})[int(match[1])] = match[3]
    for count, parts in by_count.items():
        if set(parts) == set(range(1, count + 1)):
            return PREFIX + "".join(parts[number] for number in range(1, count + 1))
    return None


def is_part(text: str) -> bool:
    return _PART.fullmatch(text) is not None


def read_shc(text: str, here: Here) -> Shc | Malformed:
    """Read and verify a whole card, `shc:/` included."""
    if is_part(text):
        return Malformed("part-missing")
    digits = text.removeprefix(PREFIX)
    if not (digits.isascii() and digits.isdigit()):
        return Malformed("bad-digits")
    if len(digits) % 2:
        return Malformed("odd-digits")
    pairs = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    if max(pairs) > HIGHEST_PAIR:
        return Malformed("bad-digits")
    try:
        return _read_token("".join(chr(pair + ZERO) for pair in pairs), here)
    except CoseError as error:
        return Malformed(str(error))


def _read_token(token: str, here: Here) -> Shc | Malformed:
    parts = token.split(".", maxsplit=3)
    if len(parts) != 3:  # noqa: PLR2004  header, payload, signature
        return Malformed("jws")
    header_part, payload_part, signature_part = parts
    header = _json(cose.from_base64(header_part))
    if header.get("alg") != "ES256" or header.get("zip") != "DEF":
        return Malformed("jws-header")
    claims = _json(cose.inflate(cose.from_base64(payload_part), raw=True))
    issuer = _text(claims.get("iss"))
    patient = _patient(claims)
    message = f"{header_part}.{payload_part}".encode("ascii")
    signature = cose.from_base64(signature_part)
    keys = list(_keys(issuer, _text(header.get("kid")), here))
    reason = _reason(keys, message, signature)
    exp = cose.seconds(claims.get("exp"))
    if reason is None and (here.is_past(exp) or ("exp" in claims and exp is None)):
        reason = "expired"
    return Shc(
        issuer=issuer,
        holder="" if reason == "bad-signature" else _holder(patient),
        dob=_text(patient.get("birthDate")),
        reason=reason,
        token_id=sha256(message).hexdigest(),
    )


def _keys(issuer: str, kid: str, here: Here) -> Iterator[ShcKey]:
    known = [key for key in here.trust.shc_keys if key.kid == kid and key.iss in {"", issuer}]
    yield from known[:MOST_TRIED]


def _reason(keys: Sequence[ShcKey], message: bytes, signature: bytes) -> str | None:
    if not keys:
        return "unknown-signer"
    signed = any(cose.is_es256_signed(key.x, key.y, message, signature) for key in keys)
    return None if signed else "bad-signature"


def _json(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CoseError("json") from error
    if not isinstance(value, dict):
        raise CoseError("json")
    return value


def _patient(claims: dict[str, Any]) -> dict[str, Any]:
    """The first patient in the FHIR bundle, or an empty one."""
    value: Any = claims
    for key in ("vc", "credentialSubject", "fhirBundle", "entry"):
        value = value.get(key) if isinstance(value, dict) else None
    for entry in value if isinstance(value, list) else []:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and resource.get("resourceType") == "Patient":
            return resource
    return {}


def _holder(patient: dict[str, Any]) -> str:
    names = patient.get("name")
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, dict):
        return ""
    given = name.get("given")
    parts = [*(given if isinstance(given, list) else []), name.get("family")]
    holder = " ".join(part for part in map(_text, parts) if part)
    return (_text(name.get("text")) or holder)[: fields.LONGEST_NAME]


def _text(value: Any) -> str:  # noqa: ANN401  a stranger's
    return value[: fields.LONGEST_ADDRESS] if isinstance(value, str) else ""


class Parts:
    """The parts of a card that were shown lately, until they are whole."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def add(self, text: str, tick: float) -> str | None:
        """Note a part; return the whole card's text as soon as it is there."""
        lately = {part: seen for part, seen in self._seen.items() if tick - seen < PARTS_S}
        lately[text] = tick
        newest = sorted(lately, key=lambda part: lately[part])[-MOST_PARTS:]
        self._seen = {part: lately[part] for part in newest}
        whole = put_together(newest)
        if whole is not None:
            self._seen = {}
        return whole
