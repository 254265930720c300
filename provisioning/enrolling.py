"""What is said to a kiosk that asks for a certificate, and what is written down with it.

Nothing is read or written here: the desk looks up, asks, writes down what is `issued`, and only
then answers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from checkin import claim, identity
from checkin.claim import Answer, Claim, Refusal, Renewal, Token
from checkin.identity import Authority, IdentityError
from provisioning.columns import RESERVED
from provisioning.register import Issued, KnownToken

# A kiosk renews two or three times a year; what asks more often than this a day is out of hand, and
# must not fill the register. Its certificate goes on counting meanwhile.
MOST_A_DAY = 10
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the register says of who asks.

    `token`: the one that the claim names. `certificate`: the one that it was used for; for a
    renewal the kiosk's newest. `issued_lately`: how many the kiosk got within a day.
    """

    token: KnownToken | None = None
    certificate: Issued | None = None
    is_retired: bool = False
    issued_lately: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, None where nothing is said; and the certificate that is to be written down."""

    answer: Answer | None
    issued: Issued | None = None


@dataclass(frozen=True, slots=True)
class Enroller:
    """Certifies. `days` is how long a kiosk's certificate is good."""

    authority: Authority
    days: float

    def claimed(self, shown: Claim, standing: Standing, at: datetime) -> Outcome:
        """A claim by a card's token, which counts once.

        A used token gets the same certificate again for the same key: the power may have gone
        between our answer and the kiosk's disk.
        """
        if standing.token is None:
            return Outcome(claim.answer(shown, None, refused="unknown"))
        token = Token(standing.token.secret)
        why = _refusal(shown, standing.token, standing, at)
        if why:
            return Outcome(claim.answer(shown, token, refused=why))
        if standing.certificate is not None:
            again = self._with_authority(standing.certificate)
            return Outcome(claim.answer(shown, token, certificate=again))
        issued = self._issue(shown.request, shown.kiosk, shown.checkpoint, shown.token, at)
        answer = claim.answer(shown, token, certificate=self._with_authority(issued))
        return Outcome(answer, issued)

    def _with_authority(self, issued: Issued) -> str:
        """The certificate, and the authority's own behind it.

        Here the token proves it, and nothing will later: by it the kiosk holds each renewal to the
        authority that made its first certificate, whatever a broker says.
        """
        return (issued.certificate.rstrip() + b"\n" + self.authority.certificate).decode()

    def renewed(
        self, asked: Renewal, kiosk: str, checkpoint: str, standing: Standing, at: datetime
    ) -> Outcome:
        """A renewal: that it is `kiosk` who asks, at `checkpoint`, the broker vouches for."""
        newest = standing.certificate
        why: Refusal = ""
        if standing.is_retired:
            why = "retired"
        elif newest is None:
            why = "unknown"
        elif newest.checkpoint != checkpoint:
            why = "wrong-name"
        elif not _is_usable(asked.request):
            why = "unusable"
        if why or newest is None:
            return Outcome(Answer(asked.nonce, refused=why))
        if self._still_does(newest, asked.request):
            return Outcome(Answer(asked.nonce, newest.certificate.decode()))
        if standing.issued_lately >= MOST_A_DAY:
            return Outcome(None)
        issued = self._issue(asked.request, kiosk, checkpoint, "", at)
        return Outcome(Answer(asked.nonce, issued.certificate.decode()), issued)

    def _still_does(self, newest: Issued, request: str) -> bool:
        """Whether the newest certificate is what a repeated request asks for.

        Kiosks make a new key for each renewal: the same key is the same renewal.
        """
        return identity.is_for(newest.certificate, request.encode())

    def _issue(self, request: str, kiosk: str, checkpoint: str, token: str, at: datetime) -> Issued:
        pem = self.authority.certify(request.encode(), name=kiosk, at=at, days=self.days)
        found = identity.read(pem)
        return Issued(found.serial, kiosk, checkpoint, kiosk, token, at, found.ends_at, pem)


def _refusal(shown: Claim, token: KnownToken, standing: Standing, at: datetime) -> Refusal:
    """Why this claim gets no certificate; empty if it does.

    The proof comes first: who hasn't the token learns nothing about it.
    """
    if not claim.proves(shown, Token(token.secret)):
        return "forged"
    named = (shown.kiosk, shown.checkpoint) == (token.kiosk, token.checkpoint)
    if not named or shown.kiosk.startswith(RESERVED):
        return "wrong-name"
    if standing.is_retired:
        return "retired"
    if not _is_usable(shown.request):
        return "unusable"
    if token.used_at is None:
        return "expired" if at >= token.expires_at else ""
    used_for = standing.certificate
    same = used_for is not None and identity.is_for(used_for.certificate, shown.request.encode())
    return "" if same else "used"


def _is_usable(request: str) -> bool:
    try:
        identity.requested_key(request.encode())
    except IdentityError:
        return False
    return True
