"""When it is, and how sure that is."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

# Made by the kernel at each boot (random(4)); a container or a Mac may not have it.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# systemd-timesyncd touches this once it has set the clock (systemd-timesyncd.service(8)).
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


# How wrong a clock may be that counts as set. Up to this much systemd-timesyncd doesn't step but
# slews (NTP_MAX_ADJUST in its source), while it says already that it is synchronized.
SYNCED_ERROR_S = 0.4


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of all clocks.

    `at` is the wall time as this machine believed it: a Pi without a clock chip boots in the
    past. `tick` is CLOCK_MONOTONIC in seconds: it never jumps, and means something only within
    the boot named by `boot`. `synced` says whether the network had set the wall clock.
    """

    at: datetime
    tick: float
    boot: str
    synced: bool


class Clock(Protocol):
    def moment(self) -> Moment:
        """Read all clocks at once."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self, boot_id: Path = BOOT_ID, synchronized: Path = SYNCHRONIZED) -> None:
        self._boot = _boot(boot_id)
        self._synchronized = synchronized

    def moment(self) -> Moment:
        return Moment(
            at=datetime.now(UTC),
            tick=time.monotonic(),
            boot=self._boot,
            synced=self._synchronized.exists(),
        )


def _boot(path: Path) -> str:
    """The kernel's boot id, or a name that no other boot can have."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        # Without a boot id a restart looks like a new boot: nothing is remembered across it,
        # and no tick is ever compared with one of another boot.
        return f"unknown-{time.time_ns():x}"
