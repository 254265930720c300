"""When a check-in really was."""

import os
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from central.times import EPOCH, Known, between, known
from checkin.clock import Setting, SystemClock, still_set
from checkin.event import Believed
from sync_daemon.topics import Anchor
from tests.made_up import NOON, check_in


def made(boot="b", tick_s=100.0, synced=False, at=EPOCH):
    found = check_in(1, clock=Believed(boot=boot, tick_s=tick_s, synced=synced))
    return msgspec.structs.replace(found, time=at)


def anchor(boot="b", tick_s=500.0, at=NOON, error_s=0.4):
    return Anchor(boot=boot, tick_s=tick_s, at=at, error_s=error_s)


def sure(at, error_s=0.4):
    error = timedelta(seconds=error_s)
    return Known(at, "synced", at - error, at + error)


def test_a_time_by_a_clock_that_was_set_stands_as_it_is():
    found = known(made(synced=True, at=NOON), {})
    assert (found.at, found.sure) == (NOON, "synced")
    assert found.latest - found.earliest == timedelta(seconds=0.8)


def test_a_clock_that_was_set_later_corrects_what_was_before():
    found = known(made(tick_s=100), {"b": anchor(tick_s=500)})
    assert (found.at, found.sure) == (NOON - timedelta(seconds=400), "corrected")
    # 0.4 s, and 100 millionths of 400 s.
    assert found.latest - found.at == timedelta(seconds=0.44)


def test_another_boots_anchor_says_nothing():
    assert known(made(boot="b"), {"c": anchor(boot="c")}) is None


def test_a_neighbour_of_the_same_boot_is_as_good_as_an_anchor():
    after = made(tick_s=160, synced=True, at=NOON)
    found = between(made(tick_s=100), None, (after, sure(NOON)), NOON + timedelta(days=1))
    assert (found.at, found.sure) == (NOON - timedelta(seconds=60), "corrected")


def test_a_boot_that_never_knew_lies_between_its_neighbours_boots():
    before, after = made(boot="a", synced=True), made(boot="c", tick_s=30.0, synced=True)
    night = NOON + timedelta(hours=8)
    found = between(made(tick_s=100), (before, sure(NOON)), (after, sure(night)), night)
    assert found.sure == "bounded"
    assert found.earliest == NOON + timedelta(seconds=100 - 0.4)
    assert found.latest == night - timedelta(seconds=30 - 0.4)
    assert found.earliest <= found.at <= found.latest


def test_nothing_came_after_it_was_received():
    found = between(made(), None, None, NOON)
    assert (found.earliest, found.latest) == (EPOCH, NOON)


def test_neighbours_that_contradict_each_other_are_still_an_answer():
    before, after = made(boot="a", synced=True), made(boot="c", synced=True)
    yesterday = NOON - timedelta(days=1)
    found = between(made(), (before, sure(NOON)), (after, sure(yesterday)), NOON)
    assert found.earliest == found.at == found.latest


@given(st.floats(0, 1e300), st.floats(0, 1e10), st.floats(0, 1e6), st.datetimes())
def test_a_strangers_numbers_are_an_answer_too(tick_s, anchor_s, error_s, at):
    one = anchor(tick_s=anchor_s, error_s=error_s, at=at.replace(tzinfo=UTC))
    found = known(made(tick_s=tick_s), {"b": one})
    assert found.earliest <= found.latest


def test_a_clock_stays_set_while_it_runs_with_the_monotonic_one():
    first, is_set = still_set(Setting(0, 0.0), 7, 1000.0)
    assert is_set
    assert still_set(first, 7, 1001.0) == (first, True)


def test_a_clock_that_is_stepped_counts_as_set_again_only_once_the_network_set_it():
    first, _ = still_set(Setting(0, 0.0), 7, 1000.0)
    for ahead_s in (1003.0, -5000.0, 1e9):
        assert still_set(first, 7, ahead_s) == (first, False)
    assert still_set(first, 8, -5000.0) == (Setting(8, -5000.0), True)


def test_the_year_ten_thousand_is_no_end():
    last = datetime.max.replace(tzinfo=UTC)
    assert known(made(tick_s=1e9), {"b": anchor(tick_s=0, at=last)}).at == last
    before = made(boot="a", synced=True, at=last)
    found = between(made(tick_s=1e9), (before, known(before, {})), None, last)
    assert found.earliest == found.latest == last


def test_a_restart_still_knows_that_the_clock_was_stepped(tmp_path):
    memory, touched = tmp_path / "clock", tmp_path / "synchronized"
    touched.touch()
    assert SystemClock(memory, synchronized=touched).moment().synced
    ahead = float(memory.read_text().split()[1])
    memory.write_text(f"{touched.stat().st_mtime_ns} {ahead + 3600!r}")  # an hour back since then
    assert not SystemClock(memory, synchronized=touched).moment().synced
    os.utime(touched)
    assert SystemClock(memory, synchronized=touched).moment().synced


def test_a_clock_whose_memory_is_rubbish_begins_anew(tmp_path):
    memory, touched = tmp_path / "clock", tmp_path / "synchronized"
    touched.touch()
    for text in ("", "x y", "1", "\xff"):
        memory.write_text(text)
        assert SystemClock(memory, synchronized=touched).moment().synced
