"""A certificate is renewed over the connection that it makes, at two thirds of its life.

The new one is tried at the broker before it takes the place of the old: an authority that the
broker doesn't know, from a backup or by mistake, would else lock out a whole fleet, one by one.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from checkin import claim
from checkin.claim import Refusal, Renewal
from checkin.clock import Moment
from sync_daemon import claiming
from sync_daemon.claiming import RENEWALS, Certified, Ignored, Refused, Waits
from sync_daemon.identity import Identity, IdentityFolderError, Request

log = logging.getLogger("vaora.sync")

# A fleet that was enrolled in one afternoon doesn't renew as one: the first try is put off by up
# to this part of what is left, three hours for a certificate of a year.
SPREAD_PART = 0.001


# In the place of a refusal's word: there is a certificate, but it is of no use.
NOT_TAKEN: Literal["not-taken"] = "not-taken"


class Renewing:
    """Asks for a new certificate with a new key when it is time, and puts it in its place."""

    def __init__(
        self,
        identity: Identity,
        name: str,
        jitter: Callable[[], float],
        tried: Callable[[Path], str],
    ) -> None:
        self.refused: Refusal | Literal["not-taken"] = ""
        self._tried = tried
        self._identity = identity
        self._name = name
        self._jitter = jitter
        self._waits = Waits(RENEWALS, jitter)
        self._begin_tick: float | None = None
        self._asked: Request | None = None
        self._said = ""

    def body(self, renew_at: datetime | None, ends_at: datetime | None, now: Moment) -> bytes:
        """What to publish now; empty while there is nothing to ask for, or it isn't time.

        Called while the broker is there. Only a clock that was set knows that it is time.
        """
        if not now.synced or renew_at is None or ends_at is None or now.at < renew_at:
            return b""
        if self._begin_tick is None:
            left_s = max(0.0, (ends_at - now.at).total_seconds())
            self._begin_tick = now.tick + left_s * SPREAD_PART * self._jitter()
        if now.tick < self._begin_tick or not self._waits.is_due(now.tick):
            return b""
        self._waits.tried(now.tick)
        try:
            self._asked = self._identity.asked(self._identity.renewal_file, self._name)
        except IdentityFolderError as error:
            self._say(f"the renewal of the certificate waits: {error}")
            return b""
        return claim.encode(Renewal(self._asked.request, self._asked.nonce))

    def turned_down(self, why: str) -> None:
        """The broker doesn't take the request; check-ins go on."""
        self._say(f"the broker takes no request to renew the certificate: {why}")

    def hear(self, body: bytes, now: Moment) -> bool:
        """Take an answer; return whether there is a new certificate."""
        if self._asked is None:
            return False
        match claiming.judge_renewal(body, self._asked.nonce):
            case Certified(certificate):
                return self._install(certificate, self._asked, now)
            case Refused(reason):
                self.refused = reason
                self._waits.refused(now.tick)
                self._say(
                    f"the fleet refuses to renew the certificate: {claim.REFUSALS.get(reason)}"
                )
            case Ignored(why):
                self._say(f"an answer to the renewal was ignored: {why}")
        return False

    def _install(self, certificate: bytes, asked: Request, now: Moment) -> bool:
        try:
            self._identity.install(certificate, asked, now.at if now.synced else None, self._tried)
        except IdentityFolderError as error:
            self.refused = NOT_TAKEN
            self._say(f"the renewed certificate can't be taken: {error}")
            return False
        self.refused, self._asked, self._begin_tick, self._said = "", None, None, ""
        self._waits.begin_anew()
        log.info("the certificate was renewed")
        with suppress(IdentityFolderError):  # one that is answered is asked for no more
            self._identity.renewed()
        return True

    def _say(self, words: str) -> None:
        """Once, not at every attempt."""
        if words != self._said:
            self._said = words
            log.warning("%s", words)
