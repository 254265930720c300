"""What came to this kiosk over the network, signed and numbered: one document of a kind each.

The daemon puts down what came, whatever it is; this process alone decides, since it alone has the
authority's key at hand. A document is taken whole, under a higher number than the one before, or
not at all; the one in force lies beside it, so that a restart or a power cut finds it again.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple

from checkin import signed_list, whole
from checkin.signed_list import ListT, SignedListError

log = logging.getLogger("vaora.kiosk")


class SettingsChangedError(Exception):
    """Other settings are in force: this process ends, and systemd starts one that has them."""


class Places(NamedTuple):
    """`arrived` is the daemon's file, `taken` this process's."""

    arrived: Path
    taken: Path


def anything(_found: object) -> None:
    """Ask no more of a document than its signature and its number."""


class Told(Generic[ListT]):
    """The signed document in force of one kind. Making one reads and writes nothing new."""

    def __init__(
        self,
        kind: type[ListT],
        places: Places,
        authority: str,
        check: Callable[[ListT], None] = anything,
    ) -> None:
        """`check` raises `SignedListError` for what is signed and can't be used here all the same.

        Raises `SignedListError` where `authority` is no key; without one nobody is believed.
        """
        self._kind: type[ListT] = kind
        self._arrived, self._taken = places
        self._authority = signed_list.public_key(authority) if authority else b""
        self._check: Callable[[ListT], None] = check
        self._mark: tuple[int, int] | None = None
        self._found: ListT | None = None
        self.trouble = ""
        if self._authority and self._taken.exists():
            self._begin()

    @property
    def found(self) -> ListT | None:
        """What is in force; None where nothing ever came that could be taken."""
        return self._found

    @property
    def version(self) -> int | None:
        return self._found.version if self._found is not None else None

    def refresh(self) -> bool:
        """Take what arrived, if it is right; whether something else is in force now."""
        mark = signed_list.mark(self._arrived) if self._authority else None
        if mark is None or mark == self._mark:
            return False
        self._mark = mark
        try:
            raw = signed_list.raw(self._arrived)
            found = self._checked(self._arrived, raw)
            if found == self._found:
                self.trouble = ""
                return False
            whole.write(self._taken, raw)  # the bytes that were checked: the file may be another's
        except SignedListError as error:
            if isinstance(error.__cause__, OSError):
                self._mark = None  # it may be readable the next time without having changed
            self._is_not_taken(str(error))
            return False
        except OSError as error:
            self._mark = None  # the disk may have room the next time
            self._is_not_taken(f"{self._taken}: {signed_list.UNKEPT} ({error.strerror})")
            return False
        self._found, self.trouble = found, ""
        log.info("%s: version %d of %s", self._arrived.name, found.version, found.issued)
        return True

    def _is_not_taken(self, why: str) -> None:
        if why != self.trouble:
            self.trouble = why
            log.error("%s; going on with what was there before", why)

    def _begin(self) -> None:
        """Find what was in force. It is asked everything anew: the kiosk's own file may differ."""
        try:
            self._found = self._checked(self._taken, signed_list.raw(self._taken))
        except SignedListError as error:
            self.trouble = str(error)
            log.error("%s; going on without until it is sent again", error)  # noqa: TRY400

    def _checked(self, file: Path, raw: bytes) -> ListT:
        try:
            found = signed_list.read(raw, self._kind, self._authority)
            if found != self._found:
                self._check_newer(found)
                self._check(found)
        except SignedListError as error:
            raise SignedListError(f"{file}: {error}") from error
        return found

    def _check_newer(self, found: ListT) -> None:
        if self.version is not None and found.version <= self.version:
            raise SignedListError(not_newer(found.version, self.version))


def not_newer(version: int, in_force: int) -> str:
    """Why a list of `version` isn't taken in the place of another."""
    why = signed_list.SAME_NUMBER if version == in_force else signed_list.OLDER
    return f"{why} ({version}, {in_force}); {signed_list.SIGN_HIGHER}"
