"""LEDs and a buzzer on the Pi's pins, by gpiozero on lgpio.

Each LED: BCM pin, 330 Ω, long leg; short leg to ground. Active buzzer: BCM pin to the base
resistor of a transistor, see hardware.md; it beeps when the pin is high. Passive buzzer: the
same, and the pin carries the tone. Button: BCM pin to one contact, ground to the other. Lamp: like
the buzzer, by a transistor.
"""

from collections.abc import Sequence
from typing import Any, Literal

from checkin.marks import text
from kiosk.devices.player import Player
from kiosk.ports import Buttons, Level, PanelError, Pattern

# Half on, half off: the loudest a square wave gets.
DUTY = 0.5


class GpioPanel:
    """Green and red LED, an optional amber one, and an optional buzzer.

    Pins are BCM numbers, 0 for what isn't fitted. Every pin is low from the first moment and at
    the end. `factory` is gpiozero's pin factory; None takes lgpio's, so that a fault is a fault
    and no other factory is tried in silence.
    """

    def __init__(
        self,
        green_pin: int,
        red_pin: int,
        *,
        amber_pin: int = 0,
        buzzer_pin: int = 0,
        buzzer: Literal["active", "passive"] = "active",
        lamp_pin: int = 0,
        direction_button_pin: int = 0,
        test_button_pin: int = 0,
        factory: Any = None,  # noqa: ANN401  gpiozero has no types
    ) -> None:
        try:
            import gpiozero  # noqa: PLC0415  asks for pins only when a panel is wanted

            factory = factory or _lgpio()
            self._green = gpiozero.LED(green_pin, initial_value=False, pin_factory=factory)
            self._red = gpiozero.LED(red_pin, initial_value=False, pin_factory=factory)
            self._amber = (
                gpiozero.LED(amber_pin, initial_value=False, pin_factory=factory)
                if amber_pin
                else None
            )
            self._buzzer = _buzzer(gpiozero, buzzer_pin, buzzer, factory)
            self._lamp = (
                gpiozero.LED(lamp_pin, initial_value=False, pin_factory=factory)
                if lamp_pin
                else None
            )
            self._direction = _button(gpiozero, direction_button_pin, factory)
            self._test = _button(gpiozero, test_button_pin, factory)
        except Exception as error:
            # gpiozero and lgpio raise a dozen kinds; for a door they are one.
            raise PanelError(
                text(
                    "the pins can't be had: {why}. Is the user in the group gpio, is lgpio there "
                    "(apt install python3-lgpio), and does no other program hold them?",
                    why=str(error),
                )
            ) from error
        self._is_passive = buzzer == "passive"
        self._player = Player(self._show)

    def play(self, pattern: Pattern) -> None:
        self._player.play(pattern)

    def rest(self, pattern: Pattern) -> None:
        self._player.rest(pattern)

    def buttons(self) -> Buttons:
        direction, test = (
            button is not None and bool(button.is_active)
            for button in (self._direction, self._test)
        )
        return Buttons(direction=direction, test=test)

    def lamp(self, *, on: bool) -> None:
        if self._lamp is not None:
            _set(self._lamp, on=on)

    def check(self) -> None:
        self._player.check()

    def close(self) -> None:
        self._player.close()
        for device in self._devices():
            device.off()
            device.close()
        for button in (self._direction, self._test):
            if button is not None:
                button.close()

    def _devices(self) -> Sequence[Any]:
        all_of_them = (self._green, self._red, self._amber, self._buzzer, self._lamp)
        return [device for device in all_of_them if device is not None]

    def _show(self, level: Level) -> None:
        # Without an amber LED the two others make its colour between them.
        both = level.amber and self._amber is None
        _set(self._green, on=level.green or both)
        _set(self._red, on=level.red or both)
        if self._amber is not None:
            _set(self._amber, on=level.amber)
        if self._buzzer is None:
            return
        if self._is_passive and level.tone_hz:
            self._buzzer.frequency = level.tone_hz
            self._buzzer.value = DUTY
        else:
            _set(self._buzzer, on=level.tone_hz > 0)


def _buzzer(gpiozero: Any, pin: int, kind: str, factory: Any) -> Any:  # noqa: ANN401
    if not pin:
        return None
    if kind == "passive":
        return gpiozero.PWMOutputDevice(pin, initial_value=0, pin_factory=factory)
    return gpiozero.Buzzer(pin, initial_value=False, pin_factory=factory)


def _button(gpiozero: Any, pin: int, factory: Any) -> Any:  # noqa: ANN401
    """A button to ground, on the pin's own pull-up; its chatter is the loop's to sort out."""
    if not pin:
        return None
    return gpiozero.DigitalInputDevice(pin, pull_up=True, pin_factory=factory)


def _set(device: Any, *, on: bool) -> None:  # noqa: ANN401
    if on:
        device.on()
    else:
        device.off()


def _lgpio() -> Any:  # noqa: ANN401
    from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415  only a Pi has lgpio

    return LGPIOFactory()
