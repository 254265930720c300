"""A pattern as edges on pins: what must come, and how far what came is from it."""

from itertools import pairwise
from statistics import mean
from typing import NamedTuple

from kiosk.ports import DARK

# An edge within this is on time. Steps differ by 10 ms and more.
TOLERANCE_S = 0.002
TONE_TOLERANCE = 0.02

# A tone begins when the periods before have ended, of which gpiozero's first ones take 10 ms; it
# ends within one of the lowest tone.
TONE_LATE_S = 0.025
TONE_OVER_S = 0.005


class Rig(NamedTuple):
    """Which pins a panel has; 0 for what isn't fitted."""

    green: int
    red: int
    amber: int
    buzzer: int
    is_passive: bool = False


class Tone(NamedTuple):
    begins_s: float
    ends_s: float
    hz: int


class WrongError(AssertionError):
    """What came isn't what had to come."""


def edges_due(pattern, rig):
    """[(seconds from the pattern's beginning, pin, level)] of the lamps and an active buzzer."""
    due = []
    was = _levels(DARK, rig)
    for begins_s, level in _levels_in_time(pattern):
        now = _levels(level, rig)
        due += [(begins_s, pin, now[pin]) for pin in now if now[pin] != was[pin]]
        was = now
    return due


def tones_due(pattern):
    """What a passive buzzer plays; steps of one pitch that follow each other are one tone."""
    tones = []
    begins_s = 0.0
    for step in pattern.steps:
        ends_s = begins_s + step.seconds
        hz = step.level.tone_hz
        if tones and hz and tones[-1].hz == hz and tones[-1].ends_s == begins_s:
            tones[-1] = tones[-1]._replace(ends_s=ends_s)
        elif hz:
            tones.append(Tone(begins_s, ends_s, hz))
        begins_s = ends_s
    return tones


def deviations(due, came):
    """By how many seconds each edge of `came` was late, from the first one.

    Raises `WrongError` where another edge came, or one that isn't due, or one too few, or one that
    is late or early. Pins that change at one moment may do so in any order.
    """
    pins = {pin for _, pin, _ in due} | {edge.pin for edge in came}
    first_due = due[0][0] if due else 0.0
    first_came = came[0].at_s if came else 0.0
    late = []
    for pin in sorted(pins):
        wanted = [(at_s - first_due, level) for at_s, one, level in due if one == pin]
        got = [(edge.at_s - first_came, edge.level) for edge in came if edge.pin == pin]
        if [level for _, level in wanted] != [level for _, level in got]:
            raise WrongError(f"pin {pin}: due {_drawn(wanted)}, came {_drawn(got)}")
        late += [b - a for (a, _), (b, _) in zip(wanted, got, strict=True)]
    worst = max(map(abs, late), default=0.0)
    if worst > TOLERANCE_S:
        raise WrongError(f"an edge is {worst * 1000:.2f} ms off")
    return late


def pitches(tones, came, began_s):
    """How high each tone was, relative to what was due; `came` are the buzzer's edges.

    Raises `WrongError` where a tone is too high, too low, late, or where there should be silence.
    """
    rises = [edge.at_s - began_s for edge in came if edge.level]
    found = []
    for tone in tones:
        from_s, to_s = tone.begins_s - TOLERANCE_S, tone.ends_s + TONE_OVER_S
        inside = [at_s for at_s in rises if from_s <= at_s < to_s]
        if len(inside) < 3 or inside[0] > tone.begins_s + TONE_LATE_S:
            raise WrongError(f"{tone} came as {inside[:1]} and {len(inside)} periods")
        period_s = mean(b - a for a, b in pairwise(inside))
        found.append(1 / period_s / tone.hz)
        rises = [at_s for at_s in rises if not from_s <= at_s < to_s]
    if rises:
        raise WrongError(f"{len(rises)} edges where there should be silence, from {rises[0]} s")
    if any(abs(pitch - 1) > TONE_TOLERANCE for pitch in found):
        raise WrongError(f"pitches relative to those due: {found}")
    return found


def _levels_in_time(pattern):
    begins_s = 0.0
    for step in pattern.steps:
        yield begins_s, step.level
        begins_s += step.seconds
    yield begins_s, DARK


def _levels(level, rig):
    """Pin by pin; without an amber lamp green and red make its colour."""
    both = level.amber and not rig.amber
    pins = {rig.green: level.green or both, rig.red: level.red or both}
    if rig.amber:
        pins[rig.amber] = level.amber
    if rig.buzzer and not rig.is_passive:
        pins[rig.buzzer] = level.tone_hz > 0
    return {pin: int(is_on) for pin, is_on in pins.items()}


def _drawn(edges):
    return [f"{at_s * 1000:.1f} ms: {level}" for at_s, level in edges]
