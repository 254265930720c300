"""What each verdict looks and sounds like, as data.

Every pattern differs from every other in the rhythm of its light *and* of its sound, so that it
is told apart without colour, without hearing, or without sight. `tests/logic/test_feedback.py`
holds the table to that.
"""

from collections.abc import Sequence

from checkin.blinks import STEPS
from kiosk.logic.station import Accepted, ForeignCode, Refused, Repeated, Verdict
from kiosk.ports import DARK, Level, Pattern, Step

# Tones of a passive buzzer; an active one has its own. High says yes, low says no: 2,730 Hz is
# where small piezo discs are loudest, 440 Hz is well below.
HIGH_HZ = 2730
LOW_HZ = 440


def _green(seconds: float, tone_hz: int = 0) -> Step:
    return Step(Level(green=True, tone_hz=tone_hz), seconds)


def _red(seconds: float, tone_hz: int = 0) -> Step:
    return Step(Level(red=True, tone_hz=tone_hz), seconds)


def _amber(seconds: float) -> Step:
    # Where no amber LED is fitted, the panel lights green and red together.
    return Step(Level(amber=True), seconds)


def _tone(tone_hz: int, seconds: float) -> Step:
    return Step(Level(amber=True, tone_hz=tone_hz), seconds)


def _dark(seconds: float) -> Step:
    return Step(DARK, seconds)


# One long beep, one long green: in.
ACCEPTED_IN = Pattern("accepted-in", (_green(0.25, HIGH_HZ), _green(0.95)))

# Two short beeps, green interrupted once: out.
ACCEPTED_OUT = Pattern(
    "accepted-out", (_green(0.12, HIGH_HZ), _dark(0.12), _green(0.12, HIGH_HZ), _green(0.84))
)

# A tick, a short green: you are in already.
REPEATED = Pattern("repeated", (_green(0.05, HIGH_HZ), _green(0.30)))

# One very long low tone, red as long: not here.
REFUSED = Pattern("refused", (_red(1.0, LOW_HZ), _red(0.6)))

# Three short low beeps, red flickers with them: that is no visitor's code.
FOREIGN = Pattern("foreign", (_red(0.08, LOW_HZ), _dark(0.08)) * 3)

# Long-short, long-short: the kiosk can't do its duty; use the paper form.
FAULT = Pattern("fault", (_red(0.50, LOW_HZ), _dark(0.15), _red(0.15, LOW_HZ), _dark(0.15)) * 2)

# The idle ones are silent.
STARTING = Pattern("starting", (_amber(0.5), _dark(0.5)))
READY = Pattern("ready", (_green(0.06), _dark(2.94)))
NOT_SYNCED = Pattern("not-synced", (_green(0.06), _dark(0.2), _amber(0.06), _dark(2.68)))
OUT_OF_ORDER = Pattern("out-of-order", (_red(0.25), _dark(0.75)))

# Pressed: which way from now on. Rising tones for in, falling ones for out.
DIRECTION_IN = Pattern(
    "direction-in",
    (_amber(0.1), _tone(LOW_HZ, 0.15), _dark(0.05), _tone(HIGH_HZ, 0.45), _dark(0.1)),
)
DIRECTION_OUT = Pattern(
    "direction-out",
    (_amber(0.1), _tone(HIGH_HZ, 0.45), _dark(0.05), _tone(LOW_HZ, 0.15), _dark(0.1)),
)

# Held: every light and both tones, one after the other, then what was found. Green only together
# with red, which was seen alone before: anybody may ask for it, and green alone is for what is on
# disk.
SELF_TEST = Pattern(
    "self-test",
    (
        _red(0.4), _dark(0.1), Step(Level(green=True, red=True), 0.4), _dark(0.1),
        _amber(0.4), _dark(0.1),
        _tone(HIGH_HZ, 0.3), _dark(0.1), _tone(LOW_HZ, 0.3), _dark(0.4),
    ),
)  # fmt: skip

# The self-test found nothing. Not green: green is for what is on disk.
WELL = Pattern("well", (_tone(HIGH_HZ, 0.1), _dark(0.1)) * 4)

# The self-test found something: after it, slow low beeps with red count the part's number
# (kiosk/logic/examination.py), a part after the other.
MOST_FINDINGS = 3

