"""What root's updater asks of the machine: its services, its disk, Debian's tools."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from provisioning.rehearsal import GROUP, SYNC_USER
from provisioning.trial import Seen

KIOSK, SYNC = "vaora-kiosk.service", "vaora-sync.service"

# For what is over in a moment, on a machine that is busy with an update.
QUICK_S = 60.0
# For an environment of all wheels on the slowest card.
ENVIRONMENT_S = 1800.0


class MachineError(OSError):
    """A tool of the system's failed; the message says which and with what words."""


class Machine:
    """The one that runs this. The programs in `package` tell how its kiosk is."""

    def __init__(self, package: Path, settings_file: Path) -> None:
        self._package = package
        self._settings_file = settings_file

    def restart(self) -> None:
        """Begin both services anew, without waiting; one that somebody stopped stays so.

        Their restarts are counted from here on. Raises `MachineError`.
        """
        states = self._services("ActiveState")
        running = [unit for unit, state in states.items() if state != "inactive"]
        if running:
            _run(["systemctl", "reset-failed", *running], check=False)
            _run(["systemctl", "restart", "--no-block", *running])

    def look(self, tick: float) -> Seen:
        """How the kiosk is now, as the package's own program tells it."""
        ended = self.ended_by_themselves()
        asked = [str(self._package / "current/bin/vaora-sync")]
        asked += ["--settings", str(self._settings_file), "status", "--json"]
        try:
            # As the daemon's user: what lies in its folder is opened with no more rights than that.
            said = _run(asked, user=SYNC_USER)
            told = json.loads(said)
            return Seen(
                tick=tick,
                restarts=ended,
                faults=frozenset(told["faults"]),
                online=told["broker"] == "online",
                confirmed=int(told["confirmed"]),
                waiting=int(told["waiting"]),
            )
        except (MachineError, ValueError, KeyError, TypeError):
            return Seen(tick=tick, restarts=ended, faults=None)

    def ended_by_themselves(self) -> tuple[str, ...]:
        """The services that systemd began anew since `restart`."""
        counts = self._services("NRestarts")
        return tuple(unit.removesuffix(".service") for unit, n in counts.items() if n != "0")

    def free_bytes(self, folder: Path) -> int:
        return shutil.disk_usage(folder).free

    def is_older(self, version: str, than: str) -> bool:
        """Whether `version` is an earlier one, as dpkg sees it."""
        return _ended_with(["dpkg", "--compare-versions", version, "lt", than]) == 0

    def unpack(self, package: Path, into: Path) -> tuple[str, str]:
        """The files of `package`, and its name and version. Raises `MachineError`."""
        _run(["dpkg-deb", "--extract", str(package), str(into)], within_s=ENVIRONMENT_S)
        shown = "--showformat=${Package}\n${Version}"
        name, _, version = _run(["dpkg-deb", "--show", shown, str(package)]).partition("\n")
        return name, version.strip()

    def make_environment(self, env: Path, requirements: Path, wheels: list[Path]) -> None:
        """Raises `MachineError`."""
        words = [str(env), str(requirements), *map(str, wheels)]
        _run([str(self._package / "make-environment"), *words], within_s=ENVIRONMENT_S)

    def _services(self, name: str) -> dict[str, str]:
        """A property of each service; none of one that there isn't. Raises `MachineError`."""
        said = _run(["systemctl", "show", f"--property=Id,{name}", KIOSK, SYNC])
        return dict(_properties(said, name))


def _properties(said: str, name: str) -> Iterator[tuple[str, str]]:
    for block in said.strip().split("\n\n"):
        found = dict(line.partition("=")[::2] for line in block.splitlines())
        if name in found:
            yield found["Id"], found[name]


def _ended_with(command: list[str]) -> int:
    return subprocess.run(
        command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=QUICK_S
    ).returncode


def _run(
    command: list[str], *, check: bool = True, user: str | None = None, within_s: float = QUICK_S
) -> str:
    """What `command` says. Raises `MachineError`."""
    name = Path(command[0]).name
    try:
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=within_s,
            user=user,
            group=GROUP if user else None,
            extra_groups=[] if user else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{name}: {error}") from error
    if check and ended.returncode:
        words = (ended.stderr or ended.stdout).strip().splitlines()
        raise MachineError(f"{name}: {words[-1] if words else f'ended with {ended.returncode}'}")
    return ended.stdout
