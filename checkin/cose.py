"""Signed tokens: COSE_Sign1 (RFC 9052), its signatures, and what wraps it in a QR code.

One module knows the packages for it (`cbor2`, `cryptography`, `base45`). The passes, the vaccine
certificates and the signed lists are all made and verified here. Everything that is read comes
from a stranger: each step is bounded, and the only exception is `CoseError`.
"""

import base64
import binascii
import re
import zlib
from dataclasses import dataclass, field
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

# The CBOR tag of COSE_Sign1.
SIGN1_TAG = 18

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
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

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
    try:
        return cbor2.loads(_untagged(raw))
    except CoseError:
        raise
    except Exception as error:
        # cbor2 raises half a dozen kinds: text that is no UTF-8, keys that can't be hashed.
        raise CoseError("cbor") from error


# No token that was ever made has a tenth of these.
MOST_ITEMS = 4_000
MOST_LEVELS = 16

# Major types of CBOR (RFC 8949, section 3.1), and what stands for "until a break" in a header.
BYTES, TEXT, ARRAY, MAP, TAG = 2, 3, 4, 5, 6
INDEFINITE = 31
BREAK = 0xFF


def _untagged(raw: bytes) -> bytes:  # noqa: C901, PLR0912  one loop over one binary format
    """`raw` without its tags; one well-formed item, of bounded depth and number.

    A tag makes cbor2 build something: a fraction of a billion digits, a compiled pattern, a set of
    sets that takes for ever to hash, from twenty-five letters in a stranger's code. None of it is
    wanted: COSE's own tags may be missing anyway, and a tagged date is read as its text.
    """
    kept = bytearray()
    # What is still to come in each open item; None until a break.
    open_items: list[int | None] = [1]
    at = items = 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        if at >= len(raw):
            raise CoseError("cbor")
        begin, first = at, raw[at]
        if first == BREAK and open_items[-1] is None:
            open_items.pop()
            kept.append(first)
            at += 1
            continue
        major, short = first >> 5, first & 31
        size = {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
        if 28 <= short < INDEFINITE or (short == INDEFINITE and major not in {2, 3, 4, 5}):  # noqa: PLR2004
            raise CoseError("cbor")
        at += 1 + size
        argument = int.from_bytes(raw[begin + 1 : at], "big") if size else short
        if major == TAG:
            continue  # what it stands before comes next, and counts in its place
        items += 1
        if items > MOST_ITEMS:
            raise CoseError("cbor")
        if (left := open_items[-1]) is not None:
            open_items[-1] = left - 1
        if short == INDEFINITE:
            open_items.append(None)
        elif major in {ARRAY, MAP}:
            open_items.append(argument * (2 if major == MAP else 1))
        elif major in {BYTES, TEXT}:
            at += argument
        if at > len(raw) or len(open_items) > MOST_LEVELS:
            raise CoseError("cbor")
        kept += raw[begin:at]
    if at != len(raw):
        raise CoseError("cbor")
    return bytes(kept)


def to_cbor(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def take_apart(raw: bytes, longest_bytes: int = LONGEST_TOKEN_BYTES) -> Signed:
    """Read a COSE_Sign1 message, with its tag or without, with a CWT's tag around it or without."""
    match from_cbor(raw, longest_bytes):
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
