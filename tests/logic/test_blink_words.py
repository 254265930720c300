"""Each blink and light has its words, and they are those of the README."""

from checkin import blinks
from checkin.words import _, in_language
from docs import pages
from kiosk.logic import feedback
from provisioning import blink_words


def test_every_part_and_every_step_has_its_words_in_order():
    assert tuple(blink_words.PARTS) == blinks.PARTS
    assert tuple(blink_words.STEPS) == blinks.STEPS


def test_numbers_that_are_read_out_over_the_telephone_never_change():
    assert blinks.PARTS[:11] == (
        "camera", "lights", "buttons", "clock", "disk", "outbox", "broker", "certificate",
        "central", "kiosk", "rules",
    )  # fmt: skip


def test_every_light_that_a_visitor_sees_has_its_meaning():
    patterns = {pattern.name: pattern for pattern in (*feedback.VERDICTS, *feedback.IDLE)}
    assert tuple(blink_words.LIGHTS) == tuple(patterns)
    with in_language("en"):
        for name, told in blink_words.LIGHTS.items():
            assert _(told.meaning) == pages.MEANING[name][1]
            beeps = [step for step in patterns[name].steps if step.level.tone_hz]
            assert bool(told.sound) == bool(beeps)
            if beeps:
                high = beeps[0].level.tone_hz == feedback.HIGH_HZ
                assert ("low" in told.sound) != high
            lit = next(step.level for step in patterns[name].steps if any(step.level[:3]))
            assert getattr(lit, told.light.split(",")[0])
