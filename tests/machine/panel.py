"""Runs in the machine, by the Python that the package brought: play patterns on the kiosk's pins.

`panel.py NAME…` plays each once, and tells as JSON when, in monotonic seconds; then what the
buttons are, at rest and while the kernel holds each to ground.
"""

import json
import sys
import threading
import time
from pathlib import Path

import pins  # beside this file

from kiosk.devices.gpio_panel import GpioPanel
from kiosk.logic import feedback
from kiosk.ports import Pattern

# As hardware.md wires them.
WIRED = {
    "green_pin": 17, "red_pin": 27, "amber_pin": 24, "buzzer_pin": 22, "lamp_pin": 23,
    "direction_button_pin": 5, "test_button_pin": 6,
}  # fmt: skip
BETWEEN_S = 0.5
SEEN_S = 0.3


def pull(pin, way):
    (pins.place() / f"sim_gpio{pin}/pull").write_text(way)
    threading.Event().wait(SEEN_S)


def pulls():
    return [(pins.place() / f"sim_gpio{pin}/pull").read_text().strip() for pin in (5, 6)]


def main(names):
    patterns = {one.name: one for one in vars(feedback).values() if isinstance(one, Pattern)}
    before = pulls()
    panel = GpioPanel(**WIRED)
    buttons = [(before, pulls()), list(vars_of(panel.buttons()))]
    played = []
    for name in names:
        pattern = patterns[name]
        played.append((name, time.monotonic()))
        panel.play(pattern)
        threading.Event().wait(sum(step.seconds for step in pattern.steps) + BETWEEN_S)
    for pin in (5, 6):
        pull(pin, "pull-down")  # as a contact to ground
        buttons.append(list(vars_of(panel.buttons())))
        pull(pin, "pull-up")
    buttons.append(list(vars_of(panel.buttons())))
    panel.lamp(on=True)
    lamp = [(pins.place() / "sim_gpio23/value").read_text().strip()]
    panel.close()
    lamp.append((pins.place() / "sim_gpio23/value").read_text().strip())
    Path("/run/played").write_text(json.dumps({"played": played, "buttons": buttons, "lamp": lamp}))


def vars_of(buttons):
    return buttons.direction, buttons.test


if __name__ == "__main__":
    main(sys.argv[1:])