BUTTONS = (DIRECTION_IN, DIRECTION_OUT, SELF_TEST, WELL)

# An inspector's pass makes the lights tell how it stands: green flashes with high beeps for the
# check-ins that wait, then amber ones with low beeps for how long ago the central confirmed any.
# One is well, two are so-so, three are bad.
FEW_WAITING = 100
LATELY_S = 900.0
TODAY_S = 86_400.0

VERDICTS = (ACCEPTED_IN, ACCEPTED_OUT, REPEATED, REFUSED, FOREIGN, FAULT)
IDLE = (STARTING, READY, NOT_SYNCED, OUT_OF_ORDER)

# Two people who show their cards at once each get their own; more than three wouldn't be told
# apart any more, and the next visitor is waiting.
MOST_AT_ONCE = 3


def pattern_for(verdicts: Sequence[Verdict]) -> Pattern | None:
    """What to show for the verdicts of one frame, or None where nothing is new.

    Whoever is accepted is told so, whatever else is in sight; a poster behind them isn't.
    """
    accepted = [_accepted(verdict) for verdict in verdicts if isinstance(verdict, Accepted)]
    if accepted:
        return _one_after_the_other(accepted[:MOST_AT_ONCE])
    for kind, pattern in ((Refused, REFUSED), (Repeated, REPEATED), (ForeignCode, FOREIGN)):
        if any(isinstance(one, kind) and not one.held for one in verdicts):
            return pattern
    return None


def status_pattern(waiting: int, confirmed_s: float | None) -> Pattern:
    """What an inspector is shown: `waiting` check-ins, the last receipt `confirmed_s` ago."""
    backlog = 1 if waiting == 0 else 2 if waiting < FEW_WAITING else 3
    ages = (LATELY_S, TODAY_S)
    age = 3 if confirmed_s is None else 1 + sum(confirmed_s >= limit for limit in ages)
    steps = [_dark(0.6)]
    steps += [_green(0.2, HIGH_HZ), _dark(0.3)] * backlog
    steps += [_dark(0.5)]
    steps += [_tone(LOW_HZ, 0.2), _dark(0.3)] * age
    return Pattern(f"status-{backlog}-{age}", tuple(steps))


def findings_pattern(numbers: Sequence[int]) -> Pattern:
    """What the self-test found: nothing, or the numbers of the parts that aren't well."""
    if not numbers:
        return WELL
    steps: list[Step] = []
    for number in numbers[:MOST_FINDINGS]:
        steps += [_dark(0.8), *[_red(0.3, LOW_HZ), _dark(0.3)] * number]
    name = "-".join(map(str, numbers[:MOST_FINDINGS]))
    return Pattern(f"found-{name}", tuple(steps))


def first_boot_pattern(step: str) -> Pattern:
    """First boot left `step` undone: amber counts it, then green as when ready, for it serves."""
    number = STEPS.index(step) + 1
    ready = (_dark(0.9), _green(0.06), _dark(1.2))
    return Pattern(f"first-boot-{number}", (*(_amber(0.2), _dark(0.3)) * number, *ready))


def after(pattern: Pattern, then: Pattern) -> Pattern:
    """One pattern behind the other, as one."""
    return Pattern(f"{pattern.name}+{then.name}", (*pattern.steps, *then.steps))


def idle_pattern(*, faults: bool, synced: bool, step: str | None = None) -> Pattern:
    """What to show while nobody is there; `step` of first boot has failed.

    A kiosk that isn't enrolled yet shows nothing of its own: it serves, and after a while it is
    one that nothing was confirmed of.
    """
    if faults:
        return OUT_OF_ORDER
    if step is not None:
        return first_boot_pattern(step)
    return READY if synced else NOT_SYNCED


def _accepted(verdict: Accepted) -> Pattern:
    return ACCEPTED_OUT if verdict.direction == "out" else ACCEPTED_IN


def _one_after_the_other(patterns: Sequence[Pattern]) -> Pattern:
    if len(patterns) == 1:
        return patterns[0]
    steps = [step for pattern in patterns for step in (*pattern.steps, _dark(0.15))]
    return Pattern("+".join(pattern.name for pattern in patterns), tuple(steps))
