"""The panel on real gpiozero and real lgpio: what a lamp, a buzzer and a button would see of it.

The chip under lgpio is pretended (pretended_chip.c), and the board's revision; nothing else is.
"""

import random
import time
from statistics import median

import pytest

from kiosk.logic import feedback
from kiosk.ports import DARK, Level, Pattern, Step
from tests.real_libraries.chip import Edge
from tests.real_libraries.conftest import PI_4B, PI_5
from tests.real_libraries.patterns import OFF_BY_5_MS, PATTERNS, SILENT, later
from tests.real_libraries.timeline import (
    TOLERANCE_S,
    Rig,
    WrongError,
    deviations,
    edges_due,
    pitches,
    tones_due,
)

ALL_FITTED = Rig(green=17, red=27, amber=24, buzzer=22)
DIRECTION, TEST, LAMP = 5, 6, 23

# Three lanes play at once, so that 40 s of patterns take 14: each on a panel with all lamps and an
# active buzzer, and on one without an amber lamp and with a passive buzzer.
LANES = (
    (ALL_FITTED, Rig(green=4, red=7, amber=0, buzzer=8, is_passive=True)),
    (Rig(9, 10, 11, 12), Rig(13, 16, 0, 18, is_passive=True)),
    (Rig(19, 20, 21, 23), Rig(25, 26, 0, 14, is_passive=True)),
)
RIGS = [rig for lane in LANES for rig in lane]

# The machine has other work too: a pattern that came late is played again, alone. What is wrong
# stays wrong however often it is played.
TRIES = 10

# From the verdict to the first light: a visitor calls that at once.
AT_ONCE_S = 0.05

# A contact's chatter, in seconds, and for how long it goes on at most.
BOUNCE_S = (0.0002, 0.002)
CHATTER_S = 0.005


def panel(rig, **more):
    """GpioPanel's settings."""
    buzzer = "passive" if rig.is_passive else "active"
    return {
        "green_pin": rig.green,
        "red_pin": rig.red,
        "amber_pin": rig.amber,
        "buzzer_pin": rig.buzzer,
        "buzzer": buzzer,
        **more,
    }


def pins(rig):
    return {pin for pin in rig[:4] if pin}


def dark(chip, rig):
    return not any(chip.level(pin) for pin in pins(rig))


def compare(pattern, rig, edges, begun):
    """How late each edge was, and how high each tone; WrongError where it isn't that pattern."""
    lamps = [edge for edge in edges if edge.pin != rig.buzzer or not rig.is_passive]
    due = edges_due(pattern, rig)
    late = deviations(due, lamps)
    began = lamps[0].at_s - due[0][0]
    if not begun <= began < begun + AT_ONCE_S:
        raise WrongError(f"it began {(began - begun) * 1000:.1f} ms after it was asked for")
    if not rig.is_passive:
        return late, []
    return late, pitches(tones_due(pattern), [e for e in edges if e.pin == rig.buzzer], began)


def played(playing, chip, lanes):
    """Play the lanes; {(name, rig): its edges and when it was asked for}."""
    since = chip.edges_so_far()
    begun = playing.ask("play", lanes)
    edges = chip.edges(since)
    found = {}
    for name, places, begun_s in begun:
        ends = min((b for n, p, b in begun if p == places and b > begun_s), default=float("inf"))
        for rig in (RIGS[place] for place in places):
            mine = [edge for edge in edges if edge.pin in pins(rig) and begun_s <= edge.at_s < ends]
            found[name, rig] = (mine, begun_s)
    return found


def lanes_of(names):
    """Names shared out, the longest first, so that all lanes end at about the same time."""
    lanes = [[0.0, [2 * lane, 2 * lane + 1], []] for lane in range(len(LANES))]
    for name in sorted(names, key=lambda name: -PATTERNS[name].seconds):
        lane = min(lanes)
        lane[0] += PATTERNS[name].seconds
        lane[2].append(name)
    return [[places, names] for _, places, names in lanes]


