"""Our own pass, as the front desk makes it: `checkin/passes.py` has the format."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from checkin import cose
from checkin.cose import CoseError
from checkin.passes import (
    CHECKPOINTS,
    CTI,
    EXP,
    HOLDER,
    KIND,
    MOST_CHECKPOINTS,
    NBF,
    PASS_ID_BYTES,
    PASS_KINDS,
    PassKind,
)
from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed


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
    if kind not in PASS_KINDS or begin is None or end is None or not _are_places(places):
        return Malformed("claims")
    if not isinstance(pass_id, bytes) or len(pass_id) != PASS_ID_BYTES:
        return Malformed("claims")
    if not isinstance(holder, str) or not fields.is_name(holder):
        return Malformed("claims")
    window = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    return kind, pass_id.hex(), holder, *window, tuple(places)


def _are_places(places: Any) -> bool:  # noqa: ANN401
    if not isinstance(places, list) or len(places) > MOST_CHECKPOINTS:
        return False
    return all(isinstance(place, str) for place in places)


def _reason(signed: cose.Signed, found: _Claims, here: Here) -> str | None:
    _, pass_id, _, begin, end, _ = found
    if pass_id in here.trust.revoked:
        return "revoked"  # whoever signed it: nobody needs to know the key to know the pass
    key = here.trust.pass_keys.get(signed.kid)
    if key is None:
        return "unknown-signer"
    try:
        if not cose.is_signed_by(signed, cose.ed25519_key(key)):
            return "bad-signature"
    except CoseError:
        return "unknown-signer"
    if here.is_past(end.timestamp()):
        return "expired"
    return "not-yet-valid" if here.is_before(begin.timestamp()) else None
