"""What needs a kernel that mounts: an image looked at by it, and written to a loop device."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning import card, disk, flash, image, official, ranges, raw_disk, tools
from provisioning.raw_disk import RawDiskError
from tests import disk_images
from tests.debian_root import may_mount
from tests.disk_images import PACKAGES, SEED, SMALL


@pytest.fixture(scope="module", autouse=True)
def _kernel_that_mounts():
    if os.geteuid() != 0 or not may_mount() or not Path("/dev/loop-control").exists():
        pytest.skip(
            "needs root, mounts and loop devices; tests/contract has read the same by tools"
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    base = official.look_into(
        disk_images.official(folder / "official.img", boot_bytes=SMALL), "0" * 64
    )
    prepared = image.prepare(base, PACKAGES, "0.1.0", folder / "cache")
    into = folder / "door-1.img"
    image.make(prepared, SEED, into, kiosk="door-1", token="ab", at="2026-11-22T08:00:00Z")
    return into


@contextmanager
def loop(file):
    """`file` as a block device."""
    losetup = tools.find("losetup")
    said = subprocess.run(
        [losetup, "--find", "--show", "--partscan", str(file)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    device = Path(said.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run([losetup, "--detach", str(device)], check=True)


@pytest.fixture
def blank(tmp_path, made):
    """A blank card, a little larger than the image."""
    file = tmp_path / "card"
    with file.open("wb") as opened:
        opened.truncate(made.stat().st_size + 64 * 1024 * 1024)
    with loop(file) as device:
        yield device


def test_the_kernel_mounts_it_and_finds_the_same(made, tmp_path):
    """Not only our tools: the kernel's own filesystems, by a loop device."""
    known = Path("/proc/filesystems").read_text().split()
    expected = {
        1: ("vfat", "cat $0/1/vaora/claim.token", "VT1-MADEUP\n"),
        2: ("ext4", "cat $0/2/etc/hostname", "raspberrypi\n"),
        3: ("ext4", "ls -A $0/3", "lost+found\n"),
    }
    script, shown = "set -e\n", ""
    for partition in disk.read(made).partitions:
        kind, look, found = expected[partition.number]
        if kind not in known:  # a kernel made small, as a container's often is, has no FAT
            continue
        where = f"offset={partition.begin},sizelimit={partition.bytes}"
        script += f"mkdir $0/{partition.number}\n"
        script += f"mount -t {kind} -o ro,loop,{where} $1 $0/{partition.number}\n{look}\n"
        shown += found
    command = ["unshare", "--mount", "sh", "-c", script, str(tmp_path), str(made)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == (shown, "")
    assert "lost+found" in shown


def test_an_image_is_written_to_a_disk_and_read_back(made, blank):
    found = card.look_at(blank)
    assert (found.is_disk, found.is_file, found.used_for) == (True, False, ())
    assert card.refusals(found, made.stat().st_size) == []
    assert card.doubts(found) == ["it is no card in a reader, but built in"]
    what = ranges.meaningful(made, [each.range for each in disk.read(made).partitions])
    done = []
    with raw_disk.opened(blank) as raw:
        flash.put(made, what, raw, disk_bytes=found.bytes, nonce=b"n", progress=done.append)
    assert sum(done) == 2 * sum(map(len, what))
    # The kernel sees a disk of three partitions, of which each is what the image has there.
    assert [p.bytes for p in disk.read(blank).partitions] == [
        p.bytes for p in disk.read(made).partitions
    ]
    boot = disk.read(made).boot.range
    with made.open("rb") as source, blank.open("rb") as written:
        source.seek(boot.begin)
        written.seek(boot.begin)
        assert source.read(len(boot)) == written.read(len(boot))


def test_a_mounted_disk_is_refused_by_us_and_by_the_kernel(made, tmp_path):
    where = disk.read(made).partitions[2]
    alone = tmp_path / "data"
    ranges.copy_out(made, where.range, alone)
    with loop(alone) as device:
        place = tmp_path / "place"
        place.mkdir()
        subprocess.run(["mount", str(device), str(place)], check=True)
        try:
            (said,) = card.refusals(card.look_at(device), 0)
            assert said.startswith(f"{device.name} is mounted at {place}")
            with pytest.raises(RawDiskError, match="is it mounted"), raw_disk.opened(device):
                pass
        finally:
            subprocess.run(["umount", str(place)], check=True)


def test_the_disk_that_this_machine_runs_from_is_refused():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        source = line.partition(" - ")[2].split()[1]
        if line.split()[4] == "/" and source.startswith("/dev/") and Path(source).exists():
            said = card.refusals(card.look_at(Path(source)), 0)
            assert any("this machine runs from it" in each for each in said)
            return
    pytest.skip("this machine's root is on no disk of its own")
