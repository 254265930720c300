"""The panel: gpiozero on its mock pins, the simulated twins, and the player that drives them."""

import io
import threading
import time

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from kiosk.devices.gpio_panel import GpioPanel
from kiosk.devices.player import Player
from kiosk.devices.simulated_panel import RecordingPanel, TerminalPanel, drawn
from kiosk.logic import feedback
from kiosk.ports import DARK, Buttons, Level, PanelError, Pattern, Step
from tests.system.conftest import wait_until

QUICK = Pattern(
    "quick",
    (Step(Level(green=True, tone_hz=2000), 0.06), Step(DARK, 0.04), Step(Level(red=True), 0.05)),
)
IDLE = Pattern("idle", (Step(Level(amber=True), 0.03), Step(DARK, 0.03)))


class Watch:
    """Keeps every level a player shows, with its tick."""

    def __init__(self):
        self.seen = []
        self.changed = threading.Condition()

    def show(self, level):
        with self.changed:
            self.seen.append((time.monotonic(), level))
            self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, timeout=5), self.seen

    @property
    def levels(self):
        return [level for _, level in self.seen]


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def player(watch):
    player = Player(watch.show)
    yield player
    player.close()


def test_a_pattern_is_played_in_order_and_ends_dark(watch, player):
    watch.wait_for(1)
    player.play(QUICK)
    watch.wait_for(5)
    assert watch.levels == [DARK, QUICK.steps[0].level, DARK, QUICK.steps[2].level, DARK]


def test_a_pattern_is_played_in_time(watch, player):
    watch.wait_for(1)
    began = time.monotonic()
    player.play(QUICK)
    watch.wait_for(5)
    ticks = [tick - began for tick, _ in watch.seen[1:]]
    for tick, due in zip(ticks, (0, 0.06, 0.10, 0.15), strict=True):
        # An edge is never early; late by a scheduler's mood at most.
        assert due - 0.001 <= tick < due + 0.25


def test_the_next_verdict_replaces_what_plays(watch, player):
    long = Pattern("long", (Step(Level(red=True), 60),))
    player.play(long)
    watch.wait_for(2)
    player.play(QUICK)
    watch.wait_for(3)
    assert watch.levels[-1].green


def test_the_idle_pattern_repeats_and_comes_back_after_a_verdict(watch, player):
    player.rest(IDLE)
    watch.wait_for(6)
    player.play(QUICK)
    watch.wait_for(14)
    levels = watch.levels
    at = levels.index(QUICK.steps[0].level)
    assert set(levels[:at]) == {DARK, Level(amber=True)}
    assert Level(amber=True) in levels[at:]


def test_closing_leaves_it_dark_at_once(watch):
    player = Player(watch.show)
    player.play(Pattern("long", (Step(Level(red=True), 60),)))
    watch.wait_for(2)
    player.close()
    assert watch.levels[-1] == DARK


def test_pins_that_fail_are_said_at_the_next_verdict():
    failed = threading.Event()

    def show(level):
        if level != DARK:
            failed.set()
            raise RuntimeError("the chip is gone")

    player = Player(show)
    player.play(QUICK)
    assert failed.wait(5)
    player._thread.join(5)
    with pytest.raises(PanelError, match="the chip is gone"):
        player.play(QUICK)
    player.close()


@pytest.fixture
def factory():
    factory = MockFactory(pin_class=MockPWMPin)
    yield factory
    factory.reset()


def pins(factory, *numbers):
    return tuple(factory.pin(number).state for number in numbers)


def settled(factory, expected, *numbers):
    """Wait for the player's thread to have set the pins."""
    end = time.monotonic() + 5
    while pins(factory, *numbers) != expected and time.monotonic() < end:
        threading.Event().wait(0.002)
    return pins(factory, *numbers)


STEADY = {
    "green": Pattern("g", (Step(Level(green=True, tone_hz=2000), 60),)),
    "red": Pattern("r", (Step(Level(red=True), 60),)),
    "amber": Pattern("a", (Step(Level(amber=True), 60),)),
}


def test_pins_are_low_before_anything_plays_and_after_closing(factory):
    panel = GpioPanel(17, 27, amber_pin=24, buzzer_pin=22, factory=factory)
    assert pins(factory, 17, 27, 24, 22) == (0, 0, 0, 0)
    panel.play(STEADY["green"])
    assert settled(factory, (1, 0, 0, 1), 17, 27, 24, 22) == (1, 0, 0, 1)
    panel.close()
    assert pins(factory, 17, 27, 24, 22) == (0, 0, 0, 0)


def test_each_light_is_its_own_pin(factory):
    panel = GpioPanel(17, 27, amber_pin=24, factory=factory)
    panel.play(STEADY["red"])
    assert settled(factory, (0, 1, 0), 17, 27, 24) == (0, 1, 0)
    panel.play(STEADY["amber"])
    assert settled(factory, (0, 0, 1), 17, 27, 24) == (0, 0, 1)
    panel.close()


