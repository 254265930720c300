"""Every pattern that a kiosk can play, by name; and a few that no kiosk may."""

from kiosk.devices.player import SILENT
from kiosk.logic import feedback
from kiosk.ports import Pattern, Step

# As feedback.py puts them together: several visitors at once, an inspector, a disk that failed for
# one of two.
COMPOSED = (
    feedback._one_after_the_other([feedback.ACCEPTED_IN, feedback.ACCEPTED_OUT]),
    feedback._one_after_the_other([feedback.ACCEPTED_OUT] * feedback.MOST_AT_ONCE),
    feedback.after(feedback.ACCEPTED_IN, feedback.FAULT),
    feedback.after(feedback.ACCEPTED_IN, feedback.status_pattern(7, 1000.0)),
    feedback.status_pattern(0, 1.0),
    feedback.status_pattern(1000, None),
    feedback.findings_pattern([2, 3]),
)

# Whatever has a name in feedback.py, in a table there or not.
NAMED = [value for value in vars(feedback).values() if isinstance(value, Pattern)]

PATTERNS = {pattern.name: pattern for pattern in (*NAMED, *COMPOSED)}


def later(pattern, place, seconds):
    """`pattern` with one step longer: a wrong one, which a comparison must refuse."""
    steps = list(pattern.steps)
    steps[place] = Step(steps[place].level, steps[place].seconds + seconds)
    return Pattern(f"{pattern.name}, {seconds * 1000:g} ms off", tuple(steps))


OFF_BY_5_MS = later(feedback.ACCEPTED_OUT, 1, 0.005)

PLAYABLE = {**PATTERNS, OFF_BY_5_MS.name: OFF_BY_5_MS, SILENT.name: SILENT}
