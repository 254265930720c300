"""How long this kiosk's certificate is still good, and whether another was put in its place."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from checkin.words import N_
from sync_daemon.broker import Tls

EXPIRED = N_("has expired")
NOT_YET_VALID = N_("is not yet valid")
_UNREAD, _MISSING = N_("can't be read"), N_("isn't there")


@dataclass(frozen=True, slots=True)
class Certificate:
    """`ends_at` is None for one that has ended already, or that can't be read; `trouble` says.

    `renew_at` is when two thirds of its life are over.
    """

    ends_at: datetime | None
    trouble: str = ""
    renew_at: datetime | None = None

    def days(self, at: datetime) -> float | None:
        return None if self.ends_at is None else (self.ends_at - at).total_seconds() / 86_400


def look(tls: Tls, at: datetime) -> Certificate:
    """How the certificate in `tls.cert_file` is, `at` this time. Never raises: trouble is said."""
    # The library costs 7 MB, which a bench without certificates has no use for.
    from checkin import identity  # noqa: PLC0415

    try:
        for file in filter(None, (tls.ca_file, tls.cert_file, tls.key_file)):
            if not Path(file).exists():
                return Certificate(None, f"{_UNREAD}: {file}: {_MISSING}")
        # As the connection loads them: whether the key is the certificate's, whatever its kind.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tls.cert_file, tls.key_file or None)
        found = identity.read(Path(tls.cert_file).read_bytes())
    except (OSError, identity.IdentityError) as error:
        return Certificate(None, f"{_UNREAD}: {getattr(error, 'reason', None) or error}")
    if at >= found.ends_at:
        return Certificate(None, EXPIRED)
    if at < found.begins_at:
        return Certificate(found.ends_at, NOT_YET_VALID)
    return Certificate(found.ends_at, renew_at=found.renew_from())


def files(tls: Tls) -> tuple[tuple[int, int], ...]:
    """What changes when one of the three files is replaced."""
    return tuple(_identity(Path(name)) for name in (tls.ca_file, tls.cert_file, tls.key_file))


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
