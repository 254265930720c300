"""Patterns are told apart by rhythm alone: without colour, without hearing, without sight."""

from itertools import combinations, groupby

import pytest

from checkin.blinks import STEPS
from kiosk.logic import feedback
from kiosk.logic.credentials.visitor import VisitorCode
from kiosk.logic.station import Accepted, ForeignCode, Refused, Repeated
from kiosk.ports import DARK

TAG = b"t" * 16
IN = Accepted(VisitorCode("ABC"), TAG, "in", "mounting", {})
OUT = Accepted(VisitorCode("ABC"), TAG, "out", "mounting", {})


def rhythm(pattern, is_on):
    """Seconds on, off, on, … from the first moment to the last."""
    spans = [(is_on(step.level), step.seconds) for step in pattern.steps]
    joined = [
        (on, round(sum(seconds for _, seconds in group), 3))
        for on, group in groupby(spans, key=lambda span: span[0])
    ]
    return tuple(joined)


def light(pattern):
    return rhythm(pattern, lambda level: level.green or level.red or level.amber)


def sound(pattern):
    return rhythm(pattern, lambda level: level.tone_hz > 0)


def differ(one, other):
    """Two rhythms that a person tells apart: another count of pulses, or one 1.3 times as long."""
    pulses = [[seconds for on, seconds in r if on] for r in (one, other)]
    if len(pulses[0]) != len(pulses[1]):
        return True
    return any(max(a, b) >= 1.3 * min(a, b) for a, b in zip(*pulses, strict=True))


@pytest.mark.parametrize(("one", "other"), list(combinations(feedback.VERDICTS, 2)))
def test_verdicts_differ_in_the_rhythm_of_light_and_of_sound(one, other):
    assert differ(light(one), light(other)), (one.name, other.name)
    assert differ(sound(one), sound(other)), (one.name, other.name)


@pytest.mark.parametrize(("one", "other"), list(combinations(feedback.IDLE, 2)))
def test_idle_patterns_differ_in_the_rhythm_of_light(one, other):
    assert light(one) != light(other)


@pytest.mark.parametrize("pattern", feedback.IDLE)
def test_idle_patterns_are_silent(pattern):
    assert all(not step.level.tone_hz for step in pattern.steps)


@pytest.mark.parametrize("pattern", feedback.VERDICTS)
def test_a_verdict_lasts_long_enough_to_be_seen_and_short_enough_for_the_next(pattern):
    assert 0.3 <= pattern.seconds <= 2.0


@pytest.mark.parametrize("pattern", [*feedback.VERDICTS, *feedback.IDLE])
def test_green_and_red_never_light_together(pattern):
    assert not any(step.level.green and step.level.red for step in pattern.steps)


def test_no_two_patterns_share_a_name():
    names = [pattern.name for pattern in (*feedback.VERDICTS, *feedback.IDLE)]
    assert len(set(names)) == len(names)


def test_the_level_follows_the_steps_and_ends():
    pattern = feedback.ACCEPTED_OUT
    assert pattern.level_at(0.0).green
    assert pattern.level_at(0.13) == DARK
    assert pattern.level_at(pattern.seconds - 0.01).green
    assert pattern.level_at(pattern.seconds) is None


def refused(*, held):
    return Refused("x", TAG, held, VisitorCode("ABC"), "in", "mounting")


def foreign(*, held):
    return ForeignCode("x", TAG, held=held)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], None),
        ([IN], feedback.ACCEPTED_IN),
        ([OUT], feedback.ACCEPTED_OUT),
        ([Repeated(TAG, held=False)], feedback.REPEATED),
        ([Repeated(TAG, held=True)], None),
        ([refused(held=False)], feedback.REFUSED),
        ([refused(held=True)], None),
        ([foreign(held=False)], feedback.FOREIGN),
        ([foreign(held=True)], None),
        ([foreign(held=False), IN], feedback.ACCEPTED_IN),
        ([foreign(held=True), Repeated(TAG, held=False)], feedback.REPEATED),
        ([foreign(held=False), refused(held=False)], feedback.REFUSED),
    ],
)
def test_a_frame_shows_what_matters_most(verdicts, expected):
    assert feedback.pattern_for(verdicts) == expected


