"""The card of one made-up kiosk, as a folder: what lies on it over the operating system.

What the fleet puts on the boot partition, a package to be installed first, and how Raspberry Pi OS
tells cloud-init where its seed is. Only camera and panel differ from a real kiosk's settings.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from checkin import settings
from checkin.settings import Camera, Panel, Settings
from provisioning import seed
from provisioning.inventory import Place, Wifi
from provisioning.seed import Secrets
from tests.fleet import MadeUpFleet

KIOSK, CHECKPOINT = "k1", "cp"
IDENTITY = "/var/lib/vaora-identity"

# /etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg of rpi-cloud-init-mods.
RASPBERRY_PI = """\
datasource_list: [NoCloud, None]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
"""

# Raspberry Pi OS's tool for pins, by which first boot counts its steps.
PINS = "/var/log/pins"
PINCTRL = f"""\
#!/bin/sh
echo "$@" >> {PINS}
"""

# Sectors of 512 bytes. The boot partition's files lie in a folder: not every kernel has its FAT.
ROOT_START, ROOT_SIZE, DATA_SIZE = 16_384, 2_400_000, 131_072
DISK_MB = 1600
TABLE = f"""\
label: dos
start=8192, size=8192, type=c
start={ROOT_START}, size={ROOT_SIZE}, type=83
start={ROOT_START + ROOT_SIZE}, size={DATA_SIZE}, type=83
"""
TOOLS = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}

# What overlayroot and the OS's initramfs are known by. Nothing of it runs in a container.
OVERLAYROOT = "usr/share/initramfs-tools/scripts/init-bottom/overlayroot"
LSINITRAMFS = "#!/bin/sh\necho scripts/init-bottom/overlayroot\n"

# Where cloud-init puts what the network is reached with, for good.
NETPLAN = "/etc/netplan/50-cloud-init.yaml"
PASSWORD = "not-really-a-password"

PLACE = Place(
    KIOSK, CHECKPOINT, "Cổng chính", "hospital", "Phường Mẫu, Tỉnh Mẫu", "Trần Thị Mẫu",
    "000 000 0000", "in", Wifi("Bệnh viện Mẫu", PASSWORD),
)  # fmt: skip


def make(folder: Path, fleet: MadeUpFleet, package: Path, secrets: Secrets) -> None:
    """Fill `folder`, which is made."""
    files = seed.seed(PLACE, fleet.settings, seed.public_of(fleet.folder), secrets)
    boot = folder / "boot" / "firmware"
    (boot / "vaora" / "packages").mkdir(parents=True)
    for name, content in files.items():
        (boot / name).write_bytes(content)
    toml = boot / "vaora" / "kiosk.toml"
    toml.write_text(settings.as_toml(on_the_bench(settings.parse(toml.read_text()))))
    shutil.copy(package, boot / "vaora" / "vaora.deb")
    needed(boot / "vaora" / "packages")
    sums(boot / "vaora")
    for name, text in (
        ("usr/bin/pinctrl", PINCTRL), ("usr/bin/lsinitramfs", LSINITRAMFS), (OVERLAYROOT, ""),
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    # The network is that of the machine that this runs on, and not cloud-init's to set up.
    units = folder / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    (units / "systemd-networkd.service").symlink_to("/dev/null")
    cloud = folder / "etc" / "cloud" / "cloud.cfg.d"
    cloud.mkdir(parents=True)
    (cloud / "99_raspberry-pi.cfg").write_text(RASPBERRY_PI)


def disk(file: Path, root: Path) -> Path:
    """A disk as an image makes it, with the Debian at `root`, on a card that is larger."""
    file.touch()
    os.truncate(file, DISK_MB * 1024 * 1024)
    subprocess.run(["sfdisk", "--quiet", str(file)], input=TABLE, text=True, check=True, env=TOOLS)
    for start, size, options in (
        (ROOT_START, ROOT_SIZE, ["-L", "rootfs", "-d", str(root)]),
        (ROOT_START + ROOT_SIZE, DATA_SIZE, ["-L", "vaora-data"]),
    ):
        command = ["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={start * 512}", *options]
        subprocess.run([*command, str(file), f"{size // 2}k"], check=True, env=TOOLS)
    return file


def sums(place: Path) -> None:
    debs = [*(place / "packages").iterdir(), place / "vaora.deb"]
    lines = [f"{_sha256(deb)}  {deb.relative_to(place)}\n" for deb in debs]
    (place / "packages.sha256").write_text("".join(lines))


def needed(folder: Path) -> None:
    """Two packages of which one wants the other configured before it is even unpacked."""
    for name, wants in (("a-first", "Pre-Depends: b-second"), ("b-second", "Section: misc")):
        tree = folder.parent / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\n{wants}\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: made up\n"
        )
        command = ["dpkg-deb", "--build", "--root-owner-group", "-z0", str(tree), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        shutil.rmtree(tree)


def on_the_bench(found: Settings) -> Settings:
    """What a machine without a camera and pins needs, and a broker that is met often."""
    return msgspec.structs.replace(
        found,
        door=msgspec.structs.replace(found.door, hold_off_s=1),
        camera=Camera(source="replay", path="/opt/frames", repeat=True),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(min_free_mb=1),
        broker=msgspec.structs.replace(
            found.broker, wait_initial_s=0.2, wait_max_s=1.0, answer_s=3.0
        ),
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
