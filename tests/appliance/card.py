"""The card of one made-up kiosk, as a folder: what lies on it over the operating system.

What the fleet puts on the boot partition, a package to be installed first, and how Raspberry Pi OS
tells cloud-init where its seed is. Only camera and panel differ from a real kiosk's settings.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

from checkin import settings
from checkin.claim import Token
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from tests.appliance.conftest import ROOT
from tests.fleet import MadeUpFleet

KIOSK, CHECKPOINT = "k1", "cp"
SCRIPT = ROOT / "provisioning" / "first_boot" / "first-boot.sh"
IDENTITY = "/var/lib/vaora-identity"

# /etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg of rpi-cloud-init-mods.
RASPBERRY_PI = """\
datasource_list: [NoCloud, None]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
"""

USER_DATA = """\
#cloud-config
hostname: k1
users: []
bootcmd:
- [sh, /boot/firmware/vaora/first-boot.sh]
"""

# The network of the machine that this runs on is not cloud-init's to configure.
NETWORK = "network:\n  config: disabled\n"

WIFI = "not-really-a-password"


def make(folder: Path, fleet: MadeUpFleet, package: Path, token: Token, claim_pem: bytes) -> None:
    """Fill `folder`, which is made."""
    boot = folder / "boot" / "firmware"
    seed = boot / "vaora"
    (seed / "packages").mkdir(parents=True)
    cloud = folder / "etc" / "cloud" / "cloud.cfg.d"
    cloud.mkdir(parents=True)
    (cloud / "99_raspberry-pi.cfg").write_text(RASPBERRY_PI)
    (boot / "user-data").write_text(f"{USER_DATA}# {WIFI}\n")
    (boot / "meta-data").write_text("instance-id: k1-1\n")
    (boot / "network-config").write_text(NETWORK)
    shutil.copy(SCRIPT, seed)
    shutil.copy(package, seed / "vaora.deb")
    needed(seed / "packages")
    debs = [*(seed / "packages").iterdir(), seed / "vaora.deb"]
    (seed / "packages.sha256").write_text(
        "".join(f"{_sha256(deb)}  {deb.relative_to(seed)}\n" for deb in debs)
    )
    (seed / "kiosk.toml").write_text(settings.as_toml(_settings(fleet)))
    shutil.copy(fleet.folder.ca, seed / "ca.pem")
    (seed / "claim.pem").write_bytes(claim_pem)
    (seed / "claim.token").write_text(f"{token.text}\n")


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


def _settings(fleet: MadeUpFleet) -> Settings:
    return Settings(
        seal=fleet.folder.seal_public.read_text().strip(),
        kiosk=Kiosk(id=KIOSK, checkpoint=CHECKPOINT),
        door=Door(hold_off_s=1),
        camera=Camera(source="replay", path="/opt/frames", repeat=True),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(min_free_mb=1),
        broker=Broker(
            host="127.0.0.1",
            port=fleet.settings.broker_port,
            ca_file="/etc/vaora/ca.pem",
            cert_file=f"{IDENTITY}/kiosk.pem",
            key_file=f"{IDENTITY}/kiosk.pem",
            wait_initial_s=0.2,
            wait_max_s=1.0,
            answer_s=3.0,
        ),
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
