"""The small files by which the two processes tell each other how they are.

They lie in memory (`runtime_dir`), are replaced whole, and say when they were written, so that
a file left by a dead process is known for what it is.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

# Older than this, a file says nothing of its writer any more. Both write every few seconds.
STALE_S = 30.0

LONGEST_FILE_BYTES = 65_536

# Characters of a reason that goes into a state message.
LONGEST_WHY = 300


class KioskHealth(msgspec.Struct, frozen=True):
    """How the kiosk process is, for the daemon's state message. `tick` is monotonic, of `boot`.

    `trust_days` and `revocations_days` are the ages of the signed lists; None where there is none,
    or where the clock can't tell. `settings_version`, `trust_version` and `revocations_version` are
    of what is signed and in force, `not_taken` why something else that is there is not.
    `test_code_tick` is when the printed test code was read, `panel_tick` when every light and tone
    was played.
    """

    boot: str
    tick: float
    camera: str
    frames_per_s: float
    faults: list[str] = []
    trust_days: float | None = None
    revocations_days: float | None = None
    settings_version: int | None = None
    trust_version: int | None = None
    revocations_version: int | None = None
    not_taken: list[str] = []
    test_code_tick: float | None = None
    panel_tick: float | None = None


class SyncHealth(msgspec.Struct, frozen=True):
    """How the daemon is, for `vaora-sync status`. `last_settled_tick` is None before the first.

    `why_lost` is why there is no broker; `certificate_days` is None where that can't be told.
    `connected_s` is for how long there has been a broker, None without one; `first_receipt_s` how
    long after connecting the central answered, None before it has. `enrolment` is empty where the
    certificate isn't the daemon's to get; else `missing`, `no-broker`, `waiting`, `refused: WHY` or
    `enrolled` (sync_daemon.enrolment), and `enrolment_trouble` says more. `renewal_refused` is the
    word for why a certificate that is due isn't renewed.
    """

    boot: str
    tick: float
    broker: str
    last_settled_tick: float | None = None
    why_lost: str = ""
    certificate_days: float | None = None
    certificate_trouble: str = ""
    connected_s: float | None = None
    first_receipt_s: float | None = None
    enrolment: str = ""
    enrolment_trouble: str = ""
    renewal_refused: str = ""


Health = TypeVar("Health", KioskHealth, SyncHealth)


def write(file: Path, health: KioskHealth | SyncHealth) -> None:
    """Replace `file`, whole. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, msgspec.json.encode(health))


def replace(file: Path, content: bytes) -> None:
    """Put `content` in the place of `file`, for the group to read. Raises `OSError`.

    By a name that nobody knows before: the folder is shared, and what lies under a known one might
    be a link to where only we may write.
    """
    opened, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with open(opened, "wb") as out:  # noqa: PTH123  a descriptor
            out.write(content)
            os.fchmod(opened, 0o660)
        Path(beside).replace(file)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise


def touch(file: Path) -> None:
    """Make `file` new, so that whoever looks for it sees that it was. Raises `OSError`.

    Replaced and not only touched: another member of the group may have made it.
    """
    replace(file, b"")


def ordinary(file: Path) -> BinaryIO:
    """`file`, opened, and never something that one waits for, such as a pipe. Raises `OSError`."""
    opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{file}: no ordinary file")
    return os.fdopen(opened, "rb")


def read(file: Path, kind: type[Health], *, boot: str, tick: float) -> Health | None:
    """What the other process wrote lately, or None where it is silent, dead or of another boot."""
    try:
        with ordinary(file) as opened:
            health = msgspec.json.decode(opened.read(LONGEST_FILE_BYTES), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    fresh = health.boot == boot and 0 <= tick - health.tick <= STALE_S
    return health if fresh else None
