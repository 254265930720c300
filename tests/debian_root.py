"""A Debian 13 as a folder, for benches that need the Pi's operating system: made once, then kept.

What is made lies in `build/`, each folder named by a hash of what went into it. Nobody changes
one: a bench mounts it read-only or under an overlay, in a mount namespace of its own.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import network

BUILD = Path(__file__).parent.parent / "build"
ROOTS = BUILD / "roots"

SUITE = "trixie"  # Raspberry Pi OS of 2025 and later is made of it
PYTHON = "3.13"  # its Python

# Where this machine isn't a Debian and so names no mirror of it.
MIRROR = "http://deb.debian.org/debian"

# One root serves the camera's bench and the appliance's, so that CI builds one only.
APPLIANCE_PACKAGES = (
    # What an appliance boots with.
    "systemd-sysv", "dbus", "udev", "ca-certificates", "openssl", "sqlite3", "tzdata",
    # What Raspberry Pi OS reads a kiosk's seed with, and what first boot makes its disk with.
    "cloud-init", "netplan.io", "cloud-guest-utils", "fdisk", "e2fsprogs",
    # What hardware.md has a technician install. picamera2 itself is Raspberry Pi's, not Debian's.
    "python3", "python3-libcamera", "libcamera-ipa", "libzbar0t64",
    # What picamera2 is built on there. numpy must be the one of the OS.
    "python3-numpy", "python3-pil", "python3-prctl",
)  # fmt: skip

# Nobody reads manuals in a root, and half of its files would be translations.
LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

# What the OS brings in the version that fits it, or what runs nothing; pip fetches it along.
NOT_FROM_PIP = ("numpy*", "setuptools*", "pip*", "_distutils_hack", "distutils-precedence.pth")

MAKING_S = 600  # a root takes half a minute where the mirror is near


class RootError(OSError):
    """It can't be made on this machine; the message says what is missing."""


@functools.cache
def may_mount() -> bool:
    """Whether this user may make mounts of its own: root on most machines, in few containers."""
    words = ["unshare", "--mount", "--cgroup", "--propagation", "unchanged"]
    try:
        run([*words, "mount", "-t", "tmpfs", "none", "/mnt"])
    except RootError:
        return False
    return True


def debian(name: str, packages: Sequence[str], arch: str = "amd64") -> Path:
    """The folder of a Debian with `packages`, made by mmdebstrap unless it is there already.

    Raises `RootError` where that needs somebody else than this user, or a tool or a mirror that
    can't be had.
    """
    options = (*_options(packages), f"--architectures={arch}")

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            raise RootError("a Debian root is made by root: run the tests once with sudo")
        _install_mmdebstrap()
        # In a mount name space of its own: what it mounts ends with it, however it ends.
        alone = 'mount --make-rprivate / 2> /dev/null || true; exec mmdebstrap "$@"'
        apart = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", alone, "sh"]
        run([*apart, *options, *_apts_way(), SUITE, str(folder), _mirror()])

    return kept(ROOTS / f"{name}-{_hash(SUITE, *options)}", make)


def python_packages(name: str, requirements: Sequence[str], *, along: bool = True) -> Path:
    """A folder of Python packages for the root's Python, from PyPI's wheels for it.

    Without `along` what the requirements require isn't fetched. Raises `RootError`.
    """
    machine = os.uname().machine
    options = ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
    # Debian 13 has glibc 2.41, and so runs every wheel up to that.
    options += [f"--platform=manylinux_2_{n}_{machine}" for n in (17, 28, 34)]
    options += [] if along else ["--no-deps"]

    def make(folder: Path) -> None:
        pip(["--target", str(folder), *options, *requirements])
        for pattern in NOT_FROM_PIP:
            for unwanted in folder.glob(pattern):
                shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink()

    return kept(ROOTS / f"{name}-{_hash(*options, *NOT_FROM_PIP, *requirements)}", make)


def pip(words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    run([sys.executable, "-m", "pip", "install", *quiet, *words], env)


def kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` the first time: beside, then renamed. What is there is whole."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent / f".{folder.name}.lock"):
        if folder.is_dir():
            return folder
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            made = beside / "made"
            made.mkdir()
            with network.outside():
                make(made)
            made.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """What `command` says; `RootError` with its last words where it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=MAKING_S,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RootError(f"{command[0]}: {error}") from error
    if done.returncode:
        words = (done.stderr or done.stdout)[-2000:]
        raise RootError(f"{Path(command[0]).name} ended with {done.returncode}: {words}")
    return done.stdout


def _options(packages: Sequence[str]) -> tuple[str, ...]:
    return (
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(sorted(packages))}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",  # an interrupted build is thrown away whole
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEAVE_OUT),
    )


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise RootError("mmdebstrap isn't installed, and there is no apt to install it with")
    run(["apt-get", "-qq", "update"])
    run(["apt-get", "-qq", "install", "--no-install-recommends", "-y", "mmdebstrap"])


def _mirror() -> str:
    """The mirror of Debian that apt uses on this machine."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    for address in run(asked).split():
        if address.rstrip("/").endswith("/debian"):
            return address
    return MIRROR


def _apts_way() -> list[str]:
    """How apt reaches its mirror on this machine: proxies, and how dates are judged."""
    way = re.compile(r"Acquire::(https?::|Check-).* \"[^\"]")
    said = run(["apt-config", "dump"]).splitlines()
    return [f"--aptopt={line}" for line in said if way.match(line)]


def _hash(*inputs: str) -> str:
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:12]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two suites that want the same folder at once: the second waits and finds it made."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
