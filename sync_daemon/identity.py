"""The kiosk's identity on disk: its key, its certificate, and what it asks for one with.

One folder, which the daemon alone may read. Key and certificate are one file, so that they are
replaced together, whole, whenever the power goes. The key is made here and never leaves: what
travels is a request for its certificate. What was asked for lies beside it until it is answered,
so that a kiosk that was cut off asks for the same again and gets the same.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from checkin import whole
from checkin.claim import NONCE_BYTES, ClaimError, Nonce, Token
from checkin.settings import Settings
from checkin.words import N_

if TYPE_CHECKING:
    from checkin.identity import Certificate

CLAIM = "claim.pem"
TOKEN = "claim.token"  # noqa: S105  a name
REQUEST = "request.json"
RENEWAL = "renewal.json"
TRIAL = "trial.pem"

# What lies here is keys, certificates and requests, of under 1 kB each.
LONGEST_FILE_BYTES = 65_536

# Nobody else reads a key.
MODE = 0o600

Chance = Callable[[int], bytes]

# In its words stand names and dates: `words.known` looks up what is between them.
_NO_PAIR = N_("the key isn't the certificate's")
_CAME = N_("the certificate that came")
_NOT_TAKEN = N_("the broker doesn't take the certificate that came")
_EITHER = N_("the certificate or its key")
_ANOTHERS = N_("is another kiosk's")
_ENDED = N_("has ended on")
_NEW_CARD = N_("write a new card")
_LONG = N_("is longer than anything that belongs there")
_UNREAD = N_("can't be read")
_UNWRITTEN = N_("can't be written")
_UNREMOVED = N_("can't be removed")


class IdentityFolderError(OSError):
    """Something in the folder can't be used; the message says which file, why, and what to do."""


class Request(msgspec.Struct, frozen=True):
    """A certificate that was asked for: the key that it is for, and the words it was asked in."""

    name: str
    key: str
    request: str
    nonce: Nonce


