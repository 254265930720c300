"""Which part of a package is asked for next, whatever comes, gets lost or is cut off."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_daemon.download import LONGEST_WAIT_S, PART_WAIT_S, Ask, Download, Leave, Package

PACKAGE = Package(number=1, bytes=25, sha256="ab", part_bytes=10)


def test_the_last_part_is_what_is_left():
    assert PACKAGE.parts == 3
    assert [PACKAGE.length_of(part) for part in range(3)] == [10, 10, 5]


def test_parts_are_asked_for_one_at_a_time_and_in_their_order():
    download = Download(PACKAGE, 0, begin_tick=0)
    said = []
    for tick in range(3):
        steps = download.steps(tick)
        assert steps == [Ask(tick)]
        assert download.steps(tick) == []
        assert download.came(tick, PACKAGE.length_of(tick))
        said += download.kept(tick)
    assert said == [Leave(0), Leave(1), Leave(2)]
    assert download.is_whole
    assert download.percent == 100
    assert download.steps(99) == []


def test_nobody_begins_before_their_time():
    download = Download(PACKAGE, 0, begin_tick=100)
    assert download.steps(99) == []
    assert download.steps(100) == [Ask(0)]


@pytest.mark.parametrize(("have", "first"), [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (24, 2)])
def test_what_lies_on_disk_whole_isnt_asked_for_again(have, first):
    assert Download(PACKAGE, have, 0).steps(0) == [Ask(first)]


@pytest.mark.parametrize("have", [25, 26])
def test_what_is_whole_asks_for_nothing(have):
    assert Download(PACKAGE, have, 0).is_whole


@pytest.mark.parametrize(("part", "length"), [(1, 10), (0, 9), (0, 11), (2, 5)])
def test_a_part_that_wasnt_asked_for_isnt_taken(part, length):
    download = Download(PACKAGE, 0, 0)
    download.steps(0)
    assert not download.came(part, length)


def test_what_doesnt_come_is_asked_for_again_ever_more_seldom():
    download = Download(PACKAGE, 0, 0)
    asked = [tick for tick in range(0, 20_000, 10) if Ask(0) in download.steps(tick)]
    waits = [later - before for before, later in itertools.pairwise(asked)]
    assert waits[:3] == [PART_WAIT_S, 2 * PART_WAIT_S, 4 * PART_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S
    assert waits == sorted(waits)


def test_after_a_lost_connection_it_is_asked_for_at_once():
    download = Download(PACKAGE, 0, 0)
    download.steps(0)
    download.lost()
    assert not download.came(0, 10)
    assert download.steps(1) == [Ask(0)]


def test_a_connection_that_comes_back_doesnt_begin_what_shall_wait():
    download = Download(PACKAGE, 0, 0)
    download.wait(100)
    download.lost()
    assert download.steps(99) == []
    assert download.steps(100) == [Ask(0)]


EVENTS = st.lists(st.sampled_from(["came", "lost", "tick", "wrong", "cut"]), max_size=60)


@given(EVENTS, st.integers(1, 100), st.integers(1, 40))
def test_whatever_happens_what_is_kept_is_the_package(events, bytes_, part_bytes):
    package = Package(1, bytes_, "ab", part_bytes)
    content = bytes(number % 251 for number in range(bytes_))
    disk, download, asked, tick = b"", Download(package, 0, 0), None, 0.0
    for event in [*events, *["tick", "came"] * (package.parts + 1)]:
        tick += LONGEST_WAIT_S
        match event:
            case "tick":
                for step in download.steps(tick):
                    asked = step.part if isinstance(step, Ask) else None
            case "came" if asked is not None:
                part = content[asked * part_bytes : (asked + 1) * part_bytes]
                if download.came(asked, len(part)):
                    disk = disk[: asked * part_bytes] + part
                    download.kept(tick)
                asked = None
            case "wrong":
                assert not download.came(download.next + 1, part_bytes)
            case "lost":
                download.lost()
                asked = None
            case "cut":
                disk = disk[: len(disk) - len(disk) // 3]
                download, asked = Download(package, len(disk), tick), None
    assert download.is_whole
    assert disk == content
