"""How long this kiosk's certificate is still good, and whether another was put in its place.

Read by a handshake with itself in memory: Python's `ssl` tells a certificate's dates only of a
peer's. So it also shows whether the authority in `ca_file` would take it.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sync_daemon.broker import Tls

# TLS 1.3 takes three; more is no handshake.
MOST_FLIGHTS = 10

# openssl-verification-options(1): X509_V_ERR_CERT_NOT_YET_VALID, …CERT_HAS_EXPIRED, and the two of
# an issuer that isn't known. `ca_file` is the broker's authority; that of kiosks may be another.
_NOT_YET_VALID, _HAS_EXPIRED, _NO_ISSUER = 9, 10, {20, 21}

EXPIRED = "has expired"
NOT_YET_VALID = "is not yet valid"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`ends_at` is None for one that has ended already, or that can't be read; `trouble` says."""

    ends_at: datetime | None
    trouble: str = ""

    def days(self, at: datetime) -> float | None:
        return None if self.ends_at is None else (self.ends_at - at).total_seconds() / 86_400


def look(tls: Tls) -> Certificate:
    """The end of the certificate in `tls.cert_file`. Never raises: trouble is said."""
    try:
        for file in filter(None, (tls.ca_file, tls.cert_file, tls.key_file)):
            if not Path(file).exists():
                return Certificate(None, f"can't be read: {file} isn't there")
        ends = _presented(tls)["notAfter"]
    except ssl.SSLCertVerificationError as error:
        return Certificate(None, _trouble(error))
    except (OSError, KeyError) as error:
        return Certificate(None, f"can't be read: {getattr(error, 'reason', None) or error}")
    return Certificate(datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC))


def _trouble(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NO_ISSUER:
        return ""  # nothing is known of its end then
    known = {_NOT_YET_VALID: NOT_YET_VALID, _HAS_EXPIRED: EXPIRED}
    return known.get(error.verify_code, f"isn't taken: {error.verify_message}")


def files(tls: Tls) -> tuple[tuple[int, int], ...]:
    """What changes when one of the three files is replaced."""
    return tuple(_identity(Path(name)) for name in (tls.ca_file, tls.cert_file, tls.key_file))


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)


def _presented(tls: Tls) -> dict[str, object]:
    """The certificate as a server sees it that asks a client for one."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        context.load_cert_chain(tls.cert_file, tls.key_file or None)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(tls.ca_file)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True))
    for _ in range(MOST_FLIGHTS):
        done = [_goes_on(end) for end in ends]
        if all(done):
            return dict(ends[1].getpeercert() or {})
    raise ssl.SSLError("no handshake")


def _goes_on(end: ssl.SSLObject) -> bool:
    """Take the handshake as far as it goes; return whether it is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