@dataclass(frozen=True, slots=True)
class Identity:
    """`file` holds certificate and key: `cert_file` and `key_file` under [broker] both name it."""

    file: Path

    @property
    def claim_file(self) -> Path:
        """What a kiosk without a certificate connects with; it may do nothing but claim."""
        return self.file.with_name(CLAIM)

    @property
    def token_file(self) -> Path:
        """What proves the claim, once."""
        return self.file.with_name(TOKEN)

    @property
    def request_file(self) -> Path:
        return self.file.with_name(REQUEST)

    @property
    def renewal_file(self) -> Path:
        return self.file.with_name(RENEWAL)

    @property
    def is_there(self) -> bool:
        return self.file.exists()

    @property
    def can_claim(self) -> bool:
        return self.claim_file.exists() and self.token_file.exists()

    def marks(self) -> tuple[tuple[int, int], ...]:
        """What changes when a file is put here by somebody else."""
        return tuple(_mark(file) for file in (self.file, self.claim_file, self.token_file))

    def certificate(self) -> "Certificate":
        """What the certificate says. Raises `IdentityFolderError`."""
        return _certificate(_read(self.file), str(self.file))

    def trouble(self, name: str, at: datetime | None) -> str:
        """Why the certificate is none for `name`; empty for one that is.

        `at` is None before the clock was set, which may tell anything.
        """
        try:
            raw = _read(self.file)
            found = _certificate(raw, str(self.file))
            fits = _fits(raw, raw)
        except IdentityFolderError as error:
            return str(error)
        if not fits:
            return f"{self.file}: {_NO_PAIR}"
        return _trouble(found, name, at)

    def claim_has_ended(self, at: datetime) -> bool:
        """Whether the broker doesn't let in any more who connects with the claim credential."""
        try:
            return _certificate(_read(self.claim_file), str(self.claim_file)).ends_at <= at
        except IdentityFolderError:
            return False  # the connection says what is wrong with it

    def token(self) -> Token:
        """Raises `IdentityFolderError`."""
        try:
            return Token.read(_read(self.token_file).decode("ascii", "replace"))
        except ClaimError as error:
            raise IdentityFolderError(f"{self.token_file}: {error}; {_NEW_CARD}") from error

    def asked(self, file: Path, name: str, chance: Chance = secrets.token_bytes) -> Request:
        """What `file` says was asked for already, or a new key and a request, on disk by now.

        Raises `IdentityFolderError`. A key that has its certificate isn't asked for again.
        """
        found = self._asked(file)
        if found is not None and found.name == name and not self._is_answered(found):
            return found
        made = _new_request(name, chance)
        _write(file, msgspec.json.encode(made))
        return made

    def install(
        self,
        certificate: bytes,
        asked: Request,
        at: datetime | None,
        tried: Callable[[Path], str] | None = None,
    ) -> None:
        """Put a certificate and its key in the place of the old ones, if it is what was asked for.

        `tried` says why the broker doesn't take what lies in a file, empty where it does. Raises
        `IdentityFolderError`, and then nothing has changed.
        """
        found = _certificate(certificate, _CAME)
        if not _fits(certificate, asked.key.encode()):
            raise IdentityFolderError(N_("the certificate that came is for another key"))
        if wrong := _trouble(found, asked.name, at):
            raise IdentityFolderError(f"{_CAME}: {wrong}")
        both = certificate.rstrip() + b"\n" + asked.key.encode()
        if tried is not None and (why := self._tried(both, tried)):
            raise IdentityFolderError(f"{_NOT_TAKEN}: {why}")
        _write(self.file, both)

    def _tried(self, both: bytes, tried: Callable[[Path], str]) -> str:
        file = self.file.with_name(TRIAL)
        _write(file, both)
        try:
            return tried(file)
        finally:
            _remove(file)

    def tidy(self) -> None:
        """Remove what claimed the certificate that is there now. Raises `IdentityFolderError`.

        The request goes last: a kiosk that is cut off before finds it, and goes on here.
        """
        for file in (self.token_file, self.claim_file, self.request_file):
            _remove(file)

    def renewed(self) -> None:
        """The renewal is answered, one way or another. Raises `IdentityFolderError`."""
        _remove(self.renewal_file)

    @property
    def is_tidy(self) -> bool:
        left = (self.token_file, self.claim_file, self.request_file)
        return not any(file.exists() for file in left)

    @property
    def is_answered(self) -> bool:
        """Whether the certificate that is there is what the claim asked for."""
        found = self._asked(self.request_file)
        return found is not None and self._is_answered(found)

    def _asked(self, file: Path) -> Request | None:
        """What lies in `file`; one that is damaged is as good as none."""
        try:
            return msgspec.json.decode(_read(file), type=Request)
        except (IdentityFolderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _is_answered(self, asked: Request) -> bool:
        try:
            return _fits(_read(self.file), asked.key.encode())
        except IdentityFolderError:
            return False


def of(loaded: Settings) -> Identity | None:
    """The identity that the settings name; None where somebody else cares for the certificate."""
    broker = loaded.broker
    ours = broker.tls and "/" in broker.cert_file and broker.cert_file == broker.key_file
    return Identity(Path(broker.cert_file)) if ours else None


def fingerprint(identity: Identity) -> str:
    """The name of the token that is here, empty where there is none that can be read."""
    try:
        return identity.token().fingerprint
    except IdentityFolderError:
        return ""


def _new_request(name: str, chance: Chance) -> Request:
    # The library costs 7 MB, which a bench without certificates has no use for.
    from checkin import identity  # noqa: PLC0415

    key = identity.new_key()
    asked = identity.request(key, name)
    return Request(name, key.decode(), asked.decode(), chance(NONCE_BYTES).hex())


def _certificate(pem: bytes, what: str) -> "Certificate":
    from checkin import identity  # noqa: PLC0415  as above

    try:
        return identity.read(pem)
    except identity.IdentityError as error:
        raise IdentityFolderError(f"{what}: {error}") from error


def _fits(certificate: bytes, key: bytes) -> bool:
    from checkin import identity  # noqa: PLC0415  as above

    try:
        return identity.fits(certificate, key)
    except identity.IdentityError as error:
        raise IdentityFolderError(f"{_EITHER}: {error}") from error


def _trouble(found: "Certificate", name: str, at: datetime | None) -> str:
    if found.name != name:
        return f"{_ANOTHERS}: {_shown(found.name)}"
    if at is not None and found.ends_at <= at:
        return f"{_ENDED}: {found.ends_at:%Y-%m-%d}"
    return ""


def _shown(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "?", name)[:64]


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise IdentityFolderError(f"{file}: {_UNREAD} ({error.strerror})") from error
    if len(raw) > LONGEST_FILE_BYTES:
        raise IdentityFolderError(f"{file}: {_LONG}")
    return raw


def _write(file: Path, content: bytes) -> None:
    try:
        whole.write(file, content, MODE)
    except OSError as error:
        raise IdentityFolderError(f"{file}: {_UNWRITTEN} ({error.strerror})") from error


def _remove(file: Path) -> None:
    try:
        if file.exists():
            whole.remove(file)
    except OSError as error:
        raise IdentityFolderError(f"{file}: {_UNREMOVED} ({error.strerror})") from error


def _mark(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
