"""Run inside a unit's own sandbox: try what it must not be able to do, and tell what happened.

Alone, with the system's Python: it is copied into the machine. `probe.py FILE` writes one JSON
object: the name of each attempt, and "done" or the name of the error.
"""

import ctypes
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000  # linux/sched.h
PTRACE_ATTACH = 16  # linux/ptrace.h
LIBC = ctypes.CDLL(None, use_errno=True)

FOLDERS = (
    "/", "/boot", "/dev", "/dev/shm",  # noqa: S108
    "/dev/mqueue", "/etc", "/etc/vaora", "/home", "/mnt/shared",
    "/opt", "/root", "/run", "/run/systemd", "/srv", "/sys", "/usr", "/usr/lib/vaora/current",
    "/usr/local/bin", "/var", "/var/cache", "/var/lib", "/var/log",
    "/var/lib/vaora", "/run/vaora",
)  # fmt: skip
FAMILIES = ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH", "AF_UNIX")


def attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "done"


def call(name: str, *arguments: object) -> None:
    """A call of the C library's, with its error as Python's."""
    if getattr(LIBC, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_in(folder: str) -> None:
    file = Path(folder) / "probe-was-here"
    file.write_text("x")
    file.unlink()


def names(folder: str) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir())


def listen(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()


def status(name: str) -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    return "?"


def found() -> dict[str, object]:
    told: dict[str, object] = {
        f"socket {name}": attempt(
            lambda name=name: socket.socket(getattr(socket, name), socket.SOCK_DGRAM).close()
        )
        for name in FAMILIES
    }
    told |= {
        f"write {folder}": attempt(lambda folder=folder: write_in(folder)) for folder in FOLDERS
    }
    told["listen"] = attempt(lambda: listen(socket.AF_INET))
    told["interfaces"] = names("/sys/class/net")
    told["devices"] = names("/dev")
    told["pretended device"] = attempt(lambda: Path("/dev/gpiochip9").read_bytes())
    told["processes"] = sorted(
        {Path(f"/proc/{pid}").stat().st_uid for pid in names("/proc") if pid.isdecimal()}
    )
    told |= {name: status(name) for name in ("NoNewPrivs", "CapEff", "CapBnd", "Seccomp")}
    told["uid"] = os.getuid()
    told["a set-uid program's uid"] = int(
        subprocess.run(["/usr/local/bin/setuid-id", "-u"], capture_output=True, check=False).stdout
        or -1
    )
    told["unshare"] = attempt(lambda: call("unshare", CLONE_NEWUSER))
    told["mount"] = attempt(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
    told["ptrace"] = attempt(lambda: call("ptrace", PTRACE_ATTACH, 1, None, None))
    told["kill"] = attempt(lambda: os.kill(1, 0))
    told["clock"] = attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
    told["write and run memory"] = attempt(
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    )
    told["shadow"] = attempt(lambda: Path("/etc/shadow").read_bytes())
    told["store of credentials"] = attempt(lambda: Path("/etc/credstore/vaora.key").read_bytes())
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")
    told["credential"] = attempt((Path(credentials) / "vaora.key").read_bytes)
    told["credentials written"] = attempt(lambda: write_in(credentials))
    told["core"] = resource.getrlimit(resource.RLIMIT_CORE)[1]
    Path("/tmp/probe-was-here").write_text("private")  # noqa: S108  to see that nobody else does
    return told


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(found()))
