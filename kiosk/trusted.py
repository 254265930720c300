"""Whom this kiosk trusts now: the two signed lists, looked at again whenever they change.

Each may lie in a file that the settings name, put there by hand or a stick, and may come over the
network. The newer of the two counts, and neither ever gives way to an older one.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, NamedTuple

from checkin import cose, signed_list
from checkin.cose import CoseError
from checkin.signed_list import (
    ListT,
    Release,
    Revocations,
    SignedListError,
    SignedSettings,
    TrustList,
)
from kiosk.logic.credentials.here import ShcKey, Trust
from kiosk.told import Places, Told, not_newer

log = logging.getLogger("vaora.kiosk")

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Ages:
    """Days since each list was issued; None where there is none."""

    trust_days: float | None
    revocations_days: float | None

    def oldest(self) -> float:
        return max(self.trust_days or 0.0, self.revocations_days or 0.0)


class Versions(NamedTuple):
    """Of each list in use; None where there is none."""

    trust: int | None
    revocations: int | None


class Trusted:
    """The lists in use. A file that can't be used leaves the list before it in force."""

    def __init__(
        self,
        authority: str,
        trust_file: str,
        revocations_file: str,
        *,
        trust_places: Places | None = None,
        revocations_places: Places | None = None,
    ) -> None:
        """The places are those of what comes over the network. Raises `SignedListError`."""
        self._trust = _Listed(TrustList, authority, trust_file, trust_places)
        self._calls = _Listed(Revocations, authority, revocations_file, revocations_places)

    @property
    def trouble(self) -> str:
        """Why a file that is there isn't used; empty where all is well."""
        return self._trust.trouble or self._calls.trouble

    def refresh(self) -> Trust | None:
        """The trust to go on with if a list has changed, else None."""
        changed = [self._trust.refresh(), self._calls.refresh()]
        return self.trust() if any(changed) else None

    def trust(self) -> Trust:
        calls = self._calls.found
        revoked = frozenset(calls.passes) if calls is not None else frozenset()
        lists = self._trust.found
        return trust_from(lists, revoked) if lists is not None else Trust(revoked=revoked)

    def ages(self, at: datetime) -> Ages:
        return Ages(self._trust.days(at), self._calls.days(at))

    def versions(self) -> Versions:
        return Versions(self._trust.version, self._calls.version)

    def troubles(self, at: datetime | None, stale_after_days: float) -> Iterator[tuple[str, str]]:
        """Of each list, by the name of its fault, what is wrong with it; empty where all is well.

        `at` is None where nobody knows what day it is.
        """
        for fault, listed in (("trust", self._trust), ("revocations", self._calls)):
            days = listed.days(at) if at is not None else None
            stale = days is not None and days > stale_after_days
            yield (
                fault,
                listed.trouble or (f"the signed {fault} are {days:.0f} days old" if stale else ""),
            )


class _Listed(Generic[ListT]):
    """One signed list: the newer of a file that is looked at and of what came over the network."""

    def __init__(self, kind: type[ListT], authority: str, file: str, places: Places | None) -> None:
        self._kind: type[ListT] = kind
        self._authority = signed_list.public_key(authority) if authority else b""
        self._file = Path(file) if file else None
        self._mark: tuple[int, int] | None = None
        self._looked = False
        self._put_there: ListT | None = None
        self._file_trouble = ""
        self._told: Told[ListT] | None = None
        if places is not None:
            self._told = Told(kind, places, authority, self._check_told)

    @property
    def found(self) -> ListT | None:
        """The list in use. Of two with one number there is only ever one content."""
        here, told = self._put_there, self._told.found if self._told is not None else None
        if here is None or told is None:
            return told or here
        return here if here.version > told.version else told

    @property
    def version(self) -> int | None:
        return self.found.version if self.found is not None else None

    @property
    def trouble(self) -> str:
        return self._file_trouble or (self._told.trouble if self._told is not None else "")

    def refresh(self) -> bool:
        """Whether another list is in force now."""
        before = self.found
        if self._file is not None:
            self._look_at(self._file)
        if self._told is not None:
            self._told.refresh()
        return self.found is not before

    def days(self, at: datetime) -> float | None:
        issued = _moment(self.found.issued) if self.found is not None else None
        return None if issued is None else max(0.0, (at - issued).total_seconds() / DAY_S)

    def _look_at(self, file: Path) -> None:
        mark = signed_list.mark(file)
        if self._looked and mark == self._mark:
            return
        self._looked, self._mark = True, mark
        try:
            found = signed_list.read_file(file, self._kind, self._authority)
            self._check_file(file, found)
        except SignedListError as error:
            if isinstance(error.__cause__, OSError):
                self._looked = False  # it may be readable the next time without having changed
            if str(error) != self._file_trouble:
                self._file_trouble = str(error)
                log.error("%s; going on with what was there before", error)  # noqa: TRY400
            return
        self._put_there, self._file_trouble = found, ""
        log.info("%s: version %d of %s", file, found.version, found.issued)

    def _check_file(self, file: Path, found: ListT) -> None:
        """A file may be older than what the network brought, never than it was itself."""
        known = self._put_there
        if known is not None and found.version < known.version:
            raise SignedListError(f"{file}: {not_newer(found.version, known.version)}")
        told = self._told.found if self._told is not None else None
        try:
            _check_same(found, known)
            _check_same(found, told)
            _check_date(found)
        except SignedListError as error:
            raise SignedListError(f"{file}: {error}") from error

    def _check_told(self, found: ListT) -> None:
        _check_same(found, self._put_there)
        _check_date(found)


def _check_same(found: ListT, known: ListT | None) -> None:
    """Refuse another content under a number that is known."""
    if known is not None and found.version == known.version and found != known:
        raise SignedListError(not_newer(found.version, known.version))


def _check_date(found: TrustList | Revocations | SignedSettings | Release) -> None:
    if _moment(found.issued) is None:
        raise SignedListError(signed_list.NO_DATE)


def trust_from(lists: TrustList, revoked: frozenset[str] = frozenset()) -> Trust:
    """A trust list as the readers want it; an entry that is no key is left out and said."""
    signers: dict[bytes, tuple[bytes, ...]] = {}
    cards: list[ShcKey] = []
    passes: dict[bytes, bytes] = {}
    skipped = 0
    for signer in lists.signers:
        try:
            kid, der = cose.from_base64(signer.kid), cose.from_base64(signer.cert_der_b64)
        except CoseError:
            skipped += 1
            continue
        signers[kid] = (*signers.get(kid, ()), der)
    for card in lists.card_keys:
        if not (card.x and card.y):
            skipped += 1  # an RSA key, say: no issuer's
            continue
        try:
            key = ShcKey(card.kid, cose.from_base64(card.x), cose.from_base64(card.y), card.iss)
        except CoseError:
            skipped += 1
            continue
        cards.append(key)
    for text in lists.pass_keys:
        try:
            raw = cose.from_base64(text)
            cose.ed25519_key(raw)
        except CoseError:
            skipped += 1
            continue
        passes[cose.kid_of(raw)] = raw
    if skipped:
        log.warning("trust list: %d entries are no keys and are left out", skipped)
    return Trust(signers, tuple(cards), passes, revoked)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
