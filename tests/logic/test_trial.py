"""A version on trial: what it must show, and what ends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.trial import (
    MOST_BOOTS,
    UNWELL_S,
    Limits,
    Outcome,
    Seen,
    Trial,
    Watch,
    booted,
)

LIMITS = Limits(well_s=60, longest_s=600)
WELL = {"online": True, "waiting": 0}


def watch(**kept):
    return Watch(Trial(number=2, package="0.2.0", env="env-2", before="", **kept), LIMITS, 0)


def judged(watching, looks):
    """The first judgement that isn't "goes on", and when."""
    for seen in looks:
        judgement = watching.judge(seen)
        if judgement.outcome is not Outcome.GOES_ON:
            return judgement.outcome.name, seen.tick, judgement.why
    return "GOES_ON", None, ""


def every_second(seconds, **seen):
    return [Seen(tick=tick, **seen) for tick in range(seconds)]


def test_who_is_well_and_confirms_passes_when_the_time_is_over():
    assert judged(watch(), every_second(100, **WELL)) == ("PASSED", 60, "")


def test_the_first_end_that_nobody_asked_for_is_the_last():
    looks = [*every_second(5, **WELL), Seen(tick=5, restarts=("vaora-kiosk",))]
    assert judged(watch(), looks) == ("FAILED", 5, "vaora-kiosk ended by itself")


@pytest.mark.parametrize("fault", ["kiosk-silent", "camera", "outbox"])
def test_an_unserved_door_is_served_by_the_version_before(fault):
    looks = every_second(100, faults=frozenset({fault}), **WELL)
    outcome, tick, why = judged(watch(), looks)
    assert (outcome, tick) == ("FAILED", UNWELL_S)
    assert fault in why


def test_who_says_nothing_at_all_is_unwell():
    outcome, tick, _ = judged(watch(), every_second(100, faults=None))
    assert (outcome, tick) == ("FAILED", UNWELL_S)


def test_a_fault_that_was_there_before_is_not_held_against_it():
    looks = every_second(100, faults=frozenset({"camera"}), **WELL)
    assert judged(watch(faults=["camera"]), looks)[0] == "PASSED"


def test_faults_that_no_version_mends_are_not_held_against_it():
    looks = every_second(100, faults=frozenset({"certificate-expired", "outbox-near"}), **WELL)
    assert judged(watch(), looks)[0] == "PASSED"


def test_a_start_takes_a_while():
    looks = every_second(40, faults=frozenset({"kiosk-silent"}))
    looks += [Seen(tick=40 + tick, **WELL) for tick in range(100)]
    outcome, tick, _ = judged(watch(), looks)
    assert (outcome, tick) == ("PASSED", 39 + 60)


def test_who_never_reaches_the_broker_could_never_be_updated_again():
    outcome, tick, why = judged(watch(), every_second(700))
    assert (outcome, tick) == ("FAILED", 600)
    assert "broker" in why


def test_who_gets_nothing_confirmed_fails_when_its_time_is_over():
    looks = every_second(700, online=True, waiting=7, confirmed=3)
    outcome, tick, why = judged(watch(confirmed=3), looks)
    assert (outcome, tick) == ("FAILED", 600)
    assert "7 check-ins" in why


def test_a_backlog_that_shrinks_is_enough():
    looks = every_second(100, online=True, waiting=7, confirmed=4)
    assert judged(watch(confirmed=3), looks)[0] == "PASSED"


def test_a_network_that_came_once_is_enough():
    looks = [*every_second(5, **WELL), *[Seen(tick=5 + tick) for tick in range(100)]]
    assert judged(watch(), looks)[:2] == ("PASSED", 60)


def test_time_counts_over_all_boots():
    kept = watch(spent_s=100).trial_at(30)
    assert kept.spent_s == 130
    outcome, tick, _ = judged(watch(spent_s=590), every_second(100))
    assert (outcome, tick) == ("FAILED", 10)


def test_a_version_that_brings_the_machine_down_runs_out_of_boots():
    trial = Trial(number=2, package="0.2.0", env="env-2", before="")
    for number in range(MOST_BOOTS):
        trial = booted(booted(trial, f"boot-{number}"), f"boot-{number}")
    assert Watch(trial, LIMITS, 0).judge(Seen(tick=0, **WELL)).outcome is Outcome.GOES_ON
    trial = booted(trial, "one more")
    assert Watch(trial, LIMITS, 0).judge(Seen(tick=0, **WELL)).outcome is Outcome.FAILED


SEEN = st.builds(
    lambda **how: how,
    faults=st.none() | st.frozensets(st.sampled_from(["camera", "kiosk-silent", "trust"])),
    online=st.booleans(),
    waiting=st.integers(0, 3),
    confirmed=st.integers(0, 9),
    restarts=st.sampled_from([(), (), (), (), ("vaora-sync",)]),
)


@given(st.lists(SEEN, max_size=40), st.integers(1, 30))
def test_every_trial_ends_and_none_is_passed_unshown(looks, step):
    watching = watch()
    told = [Seen(tick=number * step, **how) for number, how in enumerate(looks)]
    last = len(told) * step
    told += [Seen(tick=last + tick) for tick in range(0, 1300, 10)]  # then all is quiet, offline
    outcome, tick, _ = judged(watching, told)
    assert outcome != "GOES_ON"
    before = [seen for seen in told if seen.tick <= tick]
    if outcome == "PASSED":
        assert any(seen.online for seen in before)
        assert tick >= LIMITS.well_s
        assert not any(seen.restarts for seen in before)
    else:
        assert tick <= LIMITS.longest_s + 30
