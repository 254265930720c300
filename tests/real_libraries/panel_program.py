"""The production panel as a process of its own, on real gpiozero and real lgpio.

Started with the pretended chip loaded before the C library. Only the board's revision is pretended
here: gpiozero reads it from a Pi's own files. Reads commands from standard input, a JSON list
each, and answers each with a JSON line.
"""

import contextlib
import json
import os
import sys
import threading
import time

from gpiozero.pins.lgpio import LGPIOFactory

from kiosk.devices.gpio_panel import GpioPanel
from kiosk.logic.button import Button
from kiosk.ports import PanelError
from tests.real_libraries.patterns import PLAYABLE, SILENT

# The other threads of a rig must not wait for a compiler elsewhere on the machine.
PRIORITY = 10
NICE = -10

# A kiosk looks once a frame, 30 times a second.
LOOK_S = 1 / 30

# After a pattern's end: what comes too much comes now.
SILENCE_S = 0.06

wait = threading.Event().wait


def main():
    revision, hurried, *rigs = json.loads(sys.argv[1])
    LGPIOFactory._get_revision = lambda _self: revision
    if hurried:
        hurry()
    try:
        panels = [GpioPanel(**rig) for rig in rigs]
    except PanelError as error:
        say({"error": str(error)})
        return
    say({"holds": len(panels)})
    for line in sys.stdin:
        command, *words = json.loads(line)
        say(COMMANDS[command](panels, *words))
    for panel in panels:
        panel.close()
    say({"closed": True})


def hurry():
    """Go before others where that is allowed. Threads made later inherit it."""
    with contextlib.suppress(PermissionError):
        os.nice(NICE)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


def play(panels, lanes):
    """Play each lane's patterns, one after the other; lanes at once.

    A lane is the places of its panels, and the names of its patterns. Answers with a list of
    [name, places, begun] in monotonic seconds.
    """
    begun = []
    threads = [
        threading.Thread(
            target=_play, args=([panels[place] for place in places], places, names, begun)
        )
        for places, names in lanes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return begun


def _play(panels, places, names, begun):
    for name in names:
        pattern = PLAYABLE[name]
        begun.append([name, places, time.monotonic()])
        for panel in panels:
            panel.play(pattern)
        wait(pattern.seconds + SILENCE_S)


def rest(panels, name, seconds):
    panels[0].play(SILENT)  # an idle pattern begins where what was played ended
    panels[0].rest(PLAYABLE[name])
    wait(seconds)
    return True


def begin(panels, name):
    panels[0].play(PLAYABLE[name])
    return True


def watch_buttons(panels, seconds):
    """What the buttons told in `seconds`, looked at as the kiosk's loop does."""
    buttons = {"direction": Button(), "test": Button()}
    told = []
    began = time.monotonic()
    say({"watching": True})
    looks = 0
    while looks * LOOK_S < seconds:
        tick = time.monotonic()
        down = panels[0].buttons()
        for name, button in buttons.items():
            press = button.look(down=getattr(down, name), tick=tick)
            if press is not None:
                told.append([name, press.name])
        looks += 1
        wait(max(0.0, began + looks * LOOK_S - time.monotonic()))
    return told


def lamp(panels, *, on):
    panels[0].lamp(on=on)
    return True


COMMANDS = {
    "play": play,
    "rest": rest,
    "begin": begin,
    "buttons": watch_buttons,
    "pressed": lambda panels: list(panels[0].buttons()),
    "lamp": lambda panels, on: lamp(panels, on=on),
}


def say(answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
