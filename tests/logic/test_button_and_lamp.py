"""Fingers and darkness."""

from itertools import pairwise

from kiosk.logic.button import HOLD_S, Button, Press
from kiosk.logic.lamp import REST_S, SETTLE_S, Lamp

FRAME_S = 1 / 30


def looks(button, downs):
    return [
        press
        for number, down in enumerate(downs)
        if (press := button.look(down=down, tick=number * FRAME_S)) is not None
    ]


def test_a_press_counts_once_however_long():
    assert looks(Button(), [False, True, True, True, False]) == [Press.PRESSED]


def test_chatter_of_one_look_is_nothing():
    assert looks(Button(), [False, True, False, True, False]) == []


def test_a_button_held_is_told_once():
    held = [True] * round(3 * HOLD_S / FRAME_S)
    assert looks(Button(), held) == [Press.PRESSED, Press.HELD]
    button = Button()
    assert looks(button, [*held, False]) == [Press.PRESSED, Press.HELD]
    assert looks(button, held) == [Press.PRESSED, Press.HELD]


def day(lamp, means):
    """A mean every half second; the frame is 60 levels brighter while the lamp is on."""
    states, on = [], False
    for number, mean in enumerate(means):
        on = lamp.look(mean + (60 if on else 0), number * 0.5)
        states.append(on)
    return states


def switches(states):
    return sum(one != other for one, other in pairwise(states))


def test_the_lamp_goes_on_in_the_dark_and_doesnt_blind_itself():
    states = day(Lamp(50), [30] * 200)
    assert states[0] is False
    assert states[-1] is True
    assert switches(states) == 1


def test_it_goes_off_when_there_is_other_light_again():
    states = day(Lamp(50), [30] * 40 + [150] * 40)
    assert states[39] is True
    assert states[-1] is False
    assert switches(states) == 2


def test_a_visitor_bending_over_the_glass_is_no_nightfall():
    shadow = [20] * int(SETTLE_S / 0.5)
    assert not any(day(Lamp(50), [120, *shadow, 120, 120, *shadow, 120]))


def test_no_lamp_is_never_on():
    assert not any(day(Lamp(0), [0] * 100))
    assert REST_S < SETTLE_S


def test_in_full_daylight_it_goes_off_however_bright_it_was_itself():
    lamp = Lamp(50)
    for number in range(20):
        lamp.look(20 if number < 8 else 165, number * 0.5)
    assert not [lamp.look(250, 10 + number * 0.5) for number in range(10)][-1]


def test_a_camera_that_hides_the_noon_is_found_out_in_time():
    lamp = Lamp(50)
    states = [False]
    for number in range(4000):
        # Dark until the lamp is on; from then on the camera makes 110 of lamp and noon alike.
        states.append(lamp.look(110 if any(states[-4:]) or number > 100 else 30, number * 0.5))
    assert states[100] is True
    assert states[-1] is False
