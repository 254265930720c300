"""A kiosk without a certificate claims one, over a link that can do nothing else.

The daemon's loop turns meanwhile as ever, with this in the place of its link to the broker: check-
ins wait in the outbox, the door serves visitors, and the daemon says how it is.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from checkin import claim, first_boot
from checkin.claim import Claim, Token
from checkin.clock import Clock, Moment
from checkin.words import N_
from sync_daemon import claiming, topics
from sync_daemon.broker import (
    Acknowledged,
    BrokerError,
    Connected,
    Heard,
    Lost,
    Message,
    Options,
    Received,
    Tls,
    TurnedDown,
)
from sync_daemon.claiming import Ask, Certified, Claiming, Connect, Ignored, Leave, Refused
from sync_daemon.identity import Identity, IdentityFolderError, Request
from sync_daemon.topics import Address

log = logging.getLogger("vaora.sync")

# A card's files may come later, or others in their place: by a technician, who waits.
LOOK_AT_FILES_S = 2.0

# How the enrolment stands, for `vaora-sync status`, the doctor and the lights.
ENROLLED = "enrolled"
MISSING = "missing"  # neither a certificate nor what claims one
NO_BROKER = "no-broker"  # the claim can't be brought to the broker
WAITING = "waiting"  # it was, and nobody has answered yet
REFUSED = "refused"  # followed by ": " and the word for why

# The step of first boot that is the daemon's: the kiosk counts it out in its idle light.
STEP = "enrolment"

NONE_YET = N_("this kiosk has no certificate yet")
NO_CLAIM = N_("it refuses the claim")
NOTHING = N_("neither a certificate nor a claim there")


class ClaimLink(Protocol):
    """What is needed of a broker to claim by."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self, *, with_will: bool = False) -> None: ...


def options(identity: Identity, here: Address, host: str, port: int, ca_file: str) -> Options:
    """The link of one that has only what came with its card."""
    claim_file = str(identity.claim_file)
    return Options(
        host=host,
        port=port,
        client_id=f"vaora-claim-{here.kiosk}",
        subscriptions=(topics.claim_answer(here.kiosk),),
        tls=Tls(ca_file, claim_file, claim_file),
    )


