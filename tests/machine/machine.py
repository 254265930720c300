"""A virtual PC under software emulation, with the package on its disk and a watchdog of its own.

Never with KVM, even where it is there: stock kernels die under a nested one, and a bench is to do
the same everywhere.
"""

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.programs import Program

# Two cores of some 2009: older ones lack what numpy's wheels are built for, newer ones have what
# is slow to emulate.
CPU, CPUS, MEMORY_MB = "Nehalem", 2, 1024

BOOT_S = 300
COMMAND_S = 180
ANSWER_S = 60
AGAIN_S = 0.2  # each look costs the machine some of its own time
STOP_S = 60
WRITTEN_BYTES = 256 * 1024  # of a file in one message to the agent


def until(true: Callable[[], bool], patience_s: float, what: str) -> None:
    """Look again and again whether it is true."""
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, f"not in {patience_s} s: {what}"
        threading.Event().wait(AGAIN_S)


@dataclass(frozen=True)
class Ended:
    """A command that ran in the machine."""

    status: int
    stdout: str
    stderr: str


class Line:
    """JSON, an object a line, over a unix socket: QEMU's own language and its guest agent's."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._read = b""

    def tell(self, told: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(told).encode() + b"\n")

    def hear(self, patience_s: float) -> dict[str, Any] | None:
        """The next object; None where none came in time."""
        end = time.monotonic() + patience_s
        while b"\n" not in self._read:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                return None
            if not more:
                raise ConnectionError("the machine hung up")
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        heard: dict[str, Any] = json.loads(line.lstrip(b"\xff"))
        return heard

    def close(self) -> None:
        self._socket.close()


class Machine:
    """Booted by `boot`; what is written to its disks is gone at `close`.

    A reset boots it anew with the disks as they were then.
    """

    def __init__(self, folder: Path, kernel: Path, first: Path, disk: Path, data: Path) -> None:
        self._console = folder / "console"
        qmp, agent = folder / "qmp", folder / "agent"
        words = "console=ttyS0 root=/dev/vda rw quiet mitigations=off net.ifnames=0"
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"]
        command += ["-cpu", CPU, "-smp", str(CPUS), "-m", str(MEMORY_MB)]
        command += ["-nodefaults", "-display", "none", "-serial", f"file:{self._console}"]
        command += ["-kernel", str(kernel), "-initrd", str(first), "-append", words]
        for name, file in (("d0", disk), ("d1", data)):
            drive = f"file={file},format=raw,if=none,id={name},snapshot=on"
            command += ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]
        command += ["-device", "i6300esb", "-device", "virtio-rng-pci"]
        command += ["-device", "virtio-serial-pci", "-chardev"]
        command += [f"socket,id=agent,path={agent},server=on,wait=off", "-device"]
        command += ["virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
        command += ["-qmp", f"unix:{qmp},server=on,wait=off"]
        self._program = Program("machine", ["nice", "-n", "5", *command])
        until(lambda: qmp.exists() and agent.exists(), ANSWER_S, "QEMU")
        self._qmp, self._agent = Line(qmp), Line(agent)
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._asked = 0
        self._qmp.tell({"execute": "qmp_capabilities"})

    def boot(self) -> float:
        """Wait until the machine has started its units; return how many seconds it took."""
        began = time.monotonic()
        until(self._answers, BOOT_S, f"the machine's boot; it said: {self.console()[-2000:]}")
        self.run("systemctl", "is-system-running", "--wait", check=False)
        return time.monotonic() - began

    def _answers(self) -> bool:
        """Whether the agent in the machine answers; what it had still to say is passed over."""
        assert self._program.is_running, "QEMU ended"
        self._asked += 1
        self._agent.tell({"execute": "guest-sync", "arguments": {"id": self._asked}})
        end = time.monotonic() + 2
        while time.monotonic() < end:
            heard = self._agent.hear(1)
            if heard is not None and heard.get("return") == self._asked:
                return True
        return False

    def console(self) -> str:
        """What the kernel and systemd said."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def start(self, *command: object, given: bytes = b"") -> int:
        """Begin a command as root; the number is for `ended`."""
        path, *words = map(str, command)
        arguments = {
            "path": path,
            "arg": words,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"],
            "capture-output": True,
            "input-data": base64.b64encode(given).decode(),
        }
        return int(self._ask("guest-exec", arguments)["pid"])

    def ended(self, number: int, patience_s: float = COMMAND_S) -> Ended:
        """Wait for a command's end."""
        told: dict[str, Any] = {}

        def has_ended() -> bool:
            told.update(self._ask("guest-exec-status", {"pid": number}))
            return bool(told["exited"])

        until(has_ended, patience_s, "the end of a command in the machine")
        out, err = (
            base64.b64decode(told.get(name, "")).decode(errors="replace")
            for name in ("out-data", "err-data")
        )
        return Ended(told.get("exitcode", -1), out, err)

    def run(self, *command: object, check: bool = True, given: bytes = b"") -> str:
        """What a command says, as root."""
        done = self.ended(self.start(*command, given=given))
        if check:
            assert done.status == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def status(self, *command: object) -> int:
        return self.ended(self.start(*command)).status

    def _ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._agent.tell({"execute": what, "arguments": arguments})
        heard = self._agent.hear(ANSWER_S)
        assert heard is not None, f"the machine doesn't answer {what}"
        assert "return" in heard, heard
        told: dict[str, Any] = heard["return"]
        return told

    def show(self, unit: str, name: str) -> str:
        """One property of a unit; of systemd itself where `unit` is empty."""
        of = [unit] if unit else []
        return self.run("systemctl", "show", "--value", "--property", name, *of).strip()

    def log(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "--boot", "--unit", unit)

    def write(self, path: str, content: str | bytes) -> None:
        """Put a file there, whole or not at all, and to stay there after a reset."""
        data = content.encode() if isinstance(content, str) else content
        assert len(data) <= WRITTEN_BYTES
        script = (
            'mkdir -p "${1%/*}"; cat > "$1.new"; sync "$1.new"; mv "$1.new" "$1"; sync "${1%/*}"'
        )
        self.run("sh", "-euc", script, "sh", path, given=data)

    def event(self, name: str, patience_s: float) -> tuple[float, dict[str, Any]]:
        """Wait for QEMU to say that something happened to the machine; when it did, and what."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            heard = self._qmp.hear(end - time.monotonic())
            if heard is None:
                break
            if "event" in heard:
                stamp = heard["timestamp"]
                at = stamp["seconds"] + stamp["microseconds"] / 1e6
                self.events.append((at, heard))
                if heard["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"no {name} in {patience_s} s; it said {self.console()[-2000:]}")

    def close(self) -> None:
        """End it as one pulls a plug; nothing of it is kept."""
        for line in (self._qmp, self._agent):
            line.close()
        self._program.process.terminate()  # QEMU ends at once, and so do its temporary disks
        try:
            self._program.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
