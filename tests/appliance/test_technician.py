"""The technician's page, typed as it stands: from an empty folder to the first confirmed check-in.

Its values are this test's (the broker's name, the image, the card); every other line is the page's.
The card that it writes is put into a machine: what is on its boot partition lies over a booted
Debian 13, in which the real cloud-init finds it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pypdfium2
import pytest

from checkin import settings
from demo.programs import Program, mosquitto_path
from provisioning import disk
from provisioning.boot_partition import BootPartition
from provisioning.packages import NEEDED
from tests import disk_images
from tests.appliance import card
from tests.appliance.conftest import ROOT
from tests.appliance.machine import Machine
from tests.debian_root import BUILD, RootError, kept, run
from tests.system.conftest import wait_until

# What a laptop needs beyond what a kiosk's package carries.
FROM_PYPI = ("fpdf2", "pypdfium2", "pillow", "numpy")

WHEELS = "vaora-package/usr/lib/vaora/wheels"

PAGES = [ROOT / "docs" / name for name in ("technician.md", "technician.vi.md")]
KIOSK = "vaora-kiosk.service"
STEP_S = 60

# What the page's programs would do to this machine: what they ask for is looked at, not done.
SHIMS = {
    "sudo": 'exec "$@"',  # who runs tests of machines is root
    # The programs' own apt-get fetches into a folder, and is let be.
    "apt-get": """
test "$1 $2" = "install -y" || exec /usr/bin/apt-get "$@"
shift 2
dpkg --status "$@" > /dev/null
""",
    "systemctl": 'test "$*" = "restart mosquitto"',
}
# The broker's machine: Debian's own configuration, in folders that nobody else sees.
BROKER = """
set -eu
for place in /etc/mosquitto /var/lib/mosquitto /var/log/mosquitto /run/mosquitto; do
    mkdir -p "$YARD$place" "$place" # the last is made by the service elsewhere
    cp -a "$place/." "$YARD$place"
    chown -R mosquitto: "$YARD$place"
    mount --bind "$YARD$place" "$place"
done
{block}
exec "$MOSQUITTO" -c /etc/mosquitto/mosquitto.conf
"""
INSTALLED = """\
Package: {name}
Status: install ok installed
Architecture: amd64
Version: 99

"""


def blocks(page):
    """What stands in the page's fences: the word behind `sh`, and the lines."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```sh ?(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def plain(block):
    """A block without its remarks, which are in the page's language."""
    return re.sub(r" +#.*", "", block)


def test_both_pages_have_the_same_commands():
    english, vietnamese = ([(word, plain(block)) for word, block in blocks(p)] for p in PAGES)
    assert english == vietnamese
    assert len(english) > 8


