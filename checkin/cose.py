"""Signed tokens: COSE_Sign1 (RFC 9052), its signatures, and what wraps it in a QR code.

One module knows the packages for it (`cbor2`, `cryptography`, `base45`). The passes, the vaccine
certificates and the signed lists are all made and verified here. Everything that is read comes
from a stranger: each step is bounded, and the only exception is `CoseError`.
"""

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import base45
import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

# The largest QR code holds 4,296 base45 characters, 2,864 bytes; a vaccine certificate inflates
# to about 400 bytes, the largest public test record to under 5,000.
LONGEST_TOKEN_BYTES = 32_768

# RFC 9053: ECDSA with SHA-256, RSASSA-PSS with SHA-256, EdDSA.
ES256, PS256, EDDSA = -7, -37, -8
ALGORITHMS = {ES256: "ES256", PS256: "PS256", EDDSA: "EdDSA"}

# RFC 9052, section 3.1: labels of a header.
ALG, KID = 1, 4

# CBOR tags: COSE_Sign1, and the CWT around it (RFC 8392, section 6).
SIGN1_TAG, CWT_TAG = 18, 61

# A longer RSA key makes one verification cost as much as twenty; no health authority has one.
MOST_RSA_BITS = 4096

ED25519_BYTES = 32

# The digits of the number in a date that CBOR may hold: year 9999.
LATEST_SECOND = 253_402_300_799

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey


class CoseError(ValueError):
    """What was read is no signed token; the message is one word that says which step failed."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A COSE_Sign1 message, taken apart and not verified yet."""

    protected: bytes
    headers: dict[Any, Any]
    unprotected: dict[Any, Any]
    payload: bytes
    signature: bytes

    @property
    def alg(self) -> int | None:
        """RFC 9053's number; from the unprotected header where the protected one has none."""
        value = self.headers.get(ALG, self.unprotected.get(ALG))
        return value if isinstance(value, int) else None

    @property
    def kid(self) -> bytes:
        """Who says to have signed: from the protected, else the unprotected header, else empty.

        Some authorities write an empty one in the protected header.
        """
        for headers in (self.headers, self.unprotected):
            value = headers.get(KID)
            if isinstance(value, bytes) and value:
                return value
        return b""

    def signed_bytes(self) -> bytes:
        """RFC 9052, section 4.4: what the signature is over. An empty header stays empty."""
        return cbor2.dumps(["Signature1", self.protected, b"", self.payload])


def from_base45(text: str) -> bytes:
    """RFC 9285. Raises `CoseError`."""
    try:
        return bytes(base45.b45decode(text))
    except (ValueError, UnicodeError) as error:
        raise CoseError("base45") from error


def to_base45(raw: bytes) -> str:
    return str(base45.b45encode(raw), "ascii")


def inflate(packed: bytes, *, raw: bool = False) -> bytes:
    """Unpack zlib (or, `raw`, bare deflate), but no more than any token has: bombs end here."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(packed, LONGEST_TOKEN_BYTES)
    except zlib.error as error:
        raise CoseError("zlib") from error
    if not unpacker.eof:
        raise CoseError("too-long" if len(plain) >= LONGEST_TOKEN_BYTES else "zlib")
    return plain


def from_cbor(raw: bytes, longest_bytes: int = LONGEST_TOKEN_BYTES) -> Any:  # noqa: ANN401  a stranger's
    """The one CBOR value that `raw` is. Raises `CoseError`, whatever the bytes."""
    if len(raw) > longest_bytes:
        raise CoseError("too-long")
    stream = BytesIO(raw)
    try:
        value = cbor2.CBORDecoder(stream).decode()
    except Exception as error:
        # cbor2 raises a dozen kinds: its tags build dates, decimals, sets and patterns.
        raise CoseError("cbor") from error
    if stream.tell() != len(raw):
        raise CoseError("cbor")
    return value


def to_cbor(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def take_apart(raw: bytes, longest_bytes: int = LONGEST_TOKEN_BYTES) -> Signed:
    """Read a COSE_Sign1 message, with its tag or without, with a CWT's tag around it or without."""
    value = from_cbor(raw, longest_bytes)
    for tag in (CWT_TAG, SIGN1_TAG):
        if isinstance(value, cbor2.CBORTag) and value.tag == tag:
            value = value.value
    match value:
        case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]:
            headers = from_cbor(protected) if protected else {}
            if isinstance(headers, dict):
                return Signed(protected, headers, unprotected, payload, signature)
    raise CoseError("cose")


