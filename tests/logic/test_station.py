"""The judgement at the door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.logic.station import (
    LONGEST_BLINDNESS_S,
    Accepted,
    ForeignCode,
    Refused,
    Repeated,
    Rules,
    Station,
)
from tests.made_up import CARD, KEY

ANNA, BINH, MENU = b"VISITOR:ANNA", b"VISITOR:BINH", b"https://thucdon.example"


def station(**rules):
    return Station(Rules(**rules), KEY)


def accept(door, payload, tick):
    verdict = door.judge(payload, tick=tick)
    assert isinstance(verdict, Accepted)
    door.recorded(verdict, tick=tick)
    return verdict


def test_a_visitor_who_holds_still_counts_once():
    door = station(hold_off_s=3)
    accept(door, ANNA, 0)
    held = [door.judge(ANNA, tick=tick / 30) for tick in range(1, 600)]
    assert {type(verdict) for verdict in held} == {Repeated}
    assert all(verdict.held for verdict in held)
    accept(door, ANNA, 20 + 3)


def test_coming_back_too_soon_is_told_once():
    door = station(hold_off_s=10)
    accept(door, ANNA, 0)
    back = door.judge(ANNA, tick=4)
    assert back == Repeated(back.tag, held=False)
    assert door.judge(ANNA, tick=4.03).held


def test_a_check_in_that_was_not_recorded_may_be_tried_again():
    door = station()
    assert isinstance(door.judge(ANNA, tick=0), Accepted)
    # ... the disk was full, so `recorded` is never called ...
    assert isinstance(door.judge(ANNA, tick=1), Accepted)


def test_two_visitors_in_one_frame_are_two():
    door = station()
    assert accept(door, ANNA, 0).tag != accept(door, BINH, 0).tag


def test_the_old_and_the_new_card_of_one_person_are_one_visitor():
    door = station()
    accept(door, CARD.encode(), 0)
    assert isinstance(door.judge((CARD + "||||").encode(), tick=1), Repeated)


def test_a_visitor_code_that_looks_like_a_card_number_is_somebody_else():
    door = station()
    card = accept(door, CARD.encode(), 0)
    code = accept(door, b"VISITOR:010090999901", 1)
    assert card.tag != code.tag


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_fixed_direction_is_the_mountings(direction):
    verdict = accept(station(direction=direction), ANNA, 0)
    assert (verdict.direction, verdict.direction_by) == (direction, "mounting")


def test_alternating_turns_round_per_visitor():
    door = station(direction="alternate", hold_off_s=1)
    ways = [accept(door, ANNA, tick) for tick in (0, 10, 20)]
    assert [way.direction for way in ways] == ["in", "out", "in"]
    assert [way.direction_by for way in ways] == ["first-seen", "alternating", "alternating"]
    assert accept(door, BINH, 30).direction == "in"


def test_a_direction_turns_only_with_a_recorded_check_in():
    door = station(direction="alternate", hold_off_s=1)
    accept(door, ANNA, 0)
    assert door.judge(ANNA, tick=10).direction == "out"
    # ... not recorded ...
    assert door.judge(ANNA, tick=20).direction == "out"


def test_a_strangers_code_is_told_once_while_it_is_there():
    door = station()
    seen = [door.judge(MENU, tick=tick / 30) for tick in range(60)]
    assert isinstance(seen[0], ForeignCode)
    assert [verdict.held for verdict in seen] == [False] + [True] * 59
    assert not door.judge(MENU, tick=30).held


def test_a_flood_of_strangers_codes_pushes_no_visitor_out():
    door = station(hold_off_s=1000)
    accept(door, ANNA, 0)
    for number in range(1000):
        door.judge(b"https://x.example/%d" % number, tick=1)
    assert isinstance(door.judge(ANNA, tick=2), Repeated)


def test_a_kind_that_is_not_taken_here_is_refused():
    door = station(accept=frozenset({"cccd"}))
    verdict = door.judge(ANNA, tick=0)
    assert isinstance(verdict, Refused)
    assert not verdict.held
    assert door.judge(ANNA, tick=0.1).held


def test_a_tag_says_nothing_without_the_key():
    mine = Station(Rules(), KEY).judge(ANNA, tick=0)
    other = Station(Rules(), bytes(32)[:-1] + b"x").judge(ANNA, tick=0)
    assert mine.tag != other.tag
    assert b"ANNA" not in mine.tag


def restarted(before, *, sightings, visits, noted, tick, **rules):
    after = station(**rules)
    after.restore(visits, sightings, noted=noted, tick=tick)
    return after


def test_a_visit_goes_on_across_a_restart():
    before = station(hold_off_s=5)
    first = accept(before, ANNA, 0)
    for tick in range(1, 20):
        before.judge(ANNA, tick=tick)
    after = restarted(
        before,
        sightings=before.sightings(19),
        visits=[(first.tag, 0.0, "in")],
        noted=19,
        tick=27,  # longer than the hold-off: blind seconds are not seconds out of sight
        hold_off_s=5,
    )
    assert isinstance(after.judge(ANNA, tick=27.5), Repeated)


def test_a_check_in_that_outran_the_last_note_of_who_was_there_is_remembered_too():
    first = accept(station(), ANNA, 100)
    after = restarted(None, sightings=[], visits=[(first.tag, 100.0, "in")], noted=100, tick=102)
    assert isinstance(after.judge(ANNA, tick=103), Repeated)


def test_a_visit_that_had_ended_is_not_begun_again_by_a_restart():
    """Blind seconds belong to those who were there, not to who had left long before."""
    first = accept(station(hold_off_s=10), ANNA, 100)
    after = restarted(
        None,
        sightings=[],  # the hold-off was over, and so noted
        visits=[(first.tag, 100.0, "in")],
        noted=111,
        tick=127,
        hold_off_s=10,
    )
    assert isinstance(after.judge(ANNA, tick=127), Accepted)


def test_a_poster_that_is_read_now_and_then_is_told_once():
    door = station()
    seen = [door.judge(MENU, tick=tick) for tick in range(60)]
    assert [verdict.held for verdict in seen] == [False] + [True] * 59


def test_after_a_long_blindness_whoever_comes_comes_anew():
    first = accept(station(), ANNA, 0)
    after = restarted(
        None,
        sightings=[(first.tag, 10.0)],
        visits=[(first.tag, 0.0, "in")],
        noted=10,
        tick=10 + LONGEST_BLINDNESS_S + 1,
    )
    assert isinstance(after.judge(ANNA, tick=60), Accepted)


def test_alternating_goes_on_across_a_restart():
    before = station(direction="alternate", hold_off_s=1)
    first = accept(before, ANNA, 0)
    after = restarted(
        before,
        sightings=[],
        visits=[(first.tag, 0.0, "in")],
        noted=0,
        tick=100,
        direction="alternate",
        hold_off_s=1,
    )
    assert accept(after, ANNA, 200).direction == "out"


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_payloads_get_a_verdict(payloads):
    door = station()
    for tick, payload in enumerate(payloads):
        assert isinstance(
            door.judge(payload, tick=tick), Accepted | Repeated | Refused | ForeignCode
        )
