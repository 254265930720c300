"""What the central tells this kiosk over the network: settings that are signed and numbered.

The daemon puts down what came, whatever it is; this process alone decides, since it alone has the
authority's key at hand. A document is taken whole, under a higher number than the one before, or
not at all; the one in force lies beside it, so that a restart or a power cut finds it again.
"""

import logging
import os
from pathlib import Path

from checkin import signed_list
from checkin.seal import CentralSeal, SealError
from checkin.signed_list import SignedListError, SignedSettings

log = logging.getLogger("vaora.kiosk")


class Told:
    """The signed settings in force. `arrived` is the daemon's file, `taken` this process's."""

    def __init__(self, arrived: Path, taken: Path, authority: str) -> None:
        """Raises `SignedListError` where `authority` is no key."""
        self._arrived, self._taken = arrived, taken
        self._authority = signed_list.public_key(authority) if authority else b""
        self._mark: tuple[int, int] | None = None
        self._found: SignedSettings | None = None
        self.trouble = ""
        if self._authority and taken.exists():
            self._begin()

    @property
    def version(self) -> int | None:
        return self._found.version if self._found is not None else None

    def seal(self) -> CentralSeal | None:
        """The central's key as it was told last; None where it never was."""
        found = self._found
        return CentralSeal(found.seal) if found is not None and found.seal else None

    def refresh(self) -> bool:
        """Take what arrived, if it is right; whether something else is in force now."""
        mark = signed_list.mark(self._arrived) if self._authority else None
        if mark is None or mark == self._mark:
            return False
        self._mark, self.trouble = mark, ""
        try:
            raw = signed_list.raw(self._arrived)
            found = self._checked(self._arrived, raw)
            changed = found != self._found
            if changed:
                self._keep(raw)  # the very bytes that were checked: the file may be another by now
        except SignedListError as error:
            self.trouble = str(error)
            log.error("%s; going on with what was there before", error)  # noqa: TRY400
            return False
        except OSError as error:
            self._mark = None  # the disk may have room the next time
            log.warning("signed settings could not be kept: %s", error)
            return False
        if changed:
            self._found = found
            log.info("signed settings: version %d of %s", found.version, found.issued)
        return changed

    def _begin(self) -> None:
        try:
            self._found = self._checked(self._taken, signed_list.raw(self._taken))
        except SignedListError as error:
            self.trouble = str(error)
            log.error("%s; put there what the central sent last", error)  # noqa: TRY400

    def _checked(self, file: Path, raw: bytes) -> SignedSettings:
        try:
            found = signed_list.read(raw, SignedSettings, self._authority)
            if found.seal is not None:
                CentralSeal(found.seal)
        except SignedListError as error:
            raise SignedListError(f"{file}: {error}") from error
        except SealError as error:
            raise SignedListError(f"{file}: seal: {error}") from error
        known = self._found
        if known is not None and found != known and found.version <= known.version:
            raise SignedListError(
                f"{file}: is version {found.version}, and {known.version} is in force; sign it "
                "with a higher number"
            )
        return found

    def _keep(self, raw: bytes) -> None:
        beside = self._taken.with_name(self._taken.name + ".part")
        with beside.open("wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(self._taken)