class Enrolment:
    """Claims until there is a certificate; then it is `done`, and another link is to be made."""

    def __init__(
        self,
        identity: Identity,
        here: Address,
        *,
        link: ClaimLink,
        clock: Clock,
        jitter: Callable[[], float],
        runtime_dir: Path,
    ) -> None:
        self.standing = NO_BROKER
        self.trouble = ""
        self._identity = identity
        self._here = here
        self._link = link
        self._clock = clock
        self._jitter = jitter
        self._runtime_dir = runtime_dir
        self._claiming = Claiming(jitter)
        self._request: Request | None = None
        self._claim: Claim | None = None
        self._token: Token | None = None
        self._files_due = 0.0
        self._marks: object = None
        self._said = ""

    @property
    def done(self) -> bool:
        return self.standing == ENROLLED

    # The daemon's loop takes this for its link to the broker: one that doesn't come up.

    def connect(self) -> None:
        raise BrokerError(NONE_YET)

    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int:  # noqa: ARG002
        raise BrokerError(f"{message.topic}: {NONE_YET}")

    def wait(self, timeout_s: float) -> list[Heard]:
        """Do what the claim needs for at most `timeout_s`. Nothing of it is the loop's."""
        now = self._clock.moment()
        self._look_at_files(now)
        if self.standing not in {ENROLLED, MISSING}:
            for action in self._claiming.actions(now.tick):
                self._obey(action, now)
        for one in self._link.wait(timeout_s):
            self._hear(one, self._clock.moment())
        return []

    def read(self, topic: str) -> None:
        """Nothing is read before there is a certificate."""

    def leave(self, topic: str) -> None:
        """Nor left."""

    def close(self, *, with_will: bool = False) -> None:
        """The loop gives up the link that it never had; the claim's own stays."""

    def end(self) -> None:
        self._link.close()

    # The claim's own link.

    def _look_at_files(self, now: Moment) -> None:
        """Begin anew with other files; a certificate that somebody put here is as good as any."""
        if now.tick < self._files_due or self.done:
            return
        self._files_due = now.tick + LOOK_AT_FILES_S
        marks = self._identity.marks()
        if marks == self._marks:
            return
        self._marks = marks
        self._begin_anew()
        at = now.at if now.synced else None
        if self._identity.is_there and not self._identity.trouble(self._here.kiosk, at):
            self._enrolled()
        elif not self._identity.can_claim:
            folder = self._identity.file.parent
            self._stand(MISSING, f"{NOTHING}: {folder}")

    def _begin_anew(self) -> None:
        self._link.close()
        self._claiming = Claiming(self._jitter)
        self._claim = self._token = self._request = None
        self._stand(NO_BROKER)

    def _obey(self, action: Connect | Ask | Leave, now: Moment) -> None:
        match action:
            case Connect():
                self._connect(now)
            case Ask():
                self._ask(now)
            case Leave(why):
                self._link.close()
                if why:
                    self._not_there(why)

    def _connect(self, now: Moment) -> None:
        """Connect once there is something to ask: the request is on disk before it is sent."""
        if now.synced and self._identity.claim_has_ended(now.at):
            # The broker would only close the door, and say nothing.
            self._claiming.lost(now.tick, patient=True)
            self._stand(f"{REFUSED}: expired", claim.REFUSALS["expired"])
            return
        try:
            self._prepare()
            self._link.connect()
        except (IdentityFolderError, BrokerError) as error:
            self._claiming.lost(now.tick)
            self._not_there(str(error))

    def _prepare(self) -> None:
        here = self._here
        self._token = self._identity.token()
        self._request = self._identity.asked(self._identity.request_file, here.kiosk)
        self._claim = claim.claim(
            self._token,
            kiosk=here.kiosk,
            checkpoint=here.checkpoint,
            request=self._request.request,
            nonce=self._request.nonce,
        )

    def _ask(self, now: Moment) -> None:
        if self._claim is None:
            return
        message = Message(topics.claim_request(self._here.kiosk), claim.encode(self._claim))
        try:
            self._link.publish(message, topics.JSON_TYPE)
        except BrokerError as error:
            self._lose(str(error), now)

    def _hear(self, heard: Heard, now: Moment) -> None:
        match heard:
            case Connected():
                self._claiming.connected()
                if not self.standing.startswith(REFUSED):
                    self._stand(WAITING)
            case Lost(reason, patient, _):
                self._lose(reason, now, patient=patient)
            case TurnedDown(_, reason, _, _):
                self._lose(f"{NO_CLAIM}: {reason}", now, patient=True)
            case Received(message):
                self._hear_answer(message, now)
            case Acknowledged():
                pass

    def _hear_answer(self, message: Message, now: Moment) -> None:
        if self._claim is None or self._token is None or self._request is None:
            return
        if message.topic != topics.claim_answer(self._here.kiosk):
            return
        match claiming.judge(message.body, self._claim, self._token):
            case Certified(certificate):
                self._take(certificate, self._request, now)
            case Refused(reason, proven):
                for action in self._claiming.refused(now.tick, proven=proven):
                    self._obey(action, now)
                self._stand(f"{REFUSED}: {reason}", claim.REFUSALS.get(reason, reason))
            case Ignored(why):
                self._say(f"an answer to the claim was ignored: {why}")

    def _take(self, certificate: bytes, asked: Request, now: Moment) -> None:
        try:
            self._identity.install(certificate, asked, now.at if now.synced else None)
        except IdentityFolderError as error:
            self._say(f"an answer to the claim was ignored: {error}")
            return
        self._enrolled()

    def _enrolled(self) -> None:
        self._link.close()
        self._stand(ENROLLED)
        log.info("this kiosk has its certificate")
        tidy(self._identity)

    def _lose(self, reason: str, now: Moment, *, patient: bool = False) -> None:
        self._link.close()
        self._claiming.lost(now.tick, patient=patient)
        self._not_there(reason)

    def _not_there(self, why: str) -> None:
        """What the fleet said last stays said while the broker is away."""
        if not self.standing.startswith(REFUSED):
            self._stand(NO_BROKER, why)

    def _stand(self, standing: str, trouble: str = "") -> None:
        self.standing, self.trouble = standing, trouble
        if trouble:
            self._say(f"no certificate yet: {trouble}")
        with suppress(OSError):  # the light is then silent, the status and the log are not
            if standing == MISSING or standing.startswith(REFUSED):
                first_boot.tell(self._runtime_dir, STEP)
            elif standing == ENROLLED:
                first_boot.forget(self._runtime_dir, STEP)

    def _say(self, words: str) -> None:
        """Once, not at every attempt."""
        if words != self._said:
            self._said = words
            log.warning("%s", words)


def is_wanted(identity: Identity, name: str, now: Moment) -> bool:
    """Whether a certificate is to be claimed. What is left of a claim that was answered is removed.

    Before the clock is set a certificate that has ended may look good: then a claim beside it is
    kept, and looked at again.
    """
    if not identity.is_there:
        return True
    if identity.is_tidy:
        return False
    if identity.trouble(name, now.at if now.synced else None):
        return identity.can_claim
    if now.synced or identity.is_answered:
        tidy(identity)
    return False


def tidy(identity: Identity) -> None:
    """Remove what claimed the certificate that is there, after a power cut too."""
    try:
        identity.tidy()
    except IdentityFolderError as error:
        log.warning("%s; it is of no use to anybody else, and tried again at the next start", error)
    else:
        log.info("the claim and its token are removed")