class Laptop:
    """A shell that goes on from one block of the page to the next."""

    def __init__(self, home, values, pypi):
        self.home = home
        self._values = values
        shims = home / "shims"
        shims.mkdir()
        for name, does in SHIMS.items():
            (shims / name).write_text(f"#!/bin/sh\nset -eu\n{does}\n")
            (shims / name).chmod(0o755)
        self._env = {
            **os.environ, "HOME": str(home), "LANG": "C.UTF-8", "MOSQUITTO": mosquitto_path(),
            "PATH": f"{shims}:{os.environ['PATH']}:/usr/sbin:/sbin",
            # In place of PyPI: the package's own wheels, and those that it doesn't carry.
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{home}/{WHEELS} {pypi}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore",
        }  # fmt: skip
        self._said_so_far = ""
        self._programs = []

    def types(self, block):
        """What `block` prints. Fails where one of its lines does."""
        script = self._script(f"{block}\ndeclare -p > {self.home}/state.new; pwd > {self.home}/pwd")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], check=False, cwd=self.home, env=self._env,
            capture_output=True, text=True, timeout=STEP_S * 3,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        self._keep_values()
        return done.stdout

    def starts(self, who, block, folder):
        """A terminal of its own, or another machine, in which `block` runs on."""
        script = self._script(block, folder)
        self._programs.append(Program(who, ["env", *self._words(), "bash", "-euc", script]))
        return self._programs[-1]

    def is_broker(self, block, folder, yard):
        script = self._script(BROKER.replace("{block}", block), folder)
        alone = ["unshare", "--mount", "--propagation", "private"]
        words = [*self._words(), f"YARD={yard}"]
        self._programs.append(Program("broker", ["env", *words, *alone, "bash", "-euc", script]))

    def close(self):
        for program in reversed(self._programs):
            program.kill()

    def said(self):
        return [line.text for program in self._programs for line in program._said.queue]

    def _words(self):
        return [f"{name}={value}" for name, value in self._env.items()]

    def _script(self, block, folder=None):
        at = self.home / "pwd"
        cd = folder or (at.read_text().strip() if at.exists() else self.home)
        return f"{self._said_so_far}cd {cd}\n{self._with_values(block)}"

    def _with_values(self, block):
        for name, value in self._values.items():
            block = re.sub(rf"^{name}=\S+", f"{name}={value}", block, flags=re.MULTILINE)
        return block

    def _keep_values(self):
        """The variables that the page set, for the blocks that follow."""
        text = (self.home / "state.new").read_text()
        kept = re.findall(
            rf'^declare -[-x]+ ((?:{"|".join([*self._values, "PATH"])})=".*")$', text, re.MULTILINE
        )
        self._said_so_far = "".join(f"{one}\n" for one in kept)


@pytest.fixture(scope="module")
def page():
    found = {}
    for word, block in blocks(PAGES[0]):
        found.setdefault(word, []).append(block)
    return found


