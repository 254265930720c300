"""Our own pass: made and signed at the front desk, printed or sent, for visitors and for staff.

    VP1: + base45 ( COSE_Sign1, Ed25519 ( CWT ( pass id, kind, holder, window, checkpoints ) ) )

RFC 8392 names the claims for expiry, not-before and the token's id; the others are ours. About 210
characters: version 10 at level Q, 57 modules.
"""

from datetime import datetime
from typing import Literal

from checkin import cose
from checkin.cose import SigningKey

PREFIX = "VP1:"

# RFC 8392, section 4.
EXP, NBF, CTI = 4, 5, 7
# Private claims (RFC 8392, section 9.1: below -65536 nobody registers any).
KIND, HOLDER, CHECKPOINTS = -65537, -65538, -65539

PassKind = Literal["visitor", "staff", "inspector"]
PASS_KINDS: tuple[PassKind, ...] = ("visitor", "staff", "inspector")

INSPECTOR: PassKind = "inspector"

PASS_ID_BYTES = 8
MOST_CHECKPOINTS = 16
LONGEST_HOLDER = 100


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
    """The text of a new pass's code. `pass_id` are eight random bytes; no checkpoints is all.

    Raises `ValueError` for what no kiosk would read back.
    """
    name = holder.strip()
    if not 0 < len(name) <= LONGEST_HOLDER or not name.isprintable():
        raise ValueError(f"holder: 1 to {LONGEST_HOLDER} printable characters")
    if expires <= not_before:
        raise ValueError("a pass that expires before it begins is never valid")
    if len(pass_id) != PASS_ID_BYTES or len(checkpoints) > MOST_CHECKPOINTS:
        raise ValueError(f"a pass has 8 bytes of id and at most {MOST_CHECKPOINTS} checkpoints")
    claims: dict[int, object] = {
        EXP: int(expires.timestamp()),
        NBF: int(not_before.timestamp()),
        CTI: pass_id,
        KIND: kind,
        HOLDER: name,
    }
    if checkpoints:
        claims[CHECKPOINTS] = list(checkpoints)
    return PREFIX + cose.to_base45(key.sign(cose.to_cbor(claims)))
