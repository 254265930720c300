"""Whether a new version has shown that it can do what the one before did.

Pure: it is told what is seen of the kiosk, and says whether the trial goes on, is passed or has
failed. A version that ends by itself, or leaves the door unserved, fails at once; one that hasn't
shown everything when its time is over fails too. What a trial has gone through is kept on disk, so
that neither a power cut nor a version that brings the machine down begins it anew.
"""

from dataclasses import dataclass
from enum import Enum, auto

import msgspec

# A new version that ends the machine itself is started so often, and a door whose power goes twice
# in one trial isn't held against it.
MOST_BOOTS = 3

# How long the door may stay unserved: a Zero 2 W needs half of it from start to first frame.
UNWELL_S = 45.0

# Faults of the door itself. Others (the network, certificates, a full outbox) no version mends.
SERIOUS = frozenset({"kiosk-silent", "camera", "outbox"})


@dataclass(frozen=True, slots=True)
class Limits:
    """`well_s` without a fault in a row, and everything shown within `longest_s`."""

    well_s: float = 600.0
    longest_s: float = 6 * 3600.0


class Trial(msgspec.Struct, frozen=True):
    """What is kept of a trial. `faults` and `confirmed` are as they were before it.

    `env` is the environment on trial, `before` the one to go back to; empty is the package's own.
    `spent_s` is over all boots; `boot` is the last one.
    """

    number: int
    package: str
    env: str
    before: str
    before_package: str = ""
    faults: list[str] = []
    confirmed: int = 0
    boots: int = 0
    boot: str = ""
    spent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the kiosk. `restarts` are the services that ended, and nobody had asked for it.

    `faults` are those that `vaora-sync status` names; None where it said nothing at all.
    """

    tick: float
    restarts: tuple[str, ...] = ()
    faults: frozenset[str] | None = frozenset()
    online: bool = False
    confirmed: int = 0
    waiting: int = 0


class Outcome(Enum):
    GOES_ON = auto()
    PASSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    outcome: Outcome
    why: str = ""


GOES_ON = Judgement(Outcome.GOES_ON)
PASSED = Judgement(Outcome.PASSED)


def booted(trial: Trial, boot: str) -> Trial:
    """The trial as it is in this boot, which counts if it is another than the last."""
    if boot == trial.boot:
        return trial
    return msgspec.structs.replace(trial, boot=boot, boots=trial.boots + 1)


class Watch:
    """Watches one trial within one boot. `began_tick` is when the new version was started."""

    def __init__(self, trial: Trial, limits: Limits, began_tick: float) -> None:
        self._trial = trial
        self._limits = limits
        self._began = began_tick
        self._well_since = began_tick
        self._unwell_since: float | None = began_tick  # it isn't there yet
        self._has_confirmed = False

    def trial_at(self, tick: float) -> Trial:
        """What to keep of it now."""
        spent_s = self._trial.spent_s + tick - self._began
        return msgspec.structs.replace(self._trial, spent_s=spent_s)

    def judge(self, seen: Seen) -> Judgement:
        if self._trial.boots > MOST_BOOTS:
            return _failed(f"the machine was started {self._trial.boots} times in its trial")
        if seen.restarts:
            return _failed(f"{' and '.join(seen.restarts)} ended by itself")
        unwell = self._unwell(seen)
        if unwell:
            if self._unwell_since is None:
                self._unwell_since = seen.tick
            self._well_since = seen.tick
            if seen.tick - self._unwell_since >= UNWELL_S:
                return _failed(f"the door wasn't served for {UNWELL_S:.0f} s: {unwell}")
        else:
            self._unwell_since = None
        shown = seen.online and (seen.waiting == 0 or seen.confirmed > self._trial.confirmed)
        self._has_confirmed = self._has_confirmed or shown
        well = not unwell and seen.tick - self._well_since >= self._limits.well_s
        if well and self._has_confirmed:
            return PASSED
        if self.trial_at(seen.tick).spent_s >= self._limits.longest_s:
            return _failed(self._lacking(seen, well=well))
        return GOES_ON

    def _unwell(self, seen: Seen) -> str:
        """The faults of the door that it hadn't before, in words."""
        if seen.faults is None:
            return "nothing can be learnt of it"
        return ", ".join(sorted((seen.faults & SERIOUS) - set(self._trial.faults)))

    def _lacking(self, seen: Seen, *, well: bool) -> str:
        hours = f"{self._limits.longest_s / 3600:.3g} h"
        if not well:
            return f"it wasn't well for {self._limits.well_s:.0f} s in a row within {hours}"
        if not seen.online:
            return f"it didn't reach the broker within {hours}"
        return f"none of {seen.waiting} check-ins was confirmed within {hours}"


def _failed(why: str) -> Judgement:
    return Judgement(Outcome.FAILED, why)