def is_signed_by(signed: Signed, key: PublicKey) -> bool:
    """Whether the signature is `key`'s. Never raises, whatever the signature."""
    try:
        _verify(signed, key)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _verify(signed: Signed, key: PublicKey) -> None:
    message, signature = signed.signed_bytes(), signed.signature
    match signed.alg, key:
        case -7, ec.EllipticCurvePublicKey():
            verify_es256(key, message, signature)
        case -37, rsa.RSAPublicKey() if key.key_size <= MOST_RSA_BITS:
            # RFC 8230, section 2: the salt is as long as the hash.
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
            key.verify(signature, message, pss, hashes.SHA256())
        case -8, Ed25519PublicKey():
            key.verify(signature, message)
        case _:
            raise InvalidSignature


def verify_es256(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> None:
    """ECDSA with SHA-256; `signature` is r and s, each as long as the curve's numbers.

    One authority signs so with a P-384 key: 96 bytes. Raises `InvalidSignature`.
    """
    length = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * length:
        raise InvalidSignature
    r, s = (int.from_bytes(half, "big") for half in (signature[:length], signature[length:]))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def is_es256_signed(x: bytes, y: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of the point (x, y) on P-256 signed `message`. Never raises."""
    try:
        verify_es256(p256_key(x, y), message, signature)
    except (InvalidSignature, ValueError):
        return False
    return True


def p256_key(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """A JWK's point on P-256. Raises `CoseError`."""
    try:
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()
        )
        return numbers.public_key()
    except ValueError as error:
        raise CoseError("key") from error


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of its signer. Raises nothing after it was read."""

    key: PublicKey
    not_after_s: float


def certificate(der: bytes) -> Certificate:
    """Read an X.509 certificate, of any version. Raises `CoseError`."""
    try:
        read = x509.load_der_x509_certificate(der)
        key = read.public_key()
        not_after_s = read.not_valid_after_utc.timestamp()
    except Exception as error:
        # A key type or a curve that isn't known comes as one of five exceptions.
        raise CoseError("certificate") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey):
        raise CoseError("certificate")
    return Certificate(key, not_after_s)


def ed25519_key(raw: bytes) -> Ed25519PublicKey:
    """Raises `CoseError`."""
    if len(raw) != ED25519_BYTES:
        raise CoseError("key")
    return Ed25519PublicKey.from_public_bytes(raw)


def from_base64(text: str) -> bytes:
    """Base64 or base64url, padded or not, broken into lines or not. Raises `CoseError`."""
    tidy = re.sub(r"\s+", "", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(tidy + "=" * (-len(tidy) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CoseError("base64") from error


def seconds(value: object) -> float | None:
    """A numeric date (RFC 8392, section 2: whole or floating), or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= LATEST_SECOND else None


class SigningKey:
    """An Ed25519 key that signs passes and lists. `raw` is its 32 secret bytes."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != ED25519_BYTES:
            raise CoseError("key")
        self._key = Ed25519PrivateKey.from_private_bytes(raw)

    @property
    def secret(self) -> bytes:
        return self._key.private_bytes_raw()

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def kid(self) -> bytes:
        return kid_of(self.public)

    def sign(self, payload: bytes) -> bytes:
        """A COSE_Sign1 message, with its tag."""
        protected = to_cbor({ALG: EDDSA, KID: self.kid})
        unsigned = Signed(protected, {}, {}, payload, b"")
        signature = self._key.sign(unsigned.signed_bytes())
        return cbor2.dumps(cbor2.CBORTag(SIGN1_TAG, [protected, {}, payload, signature]))


def kid_of(public: bytes) -> bytes:
    """The name of an Ed25519 key: the first eight bytes of its SHA-256, as health passes do."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return digest.finalize()[:8]
