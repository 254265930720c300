"""How a kiosk's panel is wired, as a technician writes it: a name, or pins by their colour.

`standard` is hardware.md's drawing; `full` the same with everything in it that is optional there.
"""

import re
from typing import Literal

import msgspec

from checkin.settings import Panel
from checkin.words import _

Buzzer = Literal["active", "passive", "none"]

# hardware.md: where the direction button is, if there is one.
DIRECTION_BUTTON = 5

NAMED = {
    "standard": {},
    "full": {"amber_pin": 24, "direction_button_pin": 5, "test_button_pin": 6, "lamp_pin": 23},
}
_VIETNAMESE = {"chuẩn": "standard", "đầy đủ": "full"}

# What is written before the pin, in both languages.
PARTS = {
    "green": "green_pin", "xanh": "green_pin",
    "red": "red_pin", "đỏ": "red_pin",
    "amber": "amber_pin", "vàng": "amber_pin",
    "buzzer": "buzzer_pin", "còi": "buzzer_pin",
    "direction": "direction_button_pin", "hướng": "direction_button_pin",
    "test": "test_button_pin", "thử": "test_button_pin",
    "lamp": "lamp_pin", "đèn": "lamp_pin",
}  # fmt: skip

_PIN = re.compile(r"(\w+)\s*=\s*(\d{1,3})")


class WiringError(ValueError):
    """No panel can be wired so. `why`, and the `cure`."""

    def __init__(self, why: str, cure: str) -> None:
        super().__init__(f"{why}; {cure}")
        self.why = why
        self.cure = cure


def pins(text: str) -> dict[str, int]:
    """The pins in `text`, by the name of their setting; what isn't named is as usual.

    Raises `WiringError`.
    """
    plain = " ".join(text.lower().split())
    name = _VIETNAMESE.get(plain, plain) or "standard"
    if name in NAMED:
        return dict(NAMED[name])
    found: dict[str, int] = {}
    for word in re.split(r"[\s,;]+", re.sub(r"\s*=\s*", "=", plain)):
        part, pin = _part(word)
        if part in found:
            raise WiringError(
                _("{part} is there twice").format(part=_short(part)), _("name it once")
            )
        found[part] = pin
    _check(found)
    return found


def panel(wired: dict[str, int], buzzer: Buzzer, direction: str) -> Panel:
    """The panel for this wiring. Raises `WiringError` where two parts share a pin."""
    asked = dict(wired)
    if buzzer == "none":
        asked["buzzer_pin"] = 0
    if direction == "button":
        asked.setdefault("direction_button_pin", DIRECTION_BUTTON)
    _check(asked)
    found = msgspec.convert(asked, Panel)
    return found if buzzer == "none" else msgspec.structs.replace(found, buzzer=buzzer)


def _part(word: str) -> tuple[str, int]:
    match = _PIN.fullmatch(word)
    if match is None:
        raise WiringError(
            _("{word!r} is no wiring").format(word=word),
            _("write standard, full, or pins such as green=17 red=27 amber=24 buzzer=22"),
        )
    if match[1] not in PARTS:
        raise WiringError(
            _("no part is called {part}").format(part=match[1]),
            _("write green, red, amber, buzzer, direction, test or lamp"),
        )
    return PARTS[match[1]], int(match[2])


def _check(asked: dict[str, int]) -> None:
    try:
        wired = msgspec.convert(asked, Panel)
    except msgspec.ValidationError as error:
        part, pin = next(each for each in asked.items() if f"$.{each[0]}`" in str(error))
        raise WiringError(
            _("{part}={pin} is no pin of the header").format(part=_short(part), pin=pin),
            _("write a GPIO number from 2 to 27, as hardware.md has them"),
        ) from error
    used: dict[int, str] = {}
    for part in dict.fromkeys(PARTS.values()):
        pin = getattr(wired, part)
        if pin and pin in used:
            raise WiringError(
                _("{part} and {other} are both on pin {pin}").format(
                    part=_short(part), other=_short(used[pin]), pin=pin
                ),
                _("give each its own, as hardware.md has them"),
            )
        used[pin] = part


def _short(part: str) -> str:
    return next(word for word, setting in PARTS.items() if setting == part)