def test_without_an_amber_led_green_and_red_make_it(factory):
    panel = GpioPanel(17, 27, factory=factory)
    panel.play(STEADY["amber"])
    assert settled(factory, (1, 1), 17, 27) == (1, 1)
    panel.close()


def test_a_passive_buzzer_gets_its_tone(factory):
    panel = GpioPanel(17, 27, buzzer_pin=22, buzzer="passive", factory=factory)
    panel.play(STEADY["green"])
    assert settled(factory, (1, 0.5), 17, 22) == (1, 0.5)
    assert factory.pin(22).frequency == 2000
    panel.play(STEADY["red"])
    assert settled(factory, (0, 0), 17, 22) == (0, 0)
    panel.close()


def test_every_pattern_of_the_table_can_be_played(factory):
    panel = GpioPanel(17, 27, amber_pin=24, buzzer_pin=22, buzzer="passive", factory=factory)
    for pattern in (*feedback.VERDICTS, *feedback.IDLE):
        panel.play(pattern)
        panel.rest(pattern)
    panel.close()


def test_pins_that_somebody_else_holds_are_said(factory):
    held = GpioPanel(17, 27, factory=factory)
    with pytest.raises(PanelError, match="the pins can't be had.*group gpio"):
        GpioPanel(17, 27, factory=factory)
    held.close()


def test_without_a_pi_the_pins_are_a_fault_and_no_silent_fallback():
    with pytest.raises(PanelError, match="lgpio"):
        GpioPanel(17, 27)


def test_the_recording_twin_shows_what_the_pins_would():
    clock = [0.0]
    panel = RecordingPanel(tick=lambda: clock[0])
    assert panel.level() == DARK
    panel.rest(IDLE)
    assert panel.level() == Level(amber=True)
    clock[0] = 0.04
    assert panel.level() == DARK
    panel.play(QUICK)
    assert panel.level().green
    clock[0] += QUICK.seconds
    assert panel.level() == Level(amber=True)
    panel.close()
    assert panel.level() == DARK
    assert [pattern for _, pattern in panel.played] == [QUICK]


def test_the_terminal_twin_draws_light_and_sound():
    out = io.StringIO()
    panel = TerminalPanel(out)
    panel.rest(IDLE)
    panel.rest(IDLE)
    panel.play(QUICK)
    panel.close()
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("panel idle")
    assert lines[1].startswith("panel quick")
    assert "light G·R  sound ♪··" in lines[1]
    assert len(lines) == 3


@pytest.mark.parametrize("pattern", [*feedback.VERDICTS, *feedback.IDLE])
def test_a_drawing_is_as_long_as_its_pattern(pattern):
    light = drawn(pattern).split()[1]
    assert len(light) == pytest.approx(pattern.seconds / 0.05, abs=len(pattern.steps))


def test_a_button_to_ground_is_down_while_it_is_pressed(factory):
    panel = GpioPanel(17, 27, direction_button_pin=5, test_button_pin=6, factory=factory)
    assert panel.buttons() == (False, False)
    factory.pin(5).drive_low()
    assert panel.buttons() == Buttons(direction=True)
    factory.pin(5).drive_high()
    factory.pin(6).drive_low()
    assert panel.buttons() == Buttons(test=True)
    panel.close()


def test_buttons_that_arent_fitted_are_never_down(factory):
    panel = GpioPanel(17, 27, factory=factory)
    assert panel.buttons() == (False, False)
    panel.lamp(on=True)
    panel.close()


def test_the_lamp_is_a_pin_of_its_own_and_dark_at_the_end(factory):
    panel = GpioPanel(17, 27, lamp_pin=23, factory=factory)
    panel.lamp(on=True)
    assert factory.pin(23).state
    panel.close()
    assert not factory.pin(23).state


def test_the_twins_have_buttons_and_a_lamp_too():
    out = io.StringIO()
    terminal = TerminalPanel(out)
    terminal.lamp(on=True)
    assert terminal.buttons() == Buttons()
    assert "lamp  on" in out.getvalue()
    recording = RecordingPanel(tick=lambda: 0.0)
    recording.down = Buttons(test=True)
    recording.lamp(on=True)
    assert (recording.buttons().test, recording.lamp_on) == (True, True)


def test_a_pin_that_does_not_answer_is_noticed():
    tick, answers = [100.0], threading.Event()
    player = Player(lambda _level: answers.wait(10), tick=lambda: tick[0])
    wait_until(lambda: player._showing_since is not None, 5, "a level that is being shown")
    player.check()
    tick[0] += 2.5
    with pytest.raises(PanelError, match="haven't answered"):
        player.check()
    answers.set()
    player.close()


def test_a_player_whose_pins_failed_says_so():
    def fail(_level):
        raise OSError("no such line")

    player = Player(fail)
    wait_until(lambda: player._trouble is not None, 5, "the trouble")
    with pytest.raises(PanelError, match="no such line"):
        player.check()
    player.close()
