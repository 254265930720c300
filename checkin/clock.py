"""When it is, and how sure that is."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

# Made by the kernel at each boot (random(4)); a container or a Mac may not have it.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# systemd-timesyncd touches this each time it has set the clock (systemd-timesyncd.service(8)).
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


# Between two settings a clock that runs stays within this of the monotonic one, which the network
# slews along with it. More is a step: somebody has set it by hand, or a program has.
STEP_S = 2.0


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
    """The machine's own clocks.

    A clock that is stepped after the network set it counts as not set, until the network sets it
    again. `memory` is a file that ends with the power; without it, a step from before this process
    began can't be seen.
    """

    def __init__(
        self,
        memory: Path | None = None,
        *,
        boot_id: Path = BOOT_ID,
        synchronized: Path = SYNCHRONIZED,
    ) -> None:
        self._boot = _boot(boot_id)
        self._synchronized = synchronized
        self._memory = memory
        self._set = _remembered(memory)

    def moment(self) -> Moment:
        # First when it was set, then what it says: in between it may be set, and an old time must
        # not count as the new one.
        try:
            touched_ns = self._synchronized.stat().st_mtime_ns
        except OSError:
            touched_ns = None
        at, tick = datetime.now(UTC), time.monotonic()
        if touched_ns is None:
            return Moment(at, tick, self._boot, synced=False)
        last = self._set
        self._set, synced = still_set(last, touched_ns, at.timestamp() - tick)
        if self._set != last and self._memory is not None:
            _remember(self._memory, self._set)
        return Moment(at, tick, self._boot, synced)


@dataclass(frozen=True, slots=True)
class Setting:
    """When the network set the clock, and how far it was ahead of the monotonic one then."""

    touched_ns: int
    ahead_s: float


def _remembered(memory: Path | None) -> Setting:
    """What this or the other process saw of the clock in this boot."""
    try:
        touched, ahead = (memory or Path()).read_text(encoding="ascii").split()
        return Setting(int(touched), float(ahead))
    except (OSError, ValueError):
        return Setting(0, 0.0)


def _remember(memory: Path, setting: Setting) -> None:
    beside = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        beside.write_text(f"{setting.touched_ns} {setting.ahead_s!r}", encoding="ascii")
        beside.replace(memory)
    except OSError:
        return  # then only a restart forgets it


def still_set(last: Setting, touched_ns: int, ahead_s: float) -> tuple[Setting, bool]:
    """The last setting of the clock, and whether the clock still goes by it."""
    if touched_ns != last.touched_ns:
        return Setting(touched_ns, ahead_s), True
    return last, abs(ahead_s - last.ahead_s) < STEP_S


def _boot(path: Path) -> str:
    """The kernel's boot id, or a name that no other boot can have."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        # Without a boot id a restart looks like a new boot: nothing is remembered across it,
        # and no tick is ever compared with one of another boot.
        return f"unknown-{time.time_ns():x}"
