"""Our own pass: made and signed at the front desk, printed or sent, for visitors and for staff.

    VP1: + base45 ( COSE_Sign1, Ed25519 ( CWT ( pass id, kind, holder, window, checkpoints ) ) )

RFC 8392 names the claims for expiry, not-before and the token's id; ours are the four below. About
210 characters: version 10 at level Q, 57 modules.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from checkin import cose
from checkin.cose import CoseError, SigningKey
from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

PREFIX = "VP1:"

# RFC 8392, section 4.
EXP, NBF, CTI = 4, 5, 7
# Private claims (RFC 8392, section 9.1: below -65536 nobody registers any).
KIND, HOLDER, CHECKPOINTS = -65537, -65538, -65539

PassKind = Literal["visitor", "staff", "inspector"]
PASS_KINDS: tuple[PassKind, ...] = ("visitor", "staff", "inspector")

PASS_ID_BYTES = 8
MOST_CHECKPOINTS = 16
_PASS_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class VaoraPass:
    """A pass that was read. `checkpoints` empty: valid everywhere.

    `reason` says why it isn't verified, or is None; whether it is taken at this checkpoint and
    whether it was revoked is for the policy to say.
    """

    pass_kind: PassKind
    pass_id: str
    holder: str
    not_before: datetime
    expires: datetime
    checkpoints: tuple[str, ...]
    reason: str | None

    kind = "pass"
    signed = True

    @property
    def verified(self) -> bool:
        return self.reason is None

    @property
    def identity(self) -> str:
        return self.pass_id

    def person(self) -> dict[str, str]:
        return {"pass_id": self.pass_id, "pass_kind": self.pass_kind, "name": self.holder}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": self.kind,
            "pass_kind": self.pass_kind,
            "pass_id": self.pass_id,
            "holder": self.holder,
            "not_before": self.not_before.isoformat(),
            "expires": self.expires.isoformat(),
            "checkpoints": list(self.checkpoints),
            "verified": self.verified,
            "reason": self.reason,
            "signed": self.signed,
        }

    def __repr__(self) -> str:
        return f"<{self.pass_kind} pass, {self.reason or 'verified'}>"


def read_pass(body: str, here: Here) -> VaoraPass | Malformed:
    """Read and verify what stands behind `VP1:`."""
    try:
        signed = cose.take_apart(cose.from_base45(body))
        claims = cose.from_cbor(signed.payload)
    except CoseError as error:
        return Malformed(str(error))
    found = _from_claims(claims)
    if isinstance(found, Malformed):
        return found
    return VaoraPass(*found, reason=_reason(signed, found, here))


_Claims = tuple[PassKind, str, str, datetime, datetime, tuple[str, ...]]


def _from_claims(claims: Any) -> _Claims | Malformed:  # noqa: ANN401  a stranger's
    if not isinstance(claims, dict):
        return Malformed("claims")
    kind, pass_id, holder = claims.get(KIND), claims.get(CTI), claims.get(HOLDER)
    places = claims.get(CHECKPOINTS, [])
    begin, end = cose.seconds(claims.get(NBF)), cose.seconds(claims.get(EXP))
    if kind not in PASS_KINDS or begin is None or end is None:
        return Malformed("claims")
    if not isinstance(pass_id, bytes) or len(pass_id) != PASS_ID_BYTES:
        return Malformed("claims")
    if not isinstance(holder, str) or not fields.is_name(holder):
        return Malformed("claims")
    if not isinstance(places, list) or len(places) > MOST_CHECKPOINTS:
        return Malformed("claims")
    if not all(isinstance(place, str) for place in places):
        return Malformed("claims")
    window = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    return kind, pass_id.hex(), holder, *window, tuple(places)


def _reason(signed: cose.Signed, found: _Claims, here: Here) -> str | None:
    key = here.trust.pass_keys.get(signed.kid)
    if key is None:
        return "unknown-signer"
    try:
        if not cose.is_signed_by(signed, cose.ed25519_key(key)):
            return "bad-signature"
    except CoseError:
        return "unknown-signer"
    _, pass_id, _, begin, end, _ = found
    if pass_id in here.trust.revoked:
        return "revoked"
    if here.is_past(end.timestamp()):
        return "expired"
    return "not-yet-valid" if here.is_before(begin.timestamp()) else None


def issue(
    key: SigningKey,
    *,
    kind: PassKind,
    pass_id: bytes,
    holder: str,
    not_before: datetime,
    expires: datetime,
    checkpoints: tuple[str, ...] = (),
) -> str:
    """The text of a new pass's code. `pass_id` are eight random bytes.

    Raises `ValueError` for what no kiosk would read back.
    """
    if not fields.is_name(holder):
        raise ValueError(f"holder: 1 to {fields.LONGEST_NAME} characters")
    if expires <= not_before:
        raise ValueError("a pass that expires before it begins is never valid")
    if len(pass_id) != PASS_ID_BYTES or len(checkpoints) > MOST_CHECKPOINTS:
        raise ValueError(f"a pass has 8 bytes of id and at most {MOST_CHECKPOINTS} checkpoints")
    claims: dict[int, object] = {
        EXP: int(expires.timestamp()),
        NBF: int(not_before.timestamp()),
        CTI: pass_id,
        KIND: kind,
        HOLDER: holder.strip(),
    }
    if checkpoints:
        claims[CHECKPOINTS] = list(checkpoints)
    return PREFIX + cose.to_base45(key.sign(cose.to_cbor(claims)))


def is_pass_id(text: str) -> bool:
    return _PASS_ID.fullmatch(text) is not None
