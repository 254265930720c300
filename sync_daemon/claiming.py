"""How a kiosk asks for its certificate: when, and what an answer means. Pure.

`Claiming` is for a kiosk that has none and a link of its own to ask over. Tell it what happened;
`actions` says what to do. A claim is repeated until it is answered, for weeks if need be: whoever
answers may do it by hand, once a day, and was perhaps away when it came.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from checkin import claim
from checkin.claim import Claim, ClaimError, Refusal, Token
from checkin.words import N_

# The waits double so often at most: 2.0**1024 overflows after a long outage.
MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """How often something is tried. `refused_s`: what was refused once is hardly taken later."""

    initial_s: float
    max_s: float
    refused_s: float


# The network may come and go, and many kiosks with it.
CONNECTS = Pace(initial_s=10.0, max_s=300.0, refused_s=300.0)
# Somebody who answers by hand watches kiosk after kiosk come in: not more than a minute each.
CLAIMS = Pace(initial_s=5.0, max_s=60.0, refused_s=3600.0)
# There are months left.
RENEWALS = Pace(initial_s=30.0, max_s=900.0, refused_s=86_400.0)

# Without an answer to CONNECT in this time the link is none.
CONNECT_S = 20.0


class Waits:
    """When to try again: after waits that double up to the longest, and are never the same.

    `jitter` draws from [0, 1). Half of each wait is chance, so that a box of kiosks that was
    switched on at once doesn't ask as one.
    """

    def __init__(self, pace: Pace, jitter: Callable[[], float]) -> None:
        self._pace = pace
        self._jitter = jitter
        self._tries = 0
        self._due = 0.0

    def is_due(self, tick: float) -> bool:
        return tick >= self._due

    def begin_anew(self) -> None:
        self._tries, self._due = 0, 0.0

    def tried(self, tick: float) -> None:
        longest = self._pace.initial_s * 2.0 ** min(self._tries, MOST_DOUBLINGS)
        self._tries += 1
        self._put_off(tick, min(longest, self._pace.max_s))

    def refused(self, tick: float) -> None:
        self._put_off(tick, self._pace.refused_s)

    def _put_off(self, tick: float, longest_s: float) -> None:
        self._due = tick + longest_s * (1 + self._jitter()) / 2


# ── what an answer means ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate, in PEM; whether it is for this kiosk's key is yet to be seen."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """There is none. `proven`: by who knows the token, and not only by who may write the topic."""

    reason: Refusal
    proven: bool


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not an answer to what was asked, or not from the fleet."""

    why: str


Verdict = Certified | Refused | Ignored


def judge(body: bytes, asked: Claim, token: Token) -> Verdict:
    """What an answer to the claim `asked` says. Never raises, whatever the bytes."""
    try:
        found = claim.read_answer(body)
    except ClaimError as error:
        return Ignored(str(error))
    if found.nonce != asked.nonce:
        return Ignored("it answers another claim")
    proven = claim.answers(found, asked, token)
    if found.refused:
        return Refused(found.refused, proven)
    if not proven:
        return Ignored("its proof isn't this token's")
    return _certified(found.certificate)


def judge_renewal(body: bytes, nonce: str) -> Verdict:
    """The same for a renewal, where the broker vouches for who answers. Never raises."""
    try:
        found = claim.read_answer(body)
    except ClaimError as error:
        return Ignored(str(error))
    if found.nonce != nonce:
        return Ignored("it answers another renewal")
    if found.refused:
        return Refused(found.refused, proven=True)
    return _certified(found.certificate)


def _certified(certificate: str) -> Verdict:
    return Certified(certificate.encode()) if certificate else Ignored("it holds no certificate")


# ── the claim ────────────────────────────────────────────────────────────────────────────────────


class Link(Enum):
    AWAY = auto()
    CONNECTING = auto()
    ONLINE = auto()


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the link."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Publish the claim."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Close the link; `why`, where that is news."""

    why: str = ""


Action = Connect | Ask | Leave


class Claiming:
    """Whether there is a link, and when to connect and to ask again."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.link = Link.AWAY
        self._connects = Waits(CONNECTS, jitter)
        self._asks = Waits(CLAIMS, jitter)
        self._until = 0.0

    def actions(self, tick: float) -> list[Action]:
        """What to do now. The link is taken to be connecting once it was told to be."""
        match self.link:
            case Link.AWAY if self._connects.is_due(tick) and self._asks.is_due(tick):
                self.link, self._until = Link.CONNECTING, tick + CONNECT_S
                return [Connect()]
            case Link.CONNECTING if tick >= self._until:
                self.lost(tick)
                return [Leave(N_("the broker doesn't answer"))]
            case Link.ONLINE if self._asks.is_due(tick):
                self._asks.tried(tick)
                return [Ask()]
        return []

    def connected(self) -> None:
        """The broker took us: ask at once, for an answer may have been missed."""
        if self.link is Link.CONNECTING:
            self.link = Link.ONLINE
            self._connects.begin_anew()
            self._asks.begin_anew()

    def lost(self, tick: float, *, patient: bool = False) -> None:
        """The link is gone, or never came up. `patient`: trying again soon is of no use."""
        if self.link is not Link.AWAY:
            self.link = Link.AWAY
            self._asks.begin_anew()
            if patient:
                self._connects.refused(tick)
            else:
                self._connects.tried(tick)

    def refused(self, tick: float, *, proven: bool) -> list[Action]:
        """There is no certificate. One that knows the token is believed, and asked rarely.

        Anybody else may be mistaken, such as a desk that was set up anew and knows no tokens yet.
        """
        if not proven or self.link is not Link.ONLINE:
            return []
        self.link = Link.AWAY
        self._asks.refused(tick)
        return [Leave()]
