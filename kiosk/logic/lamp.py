"""When the lamp beside the camera is on: in the dark, and not in its own light's way.

The lamp makes the frame brighter, so that "bright enough" can't be judged by the same number: a
lamp that goes by it alone goes on and off for ever.
"""

# So long it must be dark, or bright again: a visitor who bends over the glass is no nightfall.
SETTLE_S = 1.5

# A frame is brighter than the lamp alone makes it by this factor: there is other light again.
DAYLIGHT = 1.6

# A frame can't be 1.6 times as bright as a bright one: from here on it is day.
BRIGHTEST = 215.0

# A camera that sets its own exposure shows noon and lamp alike. Now and then the lamp goes off for
# two seconds, to see whether it is still needed.
LOOK_AGAIN_S = 1800.0

# The lamp and the camera's exposure need so long to come to rest.
REST_S = 1.0


class Lamp:
    """Decides from the mean grey of frames (0 to 255). `below` 0 is no lamp."""

    def __init__(self, below: float) -> None:
        self._below = below
        self._on = False
        self._since: float | None = None
        self._switched = 0.0
        self._lit: float | None = None

    def look(self, mean: float, tick: float) -> bool:
        """Whether the lamp should be on now."""
        if not self._below:
            return False
        if self._on and self._lit is None:
            if tick - self._switched >= REST_S:
                self._lit = max(mean, self._below)
            return True
        if self._on:
            bright = min((self._lit or 0) * DAYLIGHT, BRIGHTEST)
            wants_change = mean > bright or tick - self._switched >= LOOK_AGAIN_S
        else:
            wants_change = mean < self._below
        if not wants_change:
            self._since = None
            return self._on
        if self._since is None:
            self._since = tick
        if tick - self._since >= SETTLE_S:
            self._on, self._lit, self._since, self._switched = not self._on, None, None, tick
        return self._on
