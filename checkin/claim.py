"""How a new kiosk claims its certificate, and how it is renewed: the messages, and their proofs.

The technician's card carries a token, which dies with its use. The token itself never travels: a
claim shows by an HMAC (RFC 2104) that its sender has it, and so does the answer, so that nobody but
the fleet can answer. The device's key is made on the device and never leaves it.
"""

import hashlib
import hmac
from base64 import b32decode, b32encode
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from checkin.words import N_

TOKEN_BYTES = 16
NONCE_BYTES = 16

# So that nobody takes another text for a token.
PREFIX = "VT1-"
_GROUP = 5

# A claim holds a request of under 1 kB, an answer a certificate of the same.
LONGEST_MESSAGE_BYTES = 65_536
_LONGEST_PEM = 16_384

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$")]
Nonce = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Pem = Annotated[str, Meta(max_length=_LONGEST_PEM)]

Refusal = Literal[
    "", "unknown", "used", "expired", "forged", "wrong-name", "retired", "unusable"
]  # fmt: skip

# Why there is no certificate, for a technician.
REFUSALS: dict[Refusal, str] = {
    "unknown": N_("the fleet doesn't know this token"),
    "used": N_("the token was used already, by another request"),
    "expired": N_("the token's time is over"),
    "forged": N_("the proof isn't this token's"),
    "wrong-name": N_("the token is for another kiosk or checkpoint"),
    "retired": N_("this kiosk was retired"),
    "unusable": N_("the request can't be used"),
}


class ClaimError(ValueError):
    """A token or a message is not what it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """What one card may claim one certificate with."""

    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Names the token without telling it: in manifests, logs and claims."""
        return hashlib.sha256(b"vaora-token\0" + self.secret).hexdigest()[:16]

    @property
    def text(self) -> str:
        """As it is written to a card: base32 (RFC 4648) in groups of five."""
        letters = b32encode(self.secret).decode().rstrip("=")
        groups = [letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP)]
        return PREFIX + "-".join(groups)

    @classmethod
    def read(cls, text: str) -> "Token":
        """The token written as `text`. Raises `ClaimError`."""
        letters = text.strip().upper().removeprefix(PREFIX).replace("-", "")
        try:
            secret = b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError as error:
            raise ClaimError(f"is no token: {PREFIX} and groups of letters and digits") from error
        if len(secret) != TOKEN_BYTES:
            raise ClaimError(f"is no token: {TOKEN_BYTES} bytes, not {len(secret)}")
        return cls(secret)


class Claim(msgspec.Struct, frozen=True):
    """`request` is PKCS #10 in PEM; `token` the fingerprint of the one that `proof` is by."""

    kiosk: Name
    checkpoint: Name
    request: Pem
    nonce: Nonce
    token: Fingerprint
    proof: Digest


class Renewal(msgspec.Struct, frozen=True):
    """From a kiosk that has a certificate; who it is the broker vouches for, by the topic."""

    request: Pem
    nonce: Nonce


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A certificate in PEM, or why there is none. `proof` is empty where there is no token."""

    nonce: Nonce
    certificate: Pem = ""
    refused: Refusal = ""
    proof: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


MessageT = TypeVar("MessageT", Claim, Renewal, Answer)


def claim(token: Token, *, kiosk: str, checkpoint: str, request: str, nonce: str) -> Claim:
    proof = _proof(token, "claim", nonce, kiosk, checkpoint, request)
    return Claim(kiosk, checkpoint, request, nonce, token.fingerprint, proof)


def proves(shown: Claim, token: Token) -> bool:
    """Whether who sent the claim has `token`."""
    right = _proof(token, "claim", shown.nonce, shown.kiosk, shown.checkpoint, shown.request)
    return hmac.compare_digest(right, shown.proof)


def answer(
    shown: Claim, token: Token | None, *, certificate: str = "", refused: Refusal = ""
) -> Answer:
    """What to say to `shown`. Where its token is unknown, nothing can be proven."""
    proof = _answer_proof(token, shown, certificate, refused) if token is not None else ""
    return Answer(shown.nonce, certificate, refused, proof)


def answers(found: Answer, shown: Claim, token: Token) -> bool:
    """Whether `found` is what the fleet says to `shown`, and to no other claim."""
    right = _answer_proof(token, shown, found.certificate, found.refused)
    return found.nonce == shown.nonce and hmac.compare_digest(right, found.proof)


def encode(message: Claim | Renewal | Answer) -> bytes:
    return msgspec.json.encode(message)


def read_claim(body: bytes) -> Claim:
    """Raises only `ClaimError`, whatever the bytes."""
    return _read(body, Claim)


def read_renewal(body: bytes) -> Renewal:
    """Raises only `ClaimError`, whatever the bytes."""
    return _read(body, Renewal)


def read_answer(body: bytes) -> Answer:
    """Raises only `ClaimError`, whatever the bytes."""
    return _read(body, Answer)


def _read(body: bytes, kind: type[MessageT]) -> MessageT:
    if len(body) > LONGEST_MESSAGE_BYTES:
        raise ClaimError(f"a message of {len(body)} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClaimError(f"no {kind.__name__.lower()}: {error}") from error


def _answer_proof(token: Token, shown: Claim, certificate: str, refused: str) -> str:
    return _proof(token, "answer", shown.nonce, shown.proof, certificate, refused)


def _proof(token: Token, *parts: str) -> str:
    """HMAC-SHA-256 over the parts, each with its length before it: none runs into the next."""
    mac = hmac.new(token.secret, digestmod=hashlib.sha256)
    for part in parts:
        raw = part.encode()
        mac.update(len(raw).to_bytes(4, "big") + raw)
    return mac.hexdigest()
