"""The power goes under the installed kiosk: the package's own programs, on a disk that forgets.

In the Debian 13 of the appliance's bench, by the environment that the package made there. The
whole kiosk dies at once, the disk forgets what was not flushed, and the kiosk starts again.
"""

import random
import re
import sys
import time
from pathlib import Path

import pytest

from checkin import settings
from checkin.settings import Camera, Kiosk, Panel, Settings
from checkin.settings import Door as DoorSettings
from demo.programs import Program
from tests.appliance.conftest import debian_13, package, tools  # noqa: F401  fixtures
from tests.power.test_power_cuts import CUTS, PATIENCE_S, look
from tests.system.conftest import code_frames, wait_until
from tests.system.test_nothing_lost import drain

FRAMES = 300
LONGEST_S = 0.4  # from the first check-in to the cut
CUTS_AT_NORMAL = max(5, CUTS // 10)

INSTALL = """
set -e
dpkg --force-all --unpack /opt/vaora.deb > /dev/null 2>&1
/usr/lib/vaora/install-environment "$(dpkg-query -Wf '${Version}' vaora)"
"""

# The installed kiosk with one thing changed: its outbox flushes as WAL usually does.
NORMAL = """
from checkin.outbox import Outbox
from kiosk.__main__ import main

begin = Outbox._begin

def begin_at_normal(self, **how):
    begin(self, **how)
    self._db.execute("pragma synchronous = normal")

Outbox._begin = begin_at_normal
main()
"""


@pytest.fixture(scope="module")
def programs(package, debian_13, tmp_path_factory):  # noqa: F811
    """/usr/lib/vaora as the package leaves it."""
    made = tmp_path_factory.mktemp("installed")
    inside = Inside(debian_13, tmp_path_factory.mktemp("mounts"))
    ended = inside.run(
        [("--share", made, "/usr/lib/vaora"), ("--show", package, "/opt/vaora.deb")],
        "sh", "-c", INSTALL,
    )  # fmt: skip
    assert ended.wait(120) == 0, drain(ended._said)
    return made


class Inside:
    """Runs commands in a Debian that is as new each time, but for what is shown to it."""

    def __init__(self, root, workshop):
        self._root, self._workshop = root, workshop

    def run(self, shown, *command):
        words = [f"{how}={ours}:{theirs}" for how, ours, theirs in shown]
        enter = [sys.executable, "-m", "tests.real_libraries.in_root", *words]
        return Program("kiosk", [*enter, str(self._root), str(self._workshop), *command])


@pytest.fixture
def door(debian_13, programs, disk, tmp_path):  # noqa: F811
    """Starts the installed kiosk on `disk`."""
    made = tmp_path / "inside"
    made.mkdir()
    code_frames(made / "frames", FRAMES)
    wanted = Settings(
        seal="off",
        kiosk=Kiosk(id="k1", checkpoint="cp"),
        door=DoorSettings(hold_off_s=1),
        camera=Camera(source="replay", path="/opt/frames", fps=120, repeat=True),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(min_free_mb=0),
    )
    (made / "kiosk.toml").write_text(settings.as_toml(wanted), encoding="utf-8")
    (made / "normal.py").write_text(NORMAL)
    workshop = tmp_path / "workshop"
    workshop.mkdir()
    inside = Inside(debian_13, workshop)
    shown = [
        ("--show", programs, "/usr/lib/vaora"),
        ("--show", made / "frames", "/opt/frames"),
        ("--show", made / "normal.py", "/opt/normal.py"),
        ("--show", made / "kiosk.toml", "/etc/vaora/kiosk.toml"),
        ("--share", disk.mount, "/var/lib/vaora"),
    ]
    bin_ = "/usr/lib/vaora/current/bin"

    def start(*, at_normal=False):
        program = [f"{bin_}/python", "/opt/normal.py"] if at_normal else [f"{bin_}/vaora-kiosk"]
        return inside.run(shown, *program, "run")

    return start


def greens(lines):
    """The numbers of the check-ins that the kiosk said were on disk, before it lit green."""
    found = [re.search(r"check-in (\d+) on disk", line.text) for line in lines]
    return [int(match[1]) for match in found if match]


def cut(kiosk, disk, chance):
    """Take the power away a while after the first check-in; the numbers that were said."""
    lines = []
    try:
        wait_until(
            lambda: lines.extend(drain(kiosk._said)) or greens(lines) or not kiosk.is_running,
            PATIENCE_S,
            "a check-in",
        )
        time.sleep(chance.uniform(0, LONGEST_S))  # noqa: TID251  chance is the point
        assert kiosk.is_running, [line.text for line in lines + drain(kiosk._said)]
    finally:
        kiosk.kill()
    disk.cut()
    for shared in Path(disk.mount).glob("*-shm"):  # memory, which a reboot empties
        shared.unlink()
    return greens(lines + drain(kiosk._said))


def test_no_cut_takes_a_green_of_the_installed_kiosk(disk, door, capsys):
    chance = random.Random(20261124)
    file = disk.mount / "outbox.db"
    shown = before = 0
    for number in range(CUTS):
        said = cut(door(), disk, chance)
        rows = look(file).appended
        # At most the one whose line was cut off.
        assert rows - 1 <= said[-1] <= rows, f"cut {number}"
        assert said == list(range(before + 1, said[-1] + 1)), f"cut {number}"
        before = rows
        shown += len(said)
    with capsys.disabled():
        print(f"\n{CUTS} power cuts of the installed kiosk, {shown} check-ins said, 0 lost")
    assert shown >= CUTS


def test_at_normal_the_installed_kiosk_loses_some(disk, door, capsys):
    chance = random.Random(3)
    file = disk.mount / "outbox.db"
    shown = gone = 0
    for _ in range(CUTS_AT_NORMAL):
        said = cut(door(at_normal=True), disk, chance)
        found = look(file)
        gone += len([seq for seq in said if seq not in found.rows])
        shown += len(said)
    with capsys.disabled():
        print(f"\n{CUTS_AT_NORMAL} power cuts at NORMAL, {shown} check-ins said, {gone} lost")
    assert gone > 0
