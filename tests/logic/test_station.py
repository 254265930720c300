"""The judgement at the door."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin.cose import SigningKey
from checkin.passes import issue
from kiosk.logic.credentials.here import Trust
from kiosk.logic.policy import Policy, Terms, hours_from
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

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ANNA, BINH, MENU = b"VISITOR:ANNA", b"VISITOR:BINH", b"https://thucdon.example"


def station(**rules):
    return Station(Rules(**rules), KEY)


def accept(door, payload, tick):
    verdict = door.judge(payload, at=AT, tick=tick)
    assert isinstance(verdict, Accepted)
    door.recorded(verdict, tick=tick)
    return verdict


def test_a_visitor_who_holds_still_counts_once():
    door = station(hold_off_s=3)
    accept(door, ANNA, 0)
    held = [door.judge(ANNA, at=AT, tick=tick / 30) for tick in range(1, 600)]
    assert {type(verdict) for verdict in held} == {Repeated}
    assert all(verdict.held for verdict in held)
    accept(door, ANNA, 20 + 3)


def test_coming_back_too_soon_is_told_once():
    door = station(hold_off_s=10)
    accept(door, ANNA, 0)
    back = door.judge(ANNA, at=AT, tick=4)
    assert back == Repeated(back.tag, held=False)
    assert door.judge(ANNA, at=AT, tick=4.03).held


def test_a_check_in_that_was_not_recorded_may_be_tried_again():
    door = station()
    assert isinstance(door.judge(ANNA, at=AT, tick=0), Accepted)
    # ... the disk was full, so `recorded` is never called ...
    assert isinstance(door.judge(ANNA, at=AT, tick=1), Accepted)


def test_two_visitors_in_one_frame_are_two():
    door = station()
    assert accept(door, ANNA, 0).tag != accept(door, BINH, 0).tag


def test_the_old_and_the_new_card_of_one_person_are_one_visitor():
    door = station()
    accept(door, CARD.encode(), 0)
    assert isinstance(door.judge((CARD + "||||").encode(), at=AT, tick=1), Repeated)


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
    assert door.judge(ANNA, at=AT, tick=10).direction == "out"
    # ... not recorded ...
    assert door.judge(ANNA, at=AT, tick=20).direction == "out"


def test_a_strangers_code_is_told_once_while_it_is_there():
    door = station()
    seen = [door.judge(MENU, at=AT, tick=tick / 30) for tick in range(60)]
    assert isinstance(seen[0], ForeignCode)
    assert [verdict.held for verdict in seen] == [False] + [True] * 59
    assert not door.judge(MENU, at=AT, tick=30).held


def test_a_flood_of_strangers_codes_pushes_no_visitor_out():
    door = station(hold_off_s=1000)
    accept(door, ANNA, 0)
    for number in range(1000):
        door.judge(b"https://x.example/%d" % number, at=AT, tick=1)
    assert isinstance(door.judge(ANNA, at=AT, tick=2), Repeated)


def test_a_kind_that_is_not_taken_here_is_refused():
    door = station(policy=Policy(normal=Terms(accept=frozenset({"cccd"}))))
    verdict = door.judge(ANNA, at=AT, tick=0)
    assert isinstance(verdict, Refused)
    assert not verdict.held
    assert door.judge(ANNA, at=AT, tick=0.1).held


def test_a_tag_says_nothing_without_the_key():
    mine = Station(Rules(), KEY).judge(ANNA, at=AT, tick=0)
    other = Station(Rules(), bytes(32)[:-1] + b"x").judge(ANNA, at=AT, tick=0)
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
        before.judge(ANNA, at=AT, tick=tick)
    after = restarted(
        before,
        sightings=before.sightings(19),
        visits=[(first.tag, 0.0, "in")],
        noted=19,
        tick=27,  # longer than the hold-off: blind seconds are not seconds out of sight
        hold_off_s=5,
    )
    assert isinstance(after.judge(ANNA, at=AT, tick=27.5), Repeated)


def test_a_check_in_that_outran_the_last_note_of_who_was_there_is_remembered_too():
    first = accept(station(), ANNA, 100)
    after = restarted(None, sightings=[], visits=[(first.tag, 100.0, "in")], noted=100, tick=102)
    assert isinstance(after.judge(ANNA, at=AT, tick=103), Repeated)


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
    assert isinstance(after.judge(ANNA, at=AT, tick=127), Accepted)


def test_a_poster_that_is_read_now_and_then_is_told_once():
    door = station()
    seen = [door.judge(MENU, at=AT, tick=tick) for tick in range(60)]
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
    assert isinstance(after.judge(ANNA, at=AT, tick=60), Accepted)


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
            door.judge(payload, at=AT, tick=tick), Accepted | Repeated | Refused | ForeignCode
        )


DESK = SigningKey(bytes(range(32)))
TRUST = Trust(pass_keys={DESK.kid: DESK.public})


def a_pass(kind="visitor", **changes):
    told = {
        "kind": kind,
        "pass_id": b"12345678",
        "holder": "Phan Thị Mẫu",
        "not_before": AT - timedelta(hours=1),
        "expires": AT + timedelta(hours=8),
        "checkpoints": (),
    }
    return issue(DESK, **(told | changes)).encode()


def test_a_pass_is_accepted_and_a_refused_one_says_why_and_isnt_remembered():
    door = Station(Rules(), KEY, TRUST)
    stranger = Station(Rules(), KEY).judge(a_pass(), at=AT, tick=0)
    assert (stranger.reason, stranger.credential.kind) == ("unknown-signer", "pass")
    old = door.judge(a_pass(expires=AT - timedelta(minutes=30)), at=AT, tick=0)
    assert (old.reason, old.held) == ("expired", False)
    assert accept(door, a_pass(), 1).kept["name"] == "Phan Thị Mẫu"


def test_a_newer_trust_list_counts_at_once():
    door = Station(Rules(), KEY)
    assert isinstance(door.judge(a_pass(), at=AT, tick=0), Refused)
    door.trusts(TRUST)
    assert isinstance(door.judge(a_pass(), at=AT, tick=1), Accepted)


def test_an_inspectors_pass_is_known_as_one_again_and_again():
    door = Station(Rules(), KEY, TRUST)
    assert accept(door, a_pass("inspector"), 0).inspector
    assert door.judge(a_pass("inspector"), at=AT, tick=3).inspector
    assert not accept(door, a_pass("staff", pass_id=b"87654321"), 4).inspector


def test_the_button_says_the_direction_and_before_it_is_pressed_it_is_a_guess():
    door = station(direction="button")
    assert (accept(door, ANNA, 0).direction, accept(door, BINH, 1).direction_by) == (
        "in",
        "first-seen",
    )
    assert door.turn_round() == "out"
    verdict = door.judge(ANNA, at=AT, tick=100)
    assert (verdict.direction, verdict.direction_by) == ("out", "button")
    assert door.turn_round() == "in"
    assert station(direction="in").turn_round() is None


def test_a_health_card_of_two_codes_is_one_card_when_both_were_shown():
    door = station()
    first = door.judge(b"shc:/1/2/567", at=AT, tick=0)
    assert (first.reason, first.hint != "") == ("shc-part-missing", True)
    whole = door.judge(b"shc:/2/2/8901", at=AT, tick=1)
    assert whole.reason == "shc-odd-digits"  # of the whole: 567 and 8901
    assert door.judge(b"shc:/2/2/8901", at=AT, tick=100).reason == "shc-part-missing"


def test_a_refusal_names_the_direction_and_never_the_visitor():
    door = station(policy=Policy(normal=Terms(accept=frozenset({"visitor"}))), direction="out")
    refused = door.judge(CARD.encode(), at=AT, tick=0)
    assert (refused.reason, refused.direction) == ("kind-not-taken-here", "out")
    assert "Nguyễn" not in repr(refused)


def test_who_stands_there_when_the_door_closes_isnt_turned_away():
    door = station(policy=Policy(hours=hours_from("06:00-10:01")))
    assert isinstance(accept(door, ANNA, 0), Accepted)
    closing = AT + timedelta(minutes=1)
    assert isinstance(door.judge(ANNA, at=closing, tick=1), Repeated)
    assert door.judge(BINH, at=closing, tick=1).reason == "closed"


def test_a_pass_that_ends_while_it_is_held_up_is_no_refusal():
    door = Station(Rules(), KEY, TRUST)
    short = a_pass(expires=AT + timedelta(seconds=1))
    accept(door, short, 0)
    assert isinstance(door.judge(short, at=AT + timedelta(minutes=5), tick=1), Repeated)
    assert door.judge(short, at=AT + timedelta(minutes=5), tick=60).reason == "expired"


def test_a_forged_copy_of_an_id_doesnt_shadow_the_genuine_pass():
    lenient = Policy(normal=Terms(must_verify=frozenset()))
    door = Station(Rules(policy=lenient), KEY, TRUST)
    forged = issue(
        SigningKey(b"x" * 32),
        kind="inspector",
        pass_id=b"12345678",
        holder="Mẫu",
        not_before=AT,
        expires=AT + timedelta(hours=1),
    ).encode()
    assert not accept(door, forged, 0).inspector
    assert isinstance(door.judge(a_pass(), at=AT, tick=1), Accepted)


def test_nothing_of_a_visitor_is_in_a_verdicts_repr():
    door = Station(Rules(), KEY, TRUST)
    assert "Phan" not in repr(accept(door, a_pass(), 0))
    assert "x.example" not in repr(door.judge(b"https://x.example/a", at=AT, tick=0))