@pytest.fixture(scope="module")
def pypi():
    """A folder with the wheels that the laptop has from PyPI, for this Python."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    words = ["download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]

    def fetch(folder):
        run([sys.executable, "-m", "pip", *words, "--dest", str(folder), *FROM_PYPI])

    try:
        return kept(BUILD / f"laptop-{version}", fetch)
    except RootError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(package, debian_13, pypi, tmp_path_factory):
    """The downloads, the card reader with an empty card, and the laptop."""
    # Not under pytest's own: mosquitto goes on as a user of its own.
    home = tmp_path_factory.mktemp("technician")
    status = (debian_13 / "var" / "lib" / "dpkg" / "status").read_text(encoding="utf-8")
    wanted = [*NEEDED, "python3-picamera2", "python3-lgpio", "systemd-timesyncd"]
    status += "\n" + "".join(INSTALLED.format(name=name) for name in wanted)
    image = disk_images.official(home / "made.img", arch="amd64", status=status, apt_of=debian_13)
    base = disk_images.packed(image, home / "raspios-lite.img.xz")
    image.unlink()
    there = shutil.copy(package, home / package.name)
    values = {
        "BROKER": "localhost", "BASE": base, "PACKAGE": there, "FLEET": home / "fleet",
        "CARD": home / "card.img",
    }  # fmt: skip
    laptop = Laptop(home, values, pypi)
    yield SimpleNamespace(home=home, laptop=laptop, card=home / "card.img", fleet=home / "fleet")
    print("\n".join(laptop.said()[-50:]))
    laptop.close()


def test_the_laptop_and_the_fleet(place, page):
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    values, tools, founding = page[""][:3]
    for block in (values, tools, founding):
        place.laptop.types(block)
    assert (place.fleet / "README.txt").exists()
    (broker,), (central,), (enrol,) = page["broker"], page["central"], page["enrol"]
    yard = place.home / "broker"
    shutil.copytree(place.fleet / "broker", yard / "copy")
    place.laptop.is_broker(broker, yard / "copy", yard)
    shutil.copytree(place.fleet / "central", place.home / "central")
    place.laptop.starts("central", central, place.home / "central")
    place.laptop.starts("enrol", enrol, place.home)


def test_a_list_a_card_and_a_label(place, page):
    inventory, writing = page[""][3:5]
    place.laptop.types(inventory)
    place.laptop.types(writing)
    assert "cong-1" in (place.fleet / "manifest.csv").read_text(encoding="utf-8")
    assert (place.fleet / "labels" / "cong-1.pdf").read_bytes().startswith(b"%PDF")


@pytest.fixture(scope="module")
def door(place, debian_13, tmp_path_factory):
    """The card in a machine, which it makes a kiosk."""
    folder = tmp_path_factory.mktemp("card")
    in_the_machine(place.card, folder)
    frames = folder / "opt" / "frames"
    frames.mkdir(parents=True)
    show(frames, [])
    machine = Machine(debian_13, tmp_path_factory.mktemp("shared"), folder)
    machine.wait_for_boot()
    yield machine
    print("\n".join(machine.said()[-80:]))
    print(machine.run("journalctl", "--no-pager", "-n", 100, check=False).stdout)
    machine.close()


def in_the_machine(card_file, folder):
    """What the card's boot partition holds, as a folder, with a bench's camera and panel."""
    boot = BootPartition(card_file, disk.read(card_file).boot.begin)
    target = folder / "boot" / "firmware"
    target.mkdir(parents=True)
    subprocess.run(
        ["mcopy", "-s", "-i", f"{card_file}@@{disk.read(card_file).boot.begin}", "::/*", target],
        check=True, env={**os.environ, "PATH": disk_images.PATH, "MTOOLS_SKIP_CHECK": "1"},
        capture_output=True,
    )  # fmt: skip
    assert b"[kiosk]" in boot.read("vaora/kiosk.toml")
    toml = target / "vaora" / "kiosk.toml"
    found = settings.parse(toml.read_text(encoding="utf-8"))
    toml.write_text(settings.as_toml(card.on_the_bench(found)), encoding="utf-8")
    cloud = folder / "etc" / "cloud" / "cloud.cfg.d"
    cloud.mkdir(parents=True)
    (cloud / "99_raspberry-pi.cfg").write_text(card.RASPBERRY_PI)


def show(frames, pictures):
    """What the camera sees from now on, again and again: an empty door, then each picture."""
    import cv2
    import numpy as np

    empty = np.full((480, 640), 200, np.uint8)
    for number, picture in enumerate([*pictures, *[empty] * 8]):
        cv2.imwrite(str(frames / f"{number:03}.png"), picture)


def fleet_of(place):
    said = place.laptop.types("vaora-provision fleet --json")
    return {one["kiosk"]: one for one in json.loads(said)["kiosks"]}


def test_it_comes_up_by_itself_and_is_enrolled(place, door, page):
    wait_until(lambda: fleet_of(place)["cong-1"]["online"], STEP_S, "a kiosk that is online")
    assert "cong-1" in place.laptop.types(page[""][5])
    assert not list((door.shared).glob("power-cut"))
    assert door.run("ls", "/boot/firmware/vaora", check=False).returncode != 0


def test_the_first_visitor_is_confirmed(place, door, page):
    place.laptop.types(page[""][6])
    (sheet,) = pypdfium2.PdfDocument(place.fleet / "pass.pdf")
    frames = door.shared / "frames"
    frames.mkdir()
    show(frames, [sheet.render(scale=150 / 72, grayscale=True).to_numpy().squeeze()])
    door.run("sh", "-c", "rm /opt/frames/*; cp /mnt/shared/frames/* /opt/frames/")
    door.run("systemctl", "restart", KIOSK)
    (after,) = page["after"]
    listing = f"cd {place.home}/central\n{after}\ncd - > /dev/null"
    wait_until(lambda: "cong-1" in place.laptop.types(listing), STEP_S, "the central's list")
    said = place.laptop.types(listing)
    assert "pass" in said
    assert "Khách" not in said  # sealed: nobody reads who it was without the central's key
    status = json.loads(door.run("vaora-sync", "status", "--json").stdout)
    wait_until(
        lambda: json.loads(door.run("vaora-sync", "status", "--json").stdout)["waiting"] == 0,
        STEP_S,
        "its confirmation",
    )
    assert status["kiosk"] == "cong-1"