def test_every_pattern_reaches_the_pins_in_time(program, chip):
    playing = program(*(panel(rig) for rig in RIGS), hurried=True)
    lanes = lanes_of(PATTERNS)
    late, heard, wrong, again = [], [], {}, ""
    for _ in range(TRIES):
        wrong = {}
        for (name, rig), (edges, begun) in played(playing, chip, lanes).items():
            try:
                edges_late, pitches_heard = compare(PATTERNS[name], rig, edges, begun)
            except WrongError as error:
                wrong[name, rig] = str(error)
            else:
                late += [abs(one) for one in edges_late]
                heard += [abs(pitch - 1) for pitch in pitches_heard]
        if not wrong:
            break
        again = f"; played again: {wrong}"
        lanes = [[[0, 1], sorted({name for name, _ in wrong})]]
    playing.end()
    assert not wrong
    print(
        f"\n{len(late)} edges: median {median(late) * 1e3:.3f} ms, worst {max(late) * 1e3:.3f} ms"
        f" off; {len(heard)} tones: median {median(heard):.2%}, worst {max(heard):.2%} off{again}"
    )


def test_a_pattern_that_is_5_ms_off_is_refused(program, chip):
    playing = program(*(panel(rig) for rig in RIGS[:2]), hurried=True)
    found = played(playing, chip, [[[0, 1], [OFF_BY_5_MS.name]]])
    playing.end()
    for (_, rig), (edges, begun) in found.items():
        with pytest.raises(WrongError, match="ms off"):
            compare(feedback.ACCEPTED_OUT, rig, edges, begun)


def test_lamps_on_each_others_pins_are_refused(program, chip):
    crossed = ALL_FITTED._replace(green=ALL_FITTED.red, red=ALL_FITTED.green)
    playing = program(panel(crossed), hurried=True)
    name = feedback.REPEATED.name
    edges, begun = played(playing, chip, [[[0], [name]]])[name, ALL_FITTED]
    playing.end()
    with pytest.raises(WrongError, match="due"):
        compare(feedback.REPEATED, ALL_FITTED, edges, begun)


def as_edges(pattern, rig):
    """What a perfect panel would do, from a monotonic 100 s on."""
    return [Edge(100 + at_s, pin, level) for at_s, pin, level in edges_due(pattern, rig)]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
@pytest.mark.parametrize("rig", RIGS[:2], ids=["all fitted", "no amber, passive"])
def test_the_comparison_takes_what_is_right_and_refuses_what_is_not(pattern, rig):
    due, came = edges_due(pattern, rig), as_edges(pattern, rig)
    assert deviations(due, came) == pytest.approx([0] * len(due))
    for other in PATTERNS.values():
        if other != pattern:
            with pytest.raises(WrongError):
                deviations(edges_due(other, rig), came)
    for wrong in (came[:-1], [*came, came[-1]], came[2:]):
        with pytest.raises(WrongError):
            deviations(due, wrong)
    lit = [place for place, step in enumerate(pattern.steps) if step.level != DARK]
    for place in range(lit[0], lit[-1]):
        if pattern.steps[place].level != pattern.steps[place + 1].level:
            off = later(pattern, place, TOLERANCE_S + 0.0005)
            with pytest.raises(WrongError):
                deviations(due, as_edges(off, rig))


def tone(hz, seconds, began_s=0.0):
    half = 0.5 / hz
    return [Edge(began_s + n * half, 22, 1 - n % 2) for n in range(int(seconds / half))]


def test_the_comparison_hears_a_wrong_pitch_and_a_tone_too_many_or_too_few():
    due = tones_due(Pattern("two", (Step(Level(tone_hz=440), 0.5), Step(DARK, 0.5))))
    assert pitches(due, tone(440, 0.5), 0.0) == pytest.approx([1.0])
    late_end = tone(440, 0.5) + tone(440, 0.1, began_s=0.8)
    for wrong in (tone(453, 0.5), tone(427, 0.5), [], tone(440, 0.45, 0.05), late_end):
        with pytest.raises(WrongError):
            pitches(due, wrong, 0.0)
    with pytest.raises(WrongError):
        pitches([], tone(440, 0.5), 0.0)


