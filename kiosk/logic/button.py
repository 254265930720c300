"""What a finger on a button means: pressed, or held. The contacts' chatter is taken out here.

The loop looks at the pin once a frame. A library's own debouncing drops edges (gpiozero issue
1039), and a button that is asked thirty times a second needs none.
"""

from enum import Enum, auto

# A press counts from the second look on: contacts chatter for 5 ms, a look comes every 33.
STEADY_LOOKS = 2

# Held so long it means something else. Nobody leans on a button for this long by chance.
HOLD_S = 2.0


class Press(Enum):
    PRESSED = auto()  # down, and not by chatter
    HELD = auto()  # still down after HOLD_S; told once


class Button:
    """One button, looked at now and then."""

    def __init__(self) -> None:
        self._looks = 0
        self._since = 0.0
        self._told_held = False

    def look(self, *, down: bool, tick: float) -> Press | None:
        """What happened since the last look."""
        if not down:
            self._looks = 0
            self._told_held = False
            return None
        if self._looks == 0:
            self._since = tick
        self._looks += 1
        if self._looks == STEADY_LOOKS:
            return Press.PRESSED
        if not self._told_held and tick - self._since >= HOLD_S:
            self._told_held = True
            return Press.HELD
        return None
