"""First boot's data partition, on a real disk in a file: grown to its end, whatever is cut.

Needs root and loop devices.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[2] / "provisioning" / "first_boot" / "first-boot.sh"

MB = 1024 * 1024
CARD_MB = 192
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
TOOLS = ("losetup", "sfdisk", "mke2fs", "resize2fs", "partx", "e2fsck", "unshare")

# As `vaora-provision image` lays a card out, but small: boot, root, data; no room behind.
TABLE = """\
label: dos
start=2048, size=32768, type=c
start=34816, size=32768, type=83
start=67584, size=65536, type=83
"""


def run(*command, check=True, **how):
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, **how,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture
def disk(tmp_path):
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, and {', '.join(missing) or 'a loop device'}")
    file = tmp_path / "card.img"
    with file.open("wb") as made:
        made.truncate(65 * MB)
    run("sfdisk", "--quiet", file, input=TABLE)
    os.truncate(file, CARD_MB * MB)  # a card is larger than its image
    found = run("losetup", "--find", "--show", file, check=False)
    if found.returncode:
        pytest.skip(f"no loop device: {found.stderr}")
    loop = found.stdout.strip()
    try:
        # Told, since not every kernel reads such a table by itself.
        run("partx", "--add", loop)
        data = f"{loop}p3"
        run("mke2fs", "-q", "-t", "ext4", "-L", "vaora-data", data)
        yield SimpleNamespace(file=file, loop=loop, data=data, folder=tmp_path / "mounted")
    finally:
        run("partx", "--delete", loop)
        run("losetup", "--detach", loop)


def step(disk, then="true"):
    """Take the step in a mount name space of its own, whose mounts end with it."""
    script = f'sh "{SCRIPT}" data "{disk.data}" "{disk.folder}" && {then}'
    return run("unshare", "--mount", "sh", "-euc", script)


def size_mb(disk):
    return int(run("blockdev", "--getsize64", disk.data).stdout) / MB


def test_it_is_grown_to_the_cards_end_and_keeps_what_is_on_it(disk):
    step(disk, f'echo kept > "{disk.folder}/kept"')
    assert CARD_MB - 33 - 2 <= size_mb(disk) <= CARD_MB - 33
    room = step(disk, f'cat "{disk.folder}/kept"; df -m --output=size "{disk.folder}"').stdout
    assert "kept" in room
    assert int(room.split()[-1]) > 100
    table = run("sfdisk", "--dump", disk.loop).stdout
    assert "start=       34816, size=       32768" in table  # its neighbour is where it was


def test_one_that_was_cut_between_table_and_filesystem_goes_on(disk):
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "-N", "3", disk.loop, input=", +\n")
    run("partx", "--update", "--nr", "3", disk.loop)
    assert size_mb(disk) > 100
    room = step(disk, f'df -m --output=size "{disk.folder}"').stdout
    assert int(room.split()[-1]) > 100


def test_a_filesystem_that_the_cut_left_dirty_is_mended(disk):
    run("debugfs", "-w", "-R", "ssv state 0", disk.data)
    assert "made anew" not in step(disk, f'test -d "{disk.folder}/lost+found"').stdout


def test_one_that_is_beyond_mending_is_made_anew(disk):
    with open(disk.data, "r+b") as data:  # noqa: PTH123  a device
        data.write(b"\xff" * 20 * MB)
        data.flush()
        os.fsync(data.fileno())
    assert "made anew" in step(disk, f'test -d "{disk.folder}/lost+found"').stdout
    assert run("blkid", "--match-tag", "LABEL", "-o", "value", disk.data).stdout == "vaora-data\n"


def test_a_partition_that_fills_the_disk_is_left_alone(disk):
    step(disk)
    before = disk.file.read_bytes()[:512]
    step(disk)
    assert disk.file.read_bytes()[:512] == before
