"""The panel's simulated twins: one remembers, one draws in the terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from kiosk.ports import DARK, Buttons, Level, Pattern

# One character of a drawn pattern.
COLUMN_S = 0.05


@dataclass(slots=True)
class RecordingPanel:
    """Keeps what it was told, with the tick of a clock that may be virtual."""

    tick: Callable[[], float]
    played: list[tuple[float, Pattern]] = field(default_factory=list)
    rested: list[tuple[float, Pattern]] = field(default_factory=list)
    closed: bool = False
    down: Buttons = field(default_factory=Buttons)
    lamp_on: bool = False

    def play(self, pattern: Pattern) -> None:
        self.played.append((self.tick(), pattern))

    def rest(self, pattern: Pattern) -> None:
        self.rested.append((self.tick(), pattern))

    def buttons(self) -> Buttons:
        return self.down

    def lamp(self, *, on: bool) -> None:
        self.lamp_on = on

    def check(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def level(self) -> Level:
        """What the pins would be now."""
        tick = self.tick()
        if self.closed:
            return DARK
        if self.played:
            began, pattern = self.played[-1]
            level = pattern.level_at(tick - began)
            if level is not None:
                return level
        if not self.rested:
            return DARK
        began, pattern = self.rested[-1]
        ended = self.played[-1][0] + self.played[-1][1].seconds if self.played else began
        return pattern.level_at((tick - max(began, ended)) % pattern.seconds) or DARK


class TerminalPanel:
    """Draws each pattern as it begins, a line of light and a line of sound."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rested = ""

    def play(self, pattern: Pattern) -> None:
        print(f"panel {pattern.name:12} {drawn(pattern)}", file=self._out, flush=True)

    def rest(self, pattern: Pattern) -> None:
        if pattern.name != self._rested:
            self._rested = pattern.name
            print(f"panel {pattern.name:12} (while nobody is there)", file=self._out, flush=True)

    def buttons(self) -> Buttons:
        return Buttons()

    def lamp(self, *, on: bool) -> None:
        print(f"lamp  {'on' if on else 'off'}", file=self._out, flush=True)

    def check(self) -> None:
        pass

    def close(self) -> None:
        print("panel dark", file=self._out, flush=True)


def drawn(pattern: Pattern) -> str:
    """The pattern as a timeline, a character per 50 ms: G, R, A for light, then ♪ for sound."""
    light, sound = "", ""
    for step in pattern.steps:
        columns = max(1, round(step.seconds / COLUMN_S))
        light += _letter(step.level) * columns
        sound += ("♪" if step.level.tone_hz else "·") * columns
    return f"light {light}  sound {sound}" if "♪" in sound else f"light {light}"


def _letter(level: Level) -> str:
    if level.amber or (level.green and level.red):
        return "A"
    if level.green:
        return "G"
    return "R" if level.red else "·"
