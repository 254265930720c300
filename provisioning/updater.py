"""`vaora-update`: root's part of a package update. systemd starts it; a technician needn't.

What the daemon downloaded is believed only when the fleet's authority signed it. Then an
environment is made of it beside the one in force, a check-in is rehearsed in it, and only what did
that is put in force: by a link, on trial. The package's own environment runs this program and is
never changed by it: there is always one to go back to.

Each step is written down before it is done, so that a power cut anywhere is followed by the same
step, or by the way back.
"""

import argparse
import hashlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

import msgspec

from checkin import VERSION, settings, signed_list, updates, whole
from checkin.clock import Clock, SystemClock
from checkin.command_line import stop_signals
from checkin.settings import Settings, SettingsError
from checkin.signed_list import Release, SignedListError
from checkin.updates import LONGEST_WORDS, Told, UpdateError
from provisioning import rehearsal, trial
from provisioning.machine import Machine, MachineError
from provisioning.rehearsal import Programs, RehearsalError
from provisioning.trial import Limits, Outcome, Seen, Trial, Watch

log = logging.getLogger("vaora.update")

PACKAGE = Path("/usr/lib/vaora")
LEDGER = "ledger.json"
CURRENT = "current"
INCOMING = "incoming.deb"
UNPACKED = "unpacked"
WHEELS = "wheels"
ENV = re.compile(r"env-[0-9]+")

# So often a release is begun with: a power cut or a full disk isn't its fault, the third time it
# may be.
MOST_ATTEMPTS = 3

# The package is copied and unpacked beside the environment, which has 200 MB.
TIMES_LARGER = 3
AND_BYTES = 512 * 1024 * 1024

LOOK_EVERY_S = 10.0  # a look starts a program, which is work for a Zero 2 W
POLL_S = 1.0
SAVE_EVERY_S = 60.0


class NotThisTimeError(OSError):
    """It can't be done now, which need not be the release's fault."""


class RefusedError(ValueError):
    """The release is never to be put in force here."""


class Ledger(msgspec.Struct, frozen=True):
    """All that root remembers of updates. `env` is in force; empty is the package's own.

    `number` is that of the newest release that was taken or refused, `package` the version of what
    is in force, `attempts` how often release `attempted` was begun with. `is_begun`: the services
    were begun anew since `env` became another.
    """

    number: int = 0
    env: str = ""
    package: str = ""
    attempted: int = 0
    attempts: int = 0
    trial: Trial | None = None
    refused: str = ""
    why: str = ""
    is_begun: bool = True


class ThisMachine(Protocol):
    """What the updater needs of the machine."""

    def restart(self) -> None: ...
    def look(self, tick: float) -> Seen: ...
    def ended_by_themselves(self) -> tuple[str, ...]: ...
    def free_bytes(self, folder: Path) -> int: ...
    def is_older(self, version: str, than: str) -> bool: ...
    def unpack(self, package: Path, into: Path) -> tuple[str, str]: ...
    def make_environment(self, env: Path, requirements: Path, wheels: list[Path]) -> None: ...


@dataclass(frozen=True, slots=True)
class Places:
    """`folder` is root's own, `package` the package's, `arrived` the daemon's."""

    folder: Path = updates.ROOT_FOLDER
    package: Path = PACKAGE
    arrived: Path = Path("/var/lib/vaora") / updates.ARRIVED_FOLDER


