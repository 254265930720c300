"""The demo's front desk: its keys, two passes, and the signed lists that the kiosk goes by."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkin import passes, signed_list
from checkin.cose import SigningKey
from checkin.settings import Policy
from checkin.signed_list import Revocations, TrustList

STAFF = "Lê Thị Trực"
CALLED_BACK_ID = bytes(range(8))

# Anybody may know the demo's keys: they sign for nobody else.
DESK, AUTHORITY = (
    SigningKey(b"the demo's desk".ljust(32)),
    SigningKey(b"the demo's lists".ljust(32)),
)


def staff_pass() -> bytes:
    return _issue(STAFF, bytes(reversed(range(8))))


def called_back() -> bytes:
    return _issue("Đinh Văn Mất", CALLED_BACK_ID)


def lists(folder: Path) -> Policy:
    """Sign the lists into `folder`; the settings that go by them."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    trust, revoked = folder / "trust.list", folder / "revoked.list"
    keys = TrustList(1, now, pass_keys=[b64encode(DESK.public).decode()])
    trust.write_bytes(signed_list.sign(keys, AUTHORITY))
    revoked.write_bytes(signed_list.sign(Revocations(1, now, [CALLED_BACK_ID.hex()]), AUTHORITY))
    return Policy(
        authority=b64encode(AUTHORITY.public).decode(),
        trust_file=str(trust),
        revocations_file=str(revoked),
    )


def _issue(holder: str, pass_id: bytes) -> bytes:
    today = datetime.now(UTC)
    text = passes.issue(
        DESK,
        kind="staff",
        pass_id=pass_id,
        holder=holder,
        not_before=today - timedelta(hours=1),
        expires=today + timedelta(hours=12),
    )
    return text.encode()
