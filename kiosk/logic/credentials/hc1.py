"""The vaccine pass: an EU Digital COVID Certificate, which Viet Nam's is one of.

    HC1: + base45 ( zlib ( COSE_Sign1 ( CWT with claim -260 → 1 → the certificate ) ) )

https://ec.europa.eu/health/ehealth/digital_health/covid-19_en, "Technical specifications", volume
3. Verified offline by a list of the authorities' certificates. Five outcomes: valid, expired (the
pass or its signer), signer unknown, signature wrong, unreadable.

Authorities wrote the format in their own ways, and what the public test data hold is taken: a key
id in the unprotected header, empty, or as hexadecimal letters; no COSE tag or a CWT's around it;
floating dates, no expiry, an expiry of this very second; the certificate packed as bytes again.
A date of issue in the future is no reason to refuse: a kiosk's clock may be behind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from checkin import cose
from checkin.cose import Certificate, CoseError, Signed
from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

PREFIX = "HC1:"

# RFC 8392: issuer, expiry. The EU's: health certificate, its version 1.
ISS, EXP, HCERT, VERSION_1 = 1, 4, -260, 1

# Vaccination, test, recovery.
DOCUMENTS = ("v", "t", "r")

ZLIB_FIRST_BYTE = 0x78

# A key id is eight bytes of a hash, and two certificates may share one. Each is tried, up to as
# many as a slow Pi verifies within a frame.
MOST_TRIED = 24

LONGEST_ID = 120


@dataclass(frozen=True, slots=True)
class Hc1:
    """A vaccine pass that was read. `reason` says why it isn't verified, or is None."""

    country: str
    alg: str
    holder: str
    dob: str
    doc: str
    reason: str | None
    certificate_id: str

    kind = "hc1"
    signed = True

    @property
    def verified(self) -> bool:
        return self.reason is None

    @property
    def identity(self) -> str:
        return self.certificate_id

    def person(self) -> dict[str, str]:
        """Only the result of the vaccination is kept, and that is `verified`."""
        found = {"name": self.holder, "dob": self.dob}
        return {key: value for key, value in found.items() if value}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": self.kind,
            "country": self.country,
            "alg": self.alg,
            "verified": self.verified,
            "reason": self.reason,
            "holder": self.holder or None,
            "dob": self.dob,
            "doc": self.doc,
            "signed": self.signed,
        }

    def __repr__(self) -> str:
        return f"<hc1 {self.reason or 'verified'}>"


def read_hc1(body: str, here: Here) -> Hc1 | Malformed:
    """Read and verify what stands behind `HC1:`."""
    try:
        packed = cose.from_base45(body)
        if packed[:1] != bytes([ZLIB_FIRST_BYTE]):
            return Malformed("zlib")
        signed = cose.take_apart(cose.inflate(packed))
        claims = cose.from_cbor(signed.payload)
        certificate = _certificate(claims)
    except CoseError as error:
        return Malformed(str(error))
    doc = next((doc for doc in DOCUMENTS if certificate.get(doc)), "")
    reason = _reason(signed, claims, here)
    return Hc1(
        country=_text(claims.get(ISS)),
        alg=cose.ALGORITHMS.get(signed.alg or 0, "unknown"),
        # A forgery says what it likes: nobody's name is taken from it.
        holder="" if reason == "bad-signature" else _holder(certificate.get("nam")),
        dob=_text(certificate.get("dob")),
        doc=doc,
        reason=reason,
        certificate_id=_id(certificate.get(doc)) or sha256(signed.payload).hexdigest(),
    )


def _certificate(claims: Any) -> Mapping[Any, Any]:  # noqa: ANN401  a stranger's
    """The health certificate in a CWT's claims. Raises `CoseError`."""
    hcert = claims.get(HCERT) if isinstance(claims, dict) else None
    certificate = hcert.get(VERSION_1) if isinstance(hcert, dict) else None
    if isinstance(certificate, bytes):
        certificate = cose.from_cbor(certificate)
    if not isinstance(certificate, dict):
        raise CoseError("no-certificate")
    return certificate


def _reason(signed: Signed, claims: Mapping[Any, Any], here: Here) -> str | None:
    signers = list(_signers(signed.kid, here))
    if not signers:
        return "unknown-signer"
    for signer in signers:
        if cose.is_signed_by(signed, signer.key):
            exp = cose.seconds(claims.get(EXP))
            # An expiry that is there and can't be read is no licence to live for ever.
            unreadable = EXP in claims and exp is None
            over = unreadable or here.is_past(exp) or here.is_past(signer.not_after_s)
            return "expired" if over else None
    return "bad-signature"


def _signers(kid: bytes, here: Here) -> Iterator[Certificate]:
    """Who may have signed as `kid`; where none is named, each that is trusted."""
    trusted = here.trust.signers
    if kid:
        found = trusted.get(kid) or trusted.get(_unhexed(kid)) or ()
    else:
        found = tuple(der for ders in trusted.values() for der in ders)
    for der in found[:MOST_TRIED]:
        certificate = _read_certificate(der)
        if certificate is not None:
            yield certificate


def _unhexed(kid: bytes) -> bytes:
    try:
        return bytes.fromhex(kid.decode("ascii"))
    except ValueError:
        return b""


@lru_cache(maxsize=256)
def _read_certificate(der: bytes) -> Certificate | None:
    try:
        return cose.certificate(der)
    except CoseError:
        return None


def _holder(names: Any) -> str:  # noqa: ANN401
    """Family name, then given name, as Vietnamese names go; transliterated where that is all."""
    if not isinstance(names, dict):
        return ""
    parts = (names.get("fn") or names.get("fnt"), names.get("gn") or names.get("gnt"))
    holder = " ".join(part for part in map(_text, parts) if part)
    return holder[: fields.LONGEST_NAME]


def _id(entries: Any) -> str:  # noqa: ANN401
    first = entries[0] if isinstance(entries, list) and entries else None
    return _text(first.get("ci")) if isinstance(first, dict) else ""


def _text(value: Any) -> str:  # noqa: ANN401
    return value[:LONGEST_ID] if isinstance(value, str) else ""