def test_two_accepted_in_one_frame_are_told_one_after_the_other():
    pattern = feedback.pattern_for([IN, OUT])
    assert pattern.name == "accepted-in+accepted-out"
    assert pattern.seconds > feedback.ACCEPTED_IN.seconds + feedback.ACCEPTED_OUT.seconds


def test_a_crowd_in_one_frame_does_not_hold_up_the_next():
    pattern = feedback.pattern_for([IN] * 8)
    assert pattern.name.count("accepted") == feedback.MOST_AT_ONCE


@pytest.mark.parametrize(
    ("faults", "synced", "expected"),
    [
        (False, True, feedback.READY),
        (False, False, feedback.NOT_SYNCED),
        (True, True, feedback.OUT_OF_ORDER),
        (True, False, feedback.OUT_OF_ORDER),
    ],
)
def test_what_is_shown_while_nobody_is_there(faults, synced, expected):
    assert feedback.idle_pattern(faults=faults, synced=synced) is expected


def test_a_step_of_first_boot_that_failed_is_counted_in_amber_while_visitors_are_served():
    for number, step in enumerate(STEPS, 1):
        shown = feedback.idle_pattern(faults=False, synced=True, step=step)
        lit = [on.level for on in shown.steps if on.level != DARK]
        assert [level.amber for level in lit] == [True] * number + [False]
        assert lit[-1].green
        assert not any(level.tone_hz for level in lit)
    assert feedback.idle_pattern(faults=True, synced=True, step="seed") is feedback.OUT_OF_ORDER


def test_no_step_is_taken_for_another_or_for_an_idle_light():
    shown = [*map(feedback.first_boot_pattern, STEPS), *feedback.IDLE]
    assert len({light(pattern) for pattern in shown}) == len(shown)
    assert len({pattern.name for pattern in shown}) == len(shown)


def pulses(pattern, tone_hz):
    return sum(step.level.tone_hz == tone_hz for step in pattern.steps)


@pytest.mark.parametrize(
    ("waiting", "confirmed_s", "backlog", "age"),
    [
        (0, 0.0, 1, 1),
        (1, 899.0, 2, 1),
        (99, 900.0, 2, 2),
        (100, 86_399.0, 3, 2),
        (10**6, 86_400.0, 3, 3),
        (5, None, 2, 3),
    ],
)
def test_an_inspector_counts_backlog_and_age(waiting, confirmed_s, backlog, age):
    pattern = feedback.status_pattern(waiting, confirmed_s)
    assert pulses(pattern, feedback.HIGH_HZ) == backlog
    assert pulses(pattern, feedback.LOW_HZ) == age
    assert pattern.seconds < 5
    lights = [step.level for step in pattern.steps if step.level.tone_hz]
    assert all(level.green for level in lights[:backlog])
    assert all(level.amber for level in lights[backlog:])


def test_the_two_directions_differ_in_rhythm_and_from_every_verdict():
    everything = (*feedback.VERDICTS, feedback.DIRECTION_IN, feedback.DIRECTION_OUT)
    for one, other in combinations(everything[-2:], 2):
        assert differ(sound(one), sound(other))
    for one in everything[-2:]:
        for other in feedback.VERDICTS:
            assert differ(sound(one), sound(other)), (one.name, other.name)


def test_a_self_test_is_never_green_at_its_end_nor_like_a_verdict():
    assert not any(step.level.green for step in feedback.WELL.steps)
    for verdict in feedback.VERDICTS:
        assert differ(sound(feedback.WELL), sound(verdict)), verdict.name


def test_the_self_test_shows_every_light_and_both_tones():
    levels = [step.level for step in feedback.SELF_TEST.steps]
    for light_name in ("green", "red", "amber"):
        assert any(getattr(level, light_name) for level in levels)
    assert {level.tone_hz for level in levels} == {0, feedback.HIGH_HZ, feedback.LOW_HZ}


def test_one_pattern_behind_another_is_both():
    both = feedback.after(feedback.REPEATED, feedback.SELF_TEST)
    assert both.name == "repeated+self-test"
    assert both.seconds == pytest.approx(feedback.REPEATED.seconds + feedback.SELF_TEST.seconds)
