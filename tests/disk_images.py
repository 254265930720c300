"""A disk image laid out as an official one, small and made in a second: Debian's own in miniature.

MBR; a FAT32 to boot from at 8 MiB, `bootfs`; an ext4 `rootfs`. Root has what we look at in one:
os-release, dpkg's list, a program whose head tells the machine, apt's sources and keys.
"""

import lzma
import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

MIB = 1024 * 1024
BOOT_AT = 8 * MIB
BOOT_BYTES = 128 * MIB  # the official has 512; ours, as a real package, takes 72
SMALL = 36 * MIB  # a FAT32 can be hardly smaller; for whoever puts little on it
ROOT_BYTES = 32 * MIB

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

# As trixie's: stage1 of pi-gen, with the words that its first boot looks for.
COMMAND_LINE = {
    "trixie": "console=serial0,115200 console=tty1 root=PARTUUID=5ec2ab1e-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait quiet resize\n",
    "bookworm": "console=serial0,115200 console=tty1 root=PARTUUID=5ec2ab1e-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n",
}
CONFIG = """\
# For more options and information see http://rptl.io/configtxt
dtparam=audio=on
camera_auto_detect=1

[cm5]
dtoverlay=dwc2,dr_mode=host

[all]
"""
OS_RELEASE = """\
PRETTY_NAME="Debian GNU/Linux {number} ({name})"
NAME="Debian GNU/Linux"
VERSION_ID="{number}"
VERSION_CODENAME={name}
ID=debian
"""
NUMBERS = {"trixie": 13, "bookworm": 12, "bullseye": 11}
MACHINES = {"arm64": 183, "amd64": 62, "armhf": 40}

STATUS = """\
Package: dpkg
Status: install ok installed
Architecture: {arch}
Version: 1.22.21

"""

# A kiosk's seed, for whoever has no fleet at hand: made-up secrets in the places of real ones.
KEY = "-----BEGIN PRIVATE KEY-----\nMADEUP{}\n-----END PRIVATE KEY-----\n"
SEED = {
    "user-data": b"#cloud-config\nhostname: door-1\n",
    "meta-data": b"instance-id: door-1\n",
    "network-config": b"version: 2\n",
    "vaora/first-boot.sh": b"#!/bin/sh\n",
    "vaora/kiosk.toml": b'seal = "off"\n[kiosk]\nid = "door-1"\n[panel]\namber_pin = 24\n'
    b"test_button_pin = 6\n",
    "vaora/claim.pem": KEY.format("CLAIM").encode(),
    "vaora/claim.token": b"VT1-MADEUP\n",
}
PACKAGES = {
    "vaora/vaora.deb": b"a package" * 300_000,
    "vaora/packages/busybox_1%3a1.37.0-6+b9_arm64.deb": b"another",
    "vaora/packages.sha256": b"checksums\n",
}


def run(*command, given=b""):
    done = subprocess.run(
        command, input=given, capture_output=True, env={**os.environ, "PATH": PATH}, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def need_tools():
    """Skip where images can't be made: on another system than Debian's."""
    for name in ("sfdisk", "mcopy", "mke2fs", "debugfs", "mkfs.fat", "dpkg-deb"):
        if shutil.which(name, path=PATH) is None:
            pytest.skip(f"{name} isn't installed: images are made with it (setup.sh benches)")


def elf_head(arch):
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0" + MACHINES[arch].to_bytes(2, "little")


def root_folder(folder, *, release="trixie", arch="arm64", status=None):
    """The few files of a root that are looked at, as a folder."""
    for name, content in {
        "usr/lib/os-release": OS_RELEASE.format(name=release, number=NUMBERS[release]),
        "var/lib/dpkg/status": status or STATUS.format(arch=arch),
        "etc/fstab": "PARTUUID=5ec2ab1e-02 / ext4 defaults,noatime 0 1\n",
        "etc/hostname": "raspberrypi\n",
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (folder / "etc" / "os-release").symlink_to("../usr/lib/os-release")
    (folder / "usr" / "bin").mkdir(parents=True)
    (folder / "usr" / "bin" / "dpkg").write_bytes(elf_head(arch))
    return folder


def official(
    file,
    *,
    release="trixie",
    arch="arm64",
    status=None,
    apt_of=None,
    label="dos",
    boot_bytes=BOOT_BYTES,
):
    """Make the image `file`; `apt_of` is a real root whose apt settings and keys it gets."""
    need_tools()
    with tempfile.TemporaryDirectory() as name:
        yard = Path(name)
        root = root_folder(yard / "root", release=release, arch=arch, status=status)
        if apt_of is not None:
            shutil.copytree(apt_of / "etc" / "apt", root / "etc" / "apt", symlinks=True)
            shutil.copytree(
                apt_of / "usr" / "share" / "keyrings",
                root / "usr" / "share" / "keyrings",
                symlinks=True,
            )
        boot = yard / "boot.img"
        with boot.open("wb") as made:
            made.truncate(boot_bytes)
        run("mkfs.fat", "-F", "32", "-n", "bootfs", "-i", "5ec2ab1e", str(boot))
        files = {
            "cmdline.txt": COMMAND_LINE.get(release, COMMAND_LINE["bookworm"]),
            "config.txt": CONFIG,
            "bcm2711-rpi-4-b.dtb": "a device tree\n",
            "kernel8.img": "a kernel\n",
            "user-data": "#cloud-config\n# the OS's own example\n",
            "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
            "network-config": "# the OS's own example\n",
        }
        for each, text in files.items():
            (yard / each).write_text(text)
        run("mcopy", "-i", str(boot), *(str(yard / each) for each in files), "::/")
        filled = yard / "root.img"
        with filled.open("wb") as made:
            made.truncate(ROOT_BYTES)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "rootfs", "-d", str(root), str(filled))
        _put_together(file, boot, filled, label, boot_bytes)
    return file


def _put_together(file, boot, root, label, boot_bytes):
    types = {"dos": ("c", "83"), "gpt": ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "L")}[label]
    with file.open("wb") as made:
        made.truncate(BOOT_AT + boot_bytes + ROOT_BYTES + (MIB if label == "gpt" else 0))
    table = f"label: {label}\n" + ("label-id: 0x5ec2ab1e\n" if label == "dos" else "")
    table += f"start={BOOT_AT // 512}, size={boot_bytes // 512}, type={types[0]}\n"
    table += f"start={(BOOT_AT + boot_bytes) // 512}, size={ROOT_BYTES // 512}, type={types[1]}\n"
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(file), given=table.encode())
    for source, at in ((boot, BOOT_AT), (root, BOOT_AT + boot_bytes)):
        run("dd", f"if={source}", f"of={file}", f"seek={at // MIB}", "bs=1M", "conv=notrunc,sparse")


def packed(image, into):
    """`image` as it is downloaded: an .xz, and its checksum beside it."""
    into.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    beside = into.with_name(f"{into.name}.sha256")
    beside.write_text(f"{sha256(into.read_bytes()).hexdigest()}  {into.name}\n")
    return into
