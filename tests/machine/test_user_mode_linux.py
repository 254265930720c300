"""A real kernel's ext4 loses its power: no row that was lit green is lost with it.

The kernel is Debian's user-mode Linux, on a disk image of its own: killed, it forgets what its
page cache and its journal still held, as a Pi's does. The disk itself forgets nothing and writes
in order; `tests/power/` has one that doesn't.
"""

import os
import random
import shutil
import sys
import time

import pytest

from demo.programs import Program
from tests.debian_root import RootError, run
from tests.machine import made
from tests.machine.conftest import ROOT
from tests.power.test_power_cuts import Told, look, lost
from tests.system.conftest import wait_until
from tests.system.test_nothing_lost import drain

CUTS = int(os.environ.get("MACHINE_CUTS", "20"))
CUTS_AT_NORMAL = max(5, CUTS // 4)
DISK_MB = 256
LONGEST_S = 1.5  # from the first green to the cut
PATIENCE_S = 90


class Power:
    """A disk, and a Linux that is started on it again and again."""

    def __init__(self, folder, root, vaora, linux):
        self._folder = folder
        self._disk, self.found = folder / "disk" / "data.img", folder / "found"
        for part in (self._disk.parent, self.found, folder / "workshop"):
            part.mkdir()
        run(["truncate", f"--size={DISK_MB}M", str(self._disk)])
        run(["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0", str(self._disk)])
        shows = {linux: "/srv/linux", made.HERE: "/srv/bench", vaora: "/usr/lib/vaora"}
        # Of the project only the tests: its code is the package's.
        shows[ROOT / "tests"] = "/srv/project/tests"
        self._options = [f"--show={ours}:{theirs}" for ours, theirs in shows.items()]
        for ours, theirs in ((self._disk.parent, "/srv/disk"), (self.found, "/srv/found")):
            self._options.append(f"--share={ours}:{theirs}")
        self._root = root

    def start(self, door):
        """Boot; `door` are the words for tests/power/door.py."""
        words = "mem=256M root=none rootfstype=hostfs rw quiet init=/srv/bench/under_uml.sh"
        words += " con=null con0=fd:0,fd:1 ubd0=/srv/disk/data.img uml_dir=/tmp"
        (self._disk.parent / "door").write_text(str(door))
        linux = f"env TMPDIR=/tmp /srv/linux {words}; true"
        # In a process name space of its own: its first process takes all others with it.
        command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--", sys.executable]
        command += ["-m", "tests.real_libraries.in_root", *self._options, str(self._root)]
        return Program("linux", [*command, str(self._folder / "workshop"), "/bin/sh", "-c", linux])

    def serve_and_cut(self, chance, synchronous=""):
        """Serve a door until the power goes; what it found first, and what it told."""
        seed = chance.getrandbits(32)
        linux = self.start(f"{seed} --synchronous {synchronous}" if synchronous else seed)
        lines = []
        self._wait(linux, lines, "green")
        time.sleep(chance.uniform(0, LONGEST_S))  # noqa: TID251  chance is the point
        return self._cut(linux, lines)

    def only_look(self):
        """Boot without a door, for what the last cut left."""
        linux, lines = self.start("off"), []
        self._wait(linux, lines, "found")
        return self._cut(linux, lines)

    def _wait(self, linux, lines, word):
        wait_until(
            lambda: (
                lines.extend(line.text for line in drain(linux._said))
                or any(text.startswith((word, "trouble")) for text in lines)
                or not linux.is_running
            ),
            PATIENCE_S,
            f"a Linux that says {word}",
        )
        said = "\n".join(lines[-30:])
        assert not any(text.startswith("trouble") for text in lines), said
        assert any(text.startswith(word) for text in lines), said

    def _cut(self, linux, lines):
        linux.kill()
        lines += [line.text for line in drain(linux._said)]
        said = {word: [] for word in ("green", "settling", "settled")}
        for line in lines[:-1] if lines and not lines[-1].split(" ")[-1].isdecimal() else lines:
            word, _, number = line.partition(" ")
            if word in said and number.isdecimal():
                said[word].append(int(number))
        return Told(said["green"], said["settling"], said["settled"])

    def look(self):
        """What the last boot found on the disk."""
        return look(self.found / "outbox.db")


@pytest.fixture
def power(root, package, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where `python -m tests…` is found
    try:
        linux = made.user_mode_linux()
    except RootError as error:
        pytest.skip(str(error))
    vaora = made.installed(root, package) / "vaora"
    yield Power(tmp_path, root, vaora, linux)
    shutil.rmtree(tmp_path)


def cut_again_and_again(power, cuts, chance, synchronous=""):
    """Told and found of each cut; a cut is looked at by the boot after it."""
    told = power.serve_and_cut(chance, synchronous)
    for number in range(1, cuts + 1):
        after = power.serve_and_cut(chance, synchronous) if number < cuts else power.only_look()
        yield told, power.look()
        told = after


def test_no_cut_of_a_real_kernels_power_takes_a_green(power, capsys):
    shown = settled = settling = 0
    began = time.monotonic()
    cuts = cut_again_and_again(power, CUTS, random.Random(20261122))
    for number, (told, found) in enumerate(cuts):
        assert told.greens
        assert lost(told, found) == [], f"cut {number}"
        settled, settling = max([settled, *told.settled]), max([settling, *told.settling])
        assert settled <= found.confirmed <= settling, f"cut {number}"
        assert found.appended >= told.greens[-1], f"cut {number}"
        shown += len(told.greens)
    took_s = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{CUTS} cuts of a kernel on ext4, {shown} greens, 0 lost; {took_s:.0f} s")


def test_at_normal_a_real_kernel_forgets_greens(power, capsys):
    """Were none lost here, the test above saw nothing."""
    shown = gone = 0
    for told, found in cut_again_and_again(power, CUTS_AT_NORMAL, random.Random(7), "normal"):
        gone += len(lost(told, found))
        shown += len(told.greens)
    with capsys.disabled():
        print(f"\n{CUTS_AT_NORMAL} cuts at NORMAL, {shown} greens, {gone} lost")
    assert gone > 0
