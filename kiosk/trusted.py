"""Whom this kiosk trusts now: the two signed files, looked at again whenever they change."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic

from checkin import cose, signed_list
from checkin.cose import CoseError
from checkin.signed_list import ListT, Revocations, SignedListError, TrustList
from kiosk.logic.credentials.here import ShcKey, Trust

log = logging.getLogger("vaora.kiosk")

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Ages:
    """Days since each list was issued; None where there is none."""

    trust_days: float | None
    revocations_days: float | None

    def oldest(self) -> float:
        return max(self.trust_days or 0.0, self.revocations_days or 0.0)


class Trusted:
    """The lists in use. A file that can't be used leaves the list before it in force."""

    def __init__(self, authority: str, trust_file: str, revocations_file: str) -> None:
        key = signed_list.public_key(authority) if authority else b""
        self._trust = _Listed(trust_file, TrustList, key)
        self._calls = _Listed(revocations_file, Revocations, key)

    @property
    def trouble(self) -> str:
        """Why a file that is there isn't used; empty where all is well."""
        return self._trust.trouble or self._calls.trouble

    def refresh(self) -> Trust | None:
        """The trust to go on with if a file has changed, else None."""
        changed = [self._trust.refresh(), self._calls.refresh()]
        return self.trust() if any(changed) else None

    def trust(self) -> Trust:
        calls = self._calls.found
        revoked = frozenset(calls.passes) if calls is not None else frozenset()
        lists = self._trust.found
        return trust_from(lists, revoked) if lists is not None else Trust(revoked=revoked)

    def ages(self, at: datetime) -> Ages:
        return Ages(self._trust.days(at), self._calls.days(at))


class _Listed(Generic[ListT]):
    """One signed file, looked at again when it changes."""

    def __init__(self, file: str, kind: type[ListT], authority: bytes) -> None:
        self._file = Path(file) if file else None
        self._kind: type[ListT] = kind
        self._authority = authority
        self._mark: tuple[int, int] | None = None
        self._looked = False
        self.found: ListT | None = None
        self.trouble = ""

    def refresh(self) -> bool:
        """Whether another list is in force now."""
        if self._file is None:
            return False
        mark = signed_list.mark(self._file)
        if self._looked and mark == self._mark:
            return False
        self._looked, self._mark = True, mark
        try:
            found = signed_list.read_file(self._file, self._kind, self._authority)
            self._check(found)
        except SignedListError as error:
            if isinstance(error.__cause__, OSError):
                self._looked = False  # it may be readable the next time without having changed
            if str(error) != self.trouble:
                self.trouble = str(error)
                log.error("%s; going on with what was there before", error)  # noqa: TRY400
            return False
        self.found, self.trouble = found, ""
        log.info("%s: version %d of %s", self._file, found.version, found.issued)
        return True

    def days(self, at: datetime) -> float | None:
        issued = _moment(self.found.issued) if self.found is not None else None
        return None if issued is None else max(0.0, (at - issued).total_seconds() / DAY_S)

    def _check(self, found: ListT) -> None:
        if self.found is not None and found.version < self.found.version:
            raise SignedListError(
                f"{self._file}: is version {found.version}, older than {self.found.version} in "
                "use; sign a newer one"
            )
        known = self.found
        if known is not None and found.version == known.version and found != known:
            raise SignedListError(
                f"{self._file}: is another version {found.version} than the one in use; sign it "
                "with a higher number"
            )
        if _moment(found.issued) is None:
            raise SignedListError(f"{self._file}: issued is no date in ISO 8601")


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
