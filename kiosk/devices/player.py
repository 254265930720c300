"""Plays patterns in time, in a thread of its own.

The loop's pace is the camera's, and a decoder may take 30 ms: too coarse for a rhythm by which
verdicts are told apart. The thread only ever waits and sets levels.
"""

import threading
import time
from collections.abc import Callable

from checkin.marks import text
from kiosk.ports import DARK, Level, PanelError, Pattern

SILENT = Pattern("silent", ())

# How long `close` waits for the thread; its longest step is a wait that can be interrupted.
CLOSE_S = 2.0


# Setting a pin takes microseconds; a driver that takes this long doesn't come back.
STUCK_S = 2.0


class Player:
    """Calls `show` with the level of the moment, whenever it changes.

    `show` is called from the player's thread alone. What it raises is raised again, as
    `PanelError`, by the next `play` or `rest`.
    """

    def __init__(
        self, show: Callable[[Level], None], tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._tick = tick
        self._changed = threading.Condition()
        self._playing: Pattern = SILENT
        self._resting: Pattern = SILENT
        self._began = tick()  # the first idle pattern begins at its beginning
        self._closing = False
        self._showing_since: float | None = None
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)
        self._thread.start()

    def play(self, pattern: Pattern) -> None:
        self._begin(pattern, None)

    def rest(self, pattern: Pattern) -> None:
        self._begin(None, pattern)

    def check(self) -> None:
        """Raise `PanelError` where the thread ended, or waits for a pin that doesn't answer."""
        self._raise_trouble()
        since = self._showing_since
        if since is not None and self._tick() - since > STUCK_S:
            raise PanelError(
                text("the panel's pins haven't answered for {seconds:g} s", seconds=STUCK_S)
            )

    def close(self) -> None:
        """Stop and leave the level dark."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)

    def _begin(self, playing: Pattern | None, resting: Pattern | None) -> None:
        with self._changed:
            self._raise_trouble()
            if playing is not None:
                self._playing, self._began = playing, self._tick()
            if resting is not None:
                self._resting = resting
            self._changed.notify()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            why = str(self._trouble)
            raise PanelError(text("the panel can't be driven: {why}", why=why)) from self._trouble

    def _run(self) -> None:
        shown: Level | None = None
        try:
            while True:
                with self._changed:
                    if self._closing:
                        break
                    level, next_edge = self._now()
                    if level == shown:
                        self._changed.wait(next_edge)
                        continue
                # Outside the lock: a slow pin must not hold up a visitor's verdict.
                self._showing_since = self._tick()
                self._show(level)
                self._showing_since = None
                shown = level
        except Exception as error:  # noqa: BLE001  whatever it is, the loop must hear of it
            self._trouble = error
        finally:
            self._darken()

    def _now(self) -> tuple[Level, float | None]:
        """The level of this moment, and in how many seconds it may change (None: not by itself)."""
        tick = self._tick()
        elapsed = tick - self._began
        pattern = self._playing
        if elapsed >= pattern.seconds:
            pattern = self._resting
            if not pattern.steps:
                return DARK, None
            # Idle patterns repeat from where the last verdict ended.
            elapsed = (elapsed - self._playing.seconds) % pattern.seconds
        end = 0.0
        for step in pattern.steps:
            end += step.seconds
            if elapsed < end:
                return step.level, end - elapsed
        return DARK, 0.0

    def _darken(self) -> None:
        try:
            self._show(DARK)
        except Exception as error:  # noqa: BLE001
            self._trouble = self._trouble or error
