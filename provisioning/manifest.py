"""The manifest: which card was written when, with what. One row for each, in order, for ever.

A CSV, so that a technician can look for a card's serial years later in any spreadsheet.
"""

import csv
import fcntl
import io
import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from checkin.words import _, of_system


class ManifestError(OSError):
    """The manifest can't be read or added to; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    written_at: str
    kiosk: str
    device: str
    device_bytes: int
    card_name: str  # as the card says of itself: SC32G
    card_serial: str  # 0x1234abcd; empty where a reader keeps it to itself
    image_digest: str  # `ranges.digest`
    seed_digest: str
    token: str  # its fingerprint
    package: str


def append(file: Path, row: Row) -> None:
    """Put `row` at the end of `file`, whole, and on disk before this returns.

    Two flashes at once take turns. A row that a power cut left half is ended first, so that it
    spoils no other.
    """
    try:
        with file.open("a+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.seek(0)
            before = opened.read()
            _give_back(opened.fileno(), file)
            opened.write(_begun(before) + _line(astuple(row)))
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise ManifestError(
            _(
                "{file}: the row can't be added ({why}); the card itself is right: note its "
                "kiosk {kiosk} and serial {serial} by hand"
            ).format(
                file=file,
                why=of_system(error),
                kiosk=row.kiosk,
                serial=row.card_serial or _("unknown"),
            )
        ) from error


def _give_back(opened: int, file: Path) -> None:
    """Cards are written by root; the manifest stays with whose the folder is."""
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.fchown(opened, owner.st_uid, owner.st_gid)


def with_token(file: Path, token: str) -> Row | None:
    """The last card that the image with this token was written to, if there is one."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = [row for row in csv.DictReader(opened) if row.get("token") == token]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            _("{file}: can't be read ({why}); put it back from its backup").format(
                file=file, why=error
            )
        ) from error
    if not rows:
        return None
    row = {field.name: rows[-1].get(field.name) or "" for field in fields(Row)}
    length = row.pop("device_bytes")
    return Row(device_bytes=int(length) if length.isdigit() else 0, **row)


def _begun(before: bytes) -> bytes:
    if not before:
        return _line([field.name for field in fields(Row)])
    return b"" if before.endswith(b"\n") else b"\r\n"


def _line(values: object) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(values)  # type: ignore[arg-type]  # a tuple or a list
    return out.getvalue().encode()
