"""What a card carries so that its kiosk can claim a certificate: a token, and a credential.

The token proves to the fleet that this card was made by it, once. The credential lets the kiosk
speak with the broker before it has a certificate, and only about claims.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from checkin import identity
from checkin.claim import TOKEN_BYTES, Token
from checkin.identity import Authority
from checkin.words import _
from provisioning.register import Issued, KnownToken, Register

# The broker's access list knows it; one name for all cards, a certificate for each.
CLAIM_NAME = "vaora-claim"

# The programs of the fleet itself have names that begin so; a kiosk's may not.
RESERVED = "vaora-"


class TokenError(ValueError):
    """No token can be made for this kiosk; the message says why, and what to do."""


def new_token(
    register: Register, kiosk: str, checkpoint: str, *, at: datetime, days: float,
    random: Callable[[int], bytes],
) -> Token:  # fmt: skip
    """A token for `kiosk`, which counts once this returns; an earlier, unused one counts no more.

    `random` gives as many bytes as it is asked for. Raises `TokenError`, `RegisterError`.
    """
    token = Token(random(TOKEN_BYTES))
    expires_at = at + timedelta(days=days)
    with register.change():
        _refuse_wrong(register, kiosk)
        register.add_token(
            KnownToken(token.fingerprint, token.secret, kiosk, checkpoint, at, expires_at)
        )
    return token


def claim_credential(authority: Authority, *, at: datetime, days: float) -> bytes:
    """A certificate that can do nothing but claim, and its key, in one PEM."""
    key = identity.new_key()
    asked = identity.request(key, CLAIM_NAME)
    return authority.certify(asked, name=CLAIM_NAME, at=at, days=days) + key


def card_secrets(
    register: Register, authority: Authority, kiosk: str, checkpoint: str, *, at: datetime,
    days: float, random: Callable[[int], bytes],
) -> tuple[Token, bytes]:  # fmt: skip
    """The token and the claim credential for one card, both in the register.

    So that `retire` can take back the credential of a card that is lost. Raises `TokenError`,
    `RegisterError`.
    """
    token = new_token(register, kiosk, checkpoint, at=at, days=days, random=random)
    credential = claim_credential(authority, at=at, days=days)
    found = identity.read(credential)
    with register.change():
        register.add_certificate(
            Issued(
                serial=found.serial,
                kiosk=kiosk,
                checkpoint=checkpoint,
                name=CLAIM_NAME,
                token=token.fingerprint,
                issued_at=at,
                ends_at=found.ends_at,
                certificate=credential[: credential.index(b"-----BEGIN PRIVATE")],
            )
        )
    return token, credential


def _refuse_wrong(register: Register, kiosk: str) -> None:
    if kiosk.startswith(RESERVED):
        raise TokenError(
            _(
                "kiosk {kiosk!r}: names that begin with {reserved} are the fleet's own; name "
                "it anew in the inventory"
            ).format(kiosk=kiosk, reserved=RESERVED)
        )
    retired = register.retired(kiosk)
    if retired is not None:
        raise TokenError(
            _(
                "kiosk {kiosk}: was retired on {at:%Y-%m-%d}, for good; give the new kiosk at "
                "its door another name in the inventory"
            ).format(kiosk=kiosk, at=retired.at)
        )
