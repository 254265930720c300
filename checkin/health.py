"""The small files by which the two processes tell each other how they are.

They lie in memory (`runtime_dir`), are replaced whole, and say when they were written, so that
a file left by a dead process is known for what it is.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

# Older than this, a file says nothing of its writer any more. Both write every few seconds.
STALE_S = 30.0

LONGEST_FILE_BYTES = 65_536


class KioskHealth(msgspec.Struct, frozen=True):
    """How the kiosk process is, for the daemon's state message. `tick` is monotonic, of `boot`.

    `trust_days` and `revocations_days` are the ages of the signed lists; None where there is none,
    or where the clock can't tell. `settings_version` is of the signed settings in force.
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
    test_code_tick: float | None = None
    panel_tick: float | None = None


class SyncHealth(msgspec.Struct, frozen=True):
    """How the daemon is, for `vaora-sync status`. `last_settled_tick` is None before the first.

    `why_lost` is why there is no broker; `certificate_days` is None where that can't be told.
    `first_receipt_s` is how long after connecting the central answered, None before it has.
    """

    boot: str
    tick: float
    broker: str
    last_settled_tick: float | None = None
    why_lost: str = ""
    certificate_days: float | None = None
    certificate_trouble: str = ""
    first_receipt_s: float | None = None


Health = TypeVar("Health", KioskHealth, SyncHealth)


def write(file: Path, health: KioskHealth | SyncHealth) -> None:
    """Replace `file`, whole. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(health))
    beside.replace(file)


def read(file: Path, kind: type[Health], *, boot: str, tick: float) -> Health | None:
    """What the other process wrote lately, or None where it is silent, dead or of another boot."""
    try:
        with file.open("rb") as opened:
            health = msgspec.json.decode(opened.read(LONGEST_FILE_BYTES), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    fresh = health.boot == boot and 0 <= tick - health.tick <= STALE_S
    return health if fresh else None