class Updater:
    """One run: put in order what a power cut left, go on with a trial, or take what arrived.

    `rehearse` raises `RehearsalError` for an environment that can't do it.
    """

    def __init__(
        self,
        places: Places,
        machine: ThisMachine,
        clock: Clock,
        *,
        authority: bytes,
        arch: str,
        rehearse: Callable[[Path], None],
        stopped: Event,
        limits: Limits = Limits(),  # noqa: B008  frozen
        version: str = VERSION,
    ) -> None:
        self._places = places
        self._machine = machine
        self._clock = clock
        self._authority = authority
        self._arch = arch
        self._rehearse = rehearse
        self._stopped = stopped
        self._limits = limits
        self._version = version
        self._ledger = self._read_ledger()

    def run(self) -> None:
        """Raises `OSError` where the disk or the machine doesn't let it."""
        self._put_in_force()
        if self._ledger.trial is None:
            self._take()
        if self._ledger.trial is not None:
            self._try(self._ledger.trial)
        if self._ledger.trial is None:
            self._tidy()

    def booted(self) -> None:
        """Count this start of the machine against the version on trial, before it begins.

        `run` comes a minute later: a version that brings the machine down sooner would else be
        started for ever.
        """
        if self._ledger.trial is None:
            return
        now = self._clock.moment()
        begun = trial.booted(self._ledger.trial, now.boot)
        self._keep(trial=begun)
        judgement = Watch(begun, self._limits, now.tick).judge(Seen(tick=now.tick))
        if judgement.outcome is Outcome.FAILED:
            self._go_back(begun, judgement.why)

    def installed(self) -> None:
        """A package was installed by hand: what it brings wins over an update that isn't newer."""
        if self._ledger.env and not self._machine.is_older(self._version, self._ledger.package):
            log.info("package %s replaces update %s", self._version, self._ledger.package)
            self._write(Ledger(number=self._ledger.number))
            self._link()
            self._tidy()

    def _take(self) -> None:
        """Take what arrived, if it is signed, newer and whole; on trial when this returns."""
        release = self._arrived()
        if release is None:
            return
        if self._machine.is_older(release.package, self._version):
            # Released before this package was installed: no fault, and nothing to be gone back to.
            log.info("release %d is older than the package, %s", release.version, self._version)
            self._note(number=release.version)
            return
        attempts = self._ledger.attempts if self._ledger.attempted == release.version else 0
        self._note(attempted=release.version, attempts=attempts + 1)
        try:
            env = self._prepared(release)
        except (RefusedError, RehearsalError) as error:
            self._refuse(release.version, release.package, str(error))
            return
        except (NotThisTimeError, UpdateError, MachineError, OSError) as error:
            if attempts + 1 >= MOST_ATTEMPTS:
                self._refuse(release.version, release.package, f"can't be made here: {error}")
            else:
                log.warning("release %d can't be made now: %s", release.version, error)
            return
        self._begin_trial(release, env)

    def _arrived(self) -> Release | None:
        """The release that the daemon put down, if there is one for us and it is signed."""
        try:
            raw = updates.read(
                self._places.arrived / updates.RELEASE, updates.LONGEST_RELEASE_BYTES
            )
            release = signed_list.read(raw, Release, self._authority)
        except UpdateError:
            return None
        except SignedListError as error:
            log.error("what arrived %s", error)  # noqa: TRY400  the message says all
            return None
        is_ours = release.arch == self._arch and release.version > self._ledger.number
        return release if is_ours else None

    def _prepared(self, release: Release) -> str:
        """The name of an environment that did its rehearsal."""
        if self._machine.free_bytes(self._places.folder) < TIMES_LARGER * release.bytes + AND_BYTES:
            raise NotThisTimeError("too little room on the disk")
        self._tidy()
        self._copy(release)
        unpacked = self._places.folder / UNPACKED
        name, version = self._machine.unpack(self._places.folder / INCOMING, unpacked)
        if (name, version) != ("vaora", release.package):
            raise RefusedError(f"the package is {name} {version}, not vaora {release.package}")
        env = self._places.folder / f"env-{release.version}"
        self._make(env, unpacked / "usr/lib/vaora")
        log.info("release %d: rehearsing a check-in", release.version)
        self._rehearse(env / "bin")
        return env.name

    def _make(self, env: Path, unpacked: Path) -> None:
        """Make the environment. A wheel that isn't in the package may be one that was here before.

        What makes it sure is the hash of each in the signed package's requirements.
        """
        own = self._places.package / WHEELS
        in_force = self._places.folder / self._ledger.env / WHEELS
        kept = [in_force] if self._ledger.env else []
        self._machine.make_environment(
            env, unpacked / "requirements.txt", [unpacked / WHEELS, own, *kept]
        )
        # For the release after this one, which may leave out what is here.
        for folder in (unpacked / WHEELS, *kept):
            for wheel in sorted(folder.glob("*.whl")):
                if not (own / wheel.name).exists():
                    (env / WHEELS).mkdir(exist_ok=True)
                    shutil.copy(wheel, env / WHEELS)

    def _copy(self, release: Release) -> None:
        """Copy the package to where only root writes; from here on nobody else can change it."""
        into = self._places.folder / INCOMING
        opened = updates.descriptor(self._places.arrived / updates.PACKAGE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        digest, left = hashlib.sha256(), release.bytes
        with os.fdopen(opened, "rb") as source, os.fdopen(os.open(into, flags, 0o600), "wb") as out:
            while left and (chunk := source.read(min(left, 1 << 20))):
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
            if left or source.read(1) or digest.hexdigest() != release.sha256:
                raise NotThisTimeError("the package that arrived isn't what was signed")

    def _begin_trial(self, release: Release, env: str) -> None:
        now = self._clock.moment()
        seen = self._machine.look(now.tick)
        begun = Trial(
            number=release.version,
            package=release.package,
            env=env,
            before=self._ledger.env,
            before_package=self._ledger.package,
            faults=sorted(seen.faults or ()),
            confirmed=seen.confirmed,
        )
        log.info("release %d: %s is on trial", release.version, release.package)
        # On disk first: a power cut behind this line is followed by the trial, or by the way back.
        self._write(
            Ledger(
                number=release.version,
                env=env,
                package=release.package,
                trial=begun,
                is_begun=False,
            )
        )
        self._put_in_force()

    def _try(self, begun: Trial) -> None:
        """Watch the version on trial until it has passed, failed, or this process is stopped."""
        now = self._clock.moment()
        begun = trial.booted(begun, now.boot)
        self._keep(trial=begun)
        watch = Watch(begun, self._limits, now.tick)
        look_every_s = min(LOOK_EVERY_S, self._limits.well_s / 4)
        look_due, save_due = now.tick, now.tick + SAVE_EVERY_S
        while not self._stopped.is_set():
            tick = self._clock.moment().tick
            seen = self._seen(tick, is_due=tick >= look_due)
            if seen is not None:
                look_due = tick + look_every_s
                judgement = watch.judge(seen)
                if judgement.outcome is Outcome.PASSED:
                    log.info("%s has passed its trial", begun.package)
                    self._note(trial=None)
                    return
                if judgement.outcome is Outcome.FAILED:
                    self._go_back(begun, judgement.why)
                    return
            if tick >= save_due:
                save_due = tick + SAVE_EVERY_S
                self._keep(trial=watch.trial_at(tick))
            self._stopped.wait(min(POLL_S, look_every_s))
        self._keep(trial=watch.trial_at(self._clock.moment().tick))

    def _seen(self, tick: float, *, is_due: bool) -> Seen | None:
        """What is to be judged now; None if nothing is.

        A version under which the machine can't even say how its services are is judged by that: it
        must not escape by keeping the machine too busy to answer.
        """
        try:
            if ended := self._machine.ended_by_themselves():
                return Seen(tick=tick, restarts=ended)
            return self._machine.look(tick) if is_due else None
        except MachineError as error:
            log.warning("the services can't be looked at: %s", error)
            return Seen(tick=tick, faults=None)

    def _keep(self, **changed: object) -> None:
        """Note how far it is. A disk that is full, perhaps by what is on trial, ends no watch."""
        try:
            self._note(**changed)
        except OSError as error:
            log.warning("how far it is can't be noted: %s", error)

    def _go_back(self, begun: Trial, why: str) -> None:
        log.error("%s: %s; going back", begun.package, why)
        with suppress(OSError):
            self._tidy()  # room for what is to be written, where the disk is full
        self._write(
            Ledger(
                number=begun.number,
                env=begun.before,
                package=begun.before_package,
                refused=begun.package,
                why=_short(why),
                is_begun=False,
            )
        )
        self._put_in_force()

    def _refuse(self, number: int, package: str, why: str) -> None:
        log.error("release %d: %s is refused: %s", number, package, why)
        self._note(number=number, refused=package, why=_short(why), attempts=0, attempted=0)
        self._tidy()

    def _put_in_force(self) -> None:
        """Make the link what the ledger says, and have the services run it.

        Until they do it is done again: a link alone leaves the version running that it leads from.
        """
        if self._linked() != self._ledger.env or not self._ledger.is_begun:
            self._link()
            self._machine.restart()
            if not self._ledger.is_begun:
                self._keep(is_begun=True)

    def _linked(self) -> str:
        try:
            return str((self._places.folder / CURRENT).readlink())
        except OSError:
            return ""

    def _link(self) -> None:
        current = self._places.folder / CURRENT
        if not self._ledger.env:
            whole.remove(current)
            return
        beside = self._places.folder / f".{CURRENT}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(self._ledger.env)
        beside.replace(current)
        whole.flush_folder(self._places.folder)

    def _tidy(self) -> None:
        """Remove what nobody will run any more."""
        kept = {self._ledger.env}
        if self._ledger.trial is not None:
            kept.add(self._ledger.trial.before)
        for found in self._places.folder.iterdir():
            if ENV.fullmatch(found.name) and found.name not in kept:
                shutil.rmtree(found)
        shutil.rmtree(self._places.folder / UNPACKED, ignore_errors=True)
        (self._places.folder / INCOMING).unlink(missing_ok=True)

    def _read_ledger(self) -> Ledger:
        """A ledger that can't be read is of no version of ours: the package's own is in force."""
        try:
            raw = updates.read(self._places.folder / LEDGER, updates.LONGEST_TOLD_BYTES)
            found = msgspec.json.decode(raw, type=Ledger)
        except (UpdateError, msgspec.DecodeError, UnicodeDecodeError):
            return Ledger()
        is_there = not found.env or (self._places.folder / found.env / "bin").is_dir()
        return found if is_there else msgspec.structs.replace(found, env="", package="", trial=None)

    def _note(self, **changed: object) -> None:
        self._write(msgspec.structs.replace(self._ledger, **changed))

    def _write(self, ledger: Ledger) -> None:
        """On disk, and then said to whoever asks."""
        whole.write(self._places.folder / LEDGER, msgspec.json.encode(ledger), 0o644)
        self._ledger = ledger
        told = Told(
            number=ledger.number,
            running=ledger.package,
            trial=ledger.trial.package if ledger.trial is not None else "",
            refused=ledger.refused,
            why=ledger.why,
        )
        whole.write(self._places.folder / updates.TOLD, msgspec.json.encode(told), 0o644)


def main() -> None:
    """Called by vaora-update.service, with `booted` by vaora-trial.service at each start of the
    machine, and with `installed` by the package's postinst.
    """
    parser = argparse.ArgumentParser(prog="vaora-update", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "booted", "installed"),
                        default="run")  # fmt: skip
    parser.add_argument("--settings", type=Path, default=settings.DEFAULT_FILE)
    parser.add_argument("--well", type=float, default=Limits().well_s, metavar="SECONDS",
                        help="how long a version must be well to pass its trial")  # fmt: skip
    parser.add_argument("--longest", type=float, default=Limits().longest_s, metavar="SECONDS",
                        help="how long its trial lasts at most")  # fmt: skip
    parser.add_argument("--rehearsal", type=float, default=rehearsal.LONGEST_S, metavar="SECONDS",
                        help="how long its rehearsal may take")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"vaora-update, version {VERSION}")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    stopped = stop_signals()
    try:
        limits = Limits(asked.well, asked.longest)
        if asked.what != "run":
            # Whatever is wrong with the settings.
            updater = _updater(None, limits, stopped, asked.rehearsal)
            updater.installed() if asked.what == "installed" else updater.booted()
        else:
            _updater(asked.settings, limits, stopped, asked.rehearsal).run()
    except (OSError, SettingsError, SignedListError) as error:
        sys.exit(f"Error: {error}")


def _updater(
    settings_file: Path | None, limits: Limits, stopped: Event, rehearsal_s: float
) -> Updater:
    """Raises `SettingsError`, `SignedListError`."""
    loaded = settings.load(settings_file) if settings_file else Settings()
    clock, file = SystemClock(), settings_file or settings.DEFAULT_FILE

    def rehearse(programs: Path) -> None:
        took_s = rehearsal.rehearse(Programs(programs), loaded, file, clock, longest_s=rehearsal_s)
        log.info("the rehearsed check-in was settled after %.1f s", took_s)

    return Updater(
        Places(arrived=Path(loaded.kiosk.data_dir) / updates.ARRIVED_FOLDER),
        Machine(PACKAGE, file),
        clock,
        authority=signed_list.public_key(loaded.policy.authority)
        if loaded.policy.authority
        else b"",
        arch=updates.architecture(),
        rehearse=rehearse,
        stopped=stopped,
        limits=limits,
    )


def _short(why: str) -> str:
    return why if len(why) <= LONGEST_WORDS else why[: LONGEST_WORDS - 1] + "…"


if __name__ == "__main__":
    main()
