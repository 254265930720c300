"""The package for arm64, installed as on a Pi: in a Debian whose programs QEMU runs."""

import hashlib
import os
import shutil
from pathlib import Path

import tests.debian_root as bench
from tests.debian_root import APPLIANCE_PACKAGES, BUILD, RootError, debian, kept, pip, run

HERE = Path(__file__).parent
MADE = BUILD / "arm"
BINFMT = Path("/proc/sys/fs/binfmt_misc")

# By itself QEMU pretends a processor with all that there is, whose pointers' signatures make it
# twenty times as slow. A Pi 4 has a Cortex-A72.
CPU = {"QEMU_CPU": "cortex-a72"}

# With the kernel that the virtual Pi boots.
PACKAGES = (*APPLIANCE_PACKAGES, "linux-image-arm64", "initramfs-tools")

# The C library and Python's half of it, as a wheel by somebody else: PyPI's own has none for this
# Python, and to build one here takes longer than all the rest.
LGPIO = "adafruit-lgpio==0.2.2.0"

MAKING_S = 1800  # a root takes seven minutes: each of its programs is emulated

# QEMU takes SD cards of sizes that are powers of two.
CARD = "4G"


def emulation() -> None:
    """Let this machine's kernel start programs for arm64 by QEMU. Raises `RootError`."""
    qemu = shutil.which("qemu-aarch64-static")
    if qemu is None:
        raise RootError("qemu-aarch64-static is missing; apt install qemu-user-static")
    if os.geteuid() != 0:
        raise RootError("a Debian root is made by root: run the tests once with sudo")
    if not (BINFMT / "register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
    if not (BINFMT / "qemu-aarch64").exists():
        # As Debian's qemu-user-static says it: ELF, 64 bits, little-endian, for AArch64. F: the
        # emulator is opened now, and needs to be in no root.
        magic = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
        mask = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
        line = b":qemu-aarch64:M::" + magic + b":" + mask + b":" + qemu.encode() + b":OCF"
        (BINFMT / "register").write_bytes(line)


def root() -> Path:
    emulation()
    bench.MAKING_S = MAKING_S
    os.environ.update(CPU)
    return debian("arm", PACKAGES, "arm64")


def lgpio() -> Path:
    """A folder with lgpio for the root's Python."""
    options = ["--only-binary=:all:", "--python-version=3.13", "--implementation=cp", "--no-deps"]
    # It asks the Python that installs, and not the one it is for.
    options += ["--platform=manylinux_2_17_aarch64", "--ignore-requires-python"]
    return kept(MADE / LGPIO, lambda folder: pip(["--target", str(folder), *options, LGPIO]))


def installed(package: Path) -> Path:
    """The root with the package in it, installed by dpkg and its own postinst without a network.

    Beside it `install.log`: what was said, and how long it took.
    """
    from_root = root()
    script = HERE / "install.sh"
    digest = hashlib.sha256(package.read_bytes() + script.read_bytes()).hexdigest()[:12]

    def make(folder: Path) -> None:
        words = ["unshare", "--mount", "--net", "--", "sh", str(script)]
        said = run([*words, str(from_root), str(package), str(lgpio()), str(folder)], CPU)
        (folder / "install.log").write_text(said, encoding="utf-8")

    return kept(MADE / f"installed-{digest}-{from_root.name}", make)


def card(installed: Path) -> Path:
    """An SD card for the virtual Pi, of the root that has the package in it."""
    parts = [HERE / name for name in ("card.sh", "report.py")]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]

    def make(folder: Path) -> None:
        words = ["unshare", "--mount", "--", "sh", str(HERE / "card.sh")]
        run([*words, str(installed / "root"), str(HERE), str(folder), CARD], CPU)

    return kept(MADE / f"card-{digest}-{installed.name}", make)


def with_files(disk: Path, copy: Path, files: dict[Path, str]) -> Path:
    """A copy of an ext4 disk with some small files more, by debugfs: nothing is mounted."""
    run(["cp", "--sparse=always", str(disk), str(copy)])
    folders = {str(Path(theirs).parent) for theirs in files.values()}
    commands = [f"mkdir {folder}" for folder in sorted(folders)]
    for ours, theirs in files.items():
        commands += [f"rm {theirs}", f"write {ours} {theirs}"]
    (copy.parent / "commands").write_text("\n".join(commands) + "\n", encoding="utf-8")
    run(["debugfs", "-w", "-f", str(copy.parent / "commands"), str(copy)])
    return copy
