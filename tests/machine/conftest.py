"""The package, a virtual machine with it on its disk, and what the machine is told to be."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from checkin import settings
from checkin.seal import CentralKey, new_private_key
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from tests.debian_root import RootError
from tests.machine import made
from tests.machine.machine import Machine

ROOT = Path(__file__).parents[2]
NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86", "musl-gcc": "musl-tools", "cpio": "cpio",
    "dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "lintian": "lintian",
}  # fmt: skip
BUILD_S = 300

# As hardware.md wires them.
PANEL = Panel(amber_pin=24, buzzer="active", direction_button_pin=5, test_button_pin=6, lamp_pin=23)
WIRED = Settings(
    seal=CentralKey(new_private_key()).public,
    kiosk=Kiosk(id="k1", checkpoint="cp"),
    # Longer than the disk is held: a visitor who stands there all the time is one.
    door=Door(hold_off_s=60, direction="button"),
    camera=Camera(source="replay", path="/opt/frames", repeat=True, fps=5),
    panel=PANEL,
    outbox=settings.Outbox(min_free_mb=1),
    # Inside the machine, where a test starts one.
    broker=Broker(
        host="127.0.0.1", port=1883, tls=False, confirm="broker", wait_initial_s=0.5, wait_max_s=2
    ),
)


@pytest.fixture(scope="session")
def package():
    """The package of these sources; or the one that VAORA_DEB names."""
    missing = [package for tool, package in NEEDED.items() if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"missing here: apt install {' '.join(missing)}")
    named = os.environ.get("VAORA_DEB")
    if named:
        return Path(named)
    done = subprocess.run(
        ["sh", "debian/build.sh", "amd64"],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.split()[-1]


@pytest.fixture(scope="session")
def root(package):
    try:
        return made.root()
    except RootError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def machine(root, package, tmp_path_factory):
    """Booted, with the kiosk's programs stopped until a test has made its settings."""
    installed, folder = made.installed(root, package), tmp_path_factory.mktemp("machine")
    disks = [installed / name for name in ("disk.img", "data.img")]
    booted = Machine(folder, made.kernel(root), made.first_disk(root), *disks)
    try:
        print(f"booted in {booted.boot():.0f} s: {booted.run('uname', '-r').strip()}")
        booted.run("systemctl", "stop", "vaora.target")
        yield booted
        # Shown by pytest where a test failed: what the programs logged goes with the machine.
        print(booted.run("journalctl", "--no-pager", "-n", 150, "-u", "vaora-*", check=False))
    finally:
        print(re.sub(r"[^\n[:print:]]", "", booted.console()[-2000:]))
        booted.close()
