"""Patterns are told apart by rhythm alone: without colour, without hearing, without sight."""

from itertools import combinations, groupby

import pytest

from kiosk.logic import feedback
from kiosk.logic.credentials import VisitorCode
from kiosk.logic.station import Accepted, ForeignCode, Refused, Repeated
from kiosk.ports import DARK

TAG = b"t" * 16
IN = Accepted(VisitorCode("ABC"), TAG, "in", "mounting")
OUT = Accepted(VisitorCode("ABC"), TAG, "out", "mounting")


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
        ([Refused("x", TAG, held=False)], feedback.REFUSED),
        ([Refused("x", TAG, held=True)], None),
        ([foreign(held=False)], feedback.FOREIGN),
        ([foreign(held=True)], None),
        ([foreign(held=False), IN], feedback.ACCEPTED_IN),
        ([foreign(held=True), Repeated(TAG, held=False)], feedback.REPEATED),
        ([foreign(held=False), Refused("x", TAG, held=False)], feedback.REFUSED),
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
