"""A booted Debian 13 with real systemd, in a container, for the package to be installed in."""

import fcntl
import os
import queue
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo.programs import Line, Program
from tests.system.conftest import wait_until

BOOT_S = 60
STOP_S = 20
COMMAND_S = 120
LOCK = Path(tempfile.gettempdir()) / "vaora-appliance.lock"
SCRIPT = Path(__file__).parent / "boot.sh"


class Console(queue.Queue[Line]):
    """What was shown, and `look` for whoever wants each line at once."""

    def __init__(self, look: Callable[[str], None]) -> None:
        super().__init__()
        self._look = look

    def put(self, item: Line, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._look(item.text)


class Machine:
    """Runs until `close`. `shared` is /mnt/shared inside.

    With `card`, a folder whose files lie over those of `root`, its power can be cut; with `disk`
    it boots from a partition that has what `root` has.
    """

    def __init__(
        self, root: Path, shared: Path, card: Path | None = None, disk: Path | None = None
    ) -> None:
        # One on a host at a time: two would share their control groups.
        self._alone = LOCK.open("w")
        fcntl.flock(self._alone, fcntl.LOCK_EX)
        command = ["unshare", "--mount", "--cgroup", "--propagation", "unchanged"]
        command += [
            "bash",
            str(SCRIPT),
            str(root),
            str(shared),
            *(str(one) for one in (card, disk) if one),
        ]
        self.shared = shared
        self._leader = 0
        self._power_cut = shared / "power-cut"
        self._cut_at: tuple[str, ...] = ()
        self._cut_line = ""
        self._program = Program("machine", command, Console(self._look))
        if card is None:
            self.wait_for_boot()

    def wait_for_boot(self) -> None:
        try:
            wait_until(self._is_booted, BOOT_S, "the machine's boot")
        except AssertionError as error:
            self.close()
            raise AssertionError("\n".join([str(error), *self.said()])) from error

    def cut_power_at(self, *words: str) -> None:
        """Once its console shows one of `words`, end every process in it; it boots again.

        What was written stays. As soon as the line is read, which is some milliseconds later.
        """
        self._cut_at = words

    def cut_power(self) -> None:
        """End every process in it, now; it boots again with what was written."""
        self._power_cut.touch()
        os.kill(self._first_process(), signal.SIGKILL)
        wait_until(lambda: not self._power_cut.exists(), STOP_S, "the end of every process")
        self.wait_for_boot()

    def wait_for_cut(self, patience_s: float) -> str:
        """The line at which the power was cut."""
        try:
            wait_until(lambda: not self._cut_at, patience_s, f"the word {self._cut_at}")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.said()])) from error
        wait_until(lambda: not self._power_cut.exists(), STOP_S, "the end of every process")
        return self._cut_line

    def _look(self, text: str) -> None:
        if any(word in text for word in self._cut_at):
            self._power_cut.touch()
            # The first process of its name space: the kernel ends the others with it.
            os.kill(self._first_process(), signal.SIGKILL)
            self._cut_at, self._cut_line = (), text

    def _first_process(self) -> int:
        """The machine's, as this system numbers it; 0 while there is none."""
        nspawn = _only_child(self._program.process.pid)
        return _only_child(nspawn) if nspawn else 0

    def _is_booted(self) -> bool:
        assert self._program.is_running, "\n".join(self.said())
        self._leader = self._first_process()  # a helper of nspawn's at first
        if not self._leader:
            return False
        # "degraded" where a unit of the container's own can't run: not ours to judge here.
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def said(self) -> list[str]:
        """What its console showed."""
        return [line.text for line in self._program._said.queue]

    def run(
        self, *command: object, check: bool = True, offline: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` inside, as root; `offline`: without any network."""
        enter = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--pid"]
        enter += ["--cgroup", "--net", "--root", "--wd=/", "--"]
        enter += ["unshare", "--net", "--"] if offline else []
        ended = subprocess.run(
            [*enter, *map(str, command)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        if check:
            assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def log(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Put a file there."""
        beside = self.shared / "written"
        beside.write_text(text, encoding="utf-8")
        self.run("install", "-D", f"--mode={mode}", "/mnt/shared/written", path)

    def close(self) -> None:
        """End it; everything in it goes with it."""
        leader = self._first_process()
        if self._program.is_running and leader:
            os.kill(leader, signal.SIGRTMIN + 4)  # systemd(1): power off
            end = time.monotonic() + STOP_S
            while self._program.is_running and time.monotonic() < end:
                try:
                    self._program.process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        self._program.kill()
        self._alone.close()


def _only_child(pid: int) -> int:
    """Its only child's id; 0 before there is one. nspawn's is the machine's first process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return int(children[0]) if len(children) == 1 else 0