def test_an_idle_pattern_repeats_in_time(program, chip):
    resting = program(panel(ALL_FITTED), hurried=True)
    starting = feedback.STARTING
    twice = edges_due(feedback.after(starting, starting), ALL_FITTED)
    wrong = []
    for _ in range(TRIES):
        since = chip.edges_so_far()
        resting.ask("rest", starting.name, 2.2 * starting.seconds)
        try:
            # Two whole periods as one pattern; the third was cut short.
            deviations(twice, chip.edges(since)[: len(twice)])
        except WrongError as error:
            wrong.append(error)
        else:
            break
        resting.ask("rest", SILENT.name, 0.1)
    resting.end()
    assert len(wrong) < TRIES, wrong


def test_pins_are_low_before_anything_plays_and_after_closing(program, chip):
    playing = program(panel(ALL_FITTED, lamp_pin=LAMP))
    assert playing.first == {"holds": 1}
    assert (dark(chip, ALL_FITTED), chip.edges()) == (True, [])
    assert all(chip.is_held(pin) for pin in pins(ALL_FITTED))
    playing.ask("begin", feedback.REFUSED.name)
    playing.ask("lamp", True)
    until(lambda: chip.level(ALL_FITTED.red) and chip.level(LAMP))
    playing.end()
    assert dark(chip, ALL_FITTED)
    assert not chip.level(LAMP)
    # By somebody who closed them, and not by the process's end.
    assert [edge.level for edge in chip.edges() if edge.pin == ALL_FITTED.red] == [1, 0]


def test_pins_are_let_go_of_when_the_process_is_killed(program, chip):
    killed = program(panel(ALL_FITTED))
    killed.ask("begin", feedback.REFUSED.name)
    until(lambda: chip.level(ALL_FITTED.red))
    killed.kill()
    assert not any(chip.is_held(pin) for pin in pins(ALL_FITTED))
    assert dark(chip, ALL_FITTED)
    after = program(panel(ALL_FITTED))
    assert after.first == {"holds": 1}
    assert dark(chip, ALL_FITTED)
    after.end()


@pytest.mark.parametrize("revision", [PI_4B, PI_5], ids=["Pi 4", "Pi 5"])
def test_a_pin_that_another_process_holds_is_said_with_what_to_do(program, chip, revision):
    holder = program(panel(ALL_FITTED), revision=revision)
    said = program({"green_pin": 2, "red_pin": ALL_FITTED.red}, revision=revision).first["error"]
    assert "busy" in said
    assert "does no other program hold them?" in said
    assert chip.is_held(ALL_FITTED.red)
    holder.end()
    assert program(panel(ALL_FITTED), revision=revision).first == {"holds": 1}


def test_buttons_are_seen_pressed_and_released(program, chip):
    looking = program(panel(ALL_FITTED, direction_button_pin=DIRECTION, test_button_pin=TEST))
    seen = [looking.ask("pressed")]
    for move in (chip.press, chip.release):
        for pin in (DIRECTION, TEST):
            move(pin)
            seen.append(looking.ask("pressed"))
    looking.end()
    up, first, both, last = [False, False], [True, False], [True, True], [False, True]
    assert seen == [up, first, both, last, up]


def test_a_press_is_one_press_however_the_contact_chatters(program, chip):
    chance = random.Random(20261122)
    looking = program(panel(ALL_FITTED, direction_button_pin=DIRECTION, test_button_pin=TEST))
    looking.tell("buttons", 6.0)
    assert looking.answer() == {"watching": True}
    for _ in range(10):
        chatter(chip, chance, DIRECTION, is_down=True)
        spin(chance.uniform(0.1, 0.2))
        chatter(chip, chance, DIRECTION, is_down=False)
        spin(chance.uniform(0.1, 0.2))
    chatter(chip, chance, TEST, is_down=True)
    told = looking.answer()
    looking.end()
    assert told == [["direction", "PRESSED"]] * 10 + [["test", "PRESSED"], ["test", "HELD"]]


def chatter(chip, chance, pin, *, is_down):
    """Bounce as a contact does that closes or opens, and stay there."""
    end = time.monotonic() + chance.uniform(0, CHATTER_S)
    while time.monotonic() < end:
        chip.press(pin)
        spin(chance.uniform(*BOUNCE_S))
        chip.release(pin)
        spin(chance.uniform(*BOUNCE_S))
    (chip.press if is_down else chip.release)(pin)


def spin(seconds):
    """Wait without sleeping: a bounce is shorter than what a scheduler gives back."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        spin(0.005)
