"""A code held to the glass counts once."""

from hypothesis import given
from hypothesis import strategies as st

from kiosk.logic.hold_off import BLINK_S, HoldOff, Sight

ANNA, BINH = b"a" * 16, b"b" * 16


def test_a_stranger_to_the_memory_is_new_and_stays_so_until_remembered():
    hold_off = HoldOff(10, limit=4)
    assert hold_off.look(ANNA, 0) is Sight.NEW
    assert hold_off.look(ANNA, 0.1) is Sight.NEW
    hold_off.remember(ANNA, 0.2)
    assert hold_off.look(ANNA, 0.3) is Sight.HELD


def test_holding_still_never_ends_the_visit():
    hold_off = HoldOff(2, limit=4)
    hold_off.remember(ANNA, 0)
    seen = [hold_off.look(ANNA, tick / 30) for tick in range(1, 600)]
    assert set(seen) == {Sight.HELD}


def test_a_moment_out_of_sight_is_the_same_visit_come_back():
    hold_off = HoldOff(10, limit=4)
    hold_off.remember(ANNA, 0)
    assert hold_off.look(ANNA, BLINK_S - 0.01) is Sight.HELD
    assert hold_off.look(ANNA, 2 * BLINK_S) is Sight.BACK
    assert hold_off.look(ANNA, 2 * BLINK_S + 0.03) is Sight.HELD


def test_the_hold_off_counts_from_the_last_sight():
    hold_off = HoldOff(10, limit=4)
    hold_off.remember(ANNA, 0)
    assert hold_off.look(ANNA, 9) is Sight.BACK
    assert hold_off.look(ANNA, 18.9) is Sight.BACK
    assert hold_off.look(ANNA, 28.9) is Sight.NEW


def test_in_sight_are_those_whose_visit_goes_on():
    hold_off = HoldOff(10, limit=4)
    hold_off.remember(ANNA, 0)
    hold_off.remember(BINH, 5)
    assert hold_off.in_sight(9) == [(ANNA, 0), (BINH, 5)]
    assert hold_off.in_sight(12) == [(BINH, 5)]


def test_what_was_in_sight_can_be_taken_over():
    before, after = HoldOff(10, limit=4), HoldOff(10, limit=4)
    before.remember(ANNA, 3)
    after.restore(before.in_sight(4))
    assert after.look(ANNA, 5) is Sight.BACK


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=80))
def test_the_memory_is_bounded_and_forgets_the_longest_unseen(sights):
    hold_off = HoldOff(1000, limit=4)
    order = []
    for who, tick in sorted(sights, key=lambda sight: sight[1]):
        tag = bytes([who]) * 16
        hold_off.remember(tag, tick)
        order = [*(other for other in order if other != tag), tag][-4:]
        assert [tag for tag, _ in hold_off.in_sight(tick)] == order
