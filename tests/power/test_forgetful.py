"""The disk that forgets, asked directly: what is flushed lasts, the rest is chance's."""

import errno
import itertools

import pytest

from tests.power.forgetful import SECTOR_BYTES, Disk

NEW, OLD = b"n", b"o"
SEEDS = range(60)


def written(disk, path, data):
    if path not in disk._names[-1]:
        disk.create(path, 0o660)
    disk.write(path, data, 0, None)


def content(disk, path):
    return disk.read(path, 2**20, 0, None)


def names(disk):
    return {entry[0] for entry in disk.readdir("/", None) if isinstance(entry, tuple)}


def test_what_was_flushed_is_there_after_every_cut():
    for seed in SEEDS:
        disk = Disk(seed)
        written(disk, "/a", OLD * 5000)
        disk.fsync("/a", 0, None)
        disk.fsyncdir("/", 0, None)
        disk.obey("cut")
        disk.obey("cut")
        assert content(disk, "/a") == OLD * 5000


def test_of_the_rest_any_sectors_and_any_size_survive():
    seen, sizes = set(), set()
    for seed in SEEDS:
        disk = Disk(seed)
        written(disk, "/a", OLD * 4 * SECTOR_BYTES)
        disk.fsync("/a", 0, None)
        disk.fsyncdir("/", 0, None)
        written(disk, "/a", NEW * 6 * SECTOR_BYTES)
        disk.obey("cut")
        left = content(disk, "/a")
        begins = range(0, len(left), SECTOR_BYTES)
        sectors = [left[begin : begin + SECTOR_BYTES].strip(b"\0") for begin in begins]
        assert all(len(set(sector)) <= 1 for sector in sectors)  # none is of both
        seen.add(tuple(sector[:1] for sector in sectors[:4]))
        sizes.add(len(left))
    assert {(OLD,) * 4, (NEW,) * 4} < seen
    assert any(sector == (OLD, NEW) for found in seen for sector in itertools.pairwise(found))
    assert {4 * SECTOR_BYTES, 6 * SECTOR_BYTES} < sizes


def test_a_name_lasts_when_the_folder_was_flushed():
    found = set()
    for seed in SEEDS:
        disk = Disk(seed)
        written(disk, "/kept", OLD)
        disk.fsyncdir("/", 0, None)
        written(disk, "/new", NEW)
        disk.rename("/kept", "/moved")
        disk.obey("cut")
        found.add(frozenset(names(disk)))
    # As it was at one moment: what is renamed is never gone, and never there twice.
    assert found == {
        frozenset({"kept"}), frozenset({"kept", "new"}), frozenset({"moved", "new"}),
    }  # fmt: skip


def test_it_stops_at_a_step_and_a_cut_gets_it_going():
    disk = Disk(1)
    written(disk, "/a", OLD)
    disk.obey("stop 1")
    disk.fsync("/a", 0, None)
    for deed in (
        lambda: disk.write("/a", NEW, 0, None),
        lambda: disk.fsync("/a", 0, None),
        lambda: disk.fsyncdir("/", 0, None),
        lambda: disk.unlink("/a"),
    ):
        with pytest.raises(OSError) as raised:
            deed()
        assert raised.value.errno == errno.EIO
    disk.obey("cut")
    written(disk, "/b", NEW)
    assert content(disk, "/b") == NEW


@pytest.mark.parametrize(
    ("command", "back", "refused"),
    [("full", "room", errno.ENOSPC), ("readonly", "writable", errno.EROFS)],
)
def test_it_can_be_full_or_read_only(command, back, refused):
    disk = Disk(1)
    written(disk, "/a", OLD)
    disk.obey(command)
    with pytest.raises(OSError) as raised:
        disk.write("/a", NEW, 0, None)
    assert raised.value.errno == refused
    assert content(disk, "/a") == OLD
    disk.obey(back)
    disk.write("/a", NEW, 0, None)
    assert content(disk, "/a") == NEW
