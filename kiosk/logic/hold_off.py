"""A code held to the glass is seen thirty times a second and counts once."""

from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum, auto

# A code in a moving hand is missed in some frames. Out of sight for less than this it was held
# there all along (a second is a hand that moved away; 0.7 s is 21 frames).
BLINK_S = 0.7


class Sight(Enum):
    """How a visitor comes to be in this frame."""

    NEW = auto()  # a visit begins
    BACK = auto()  # the same visit, after a moment out of sight
    HELD = auto()  # still there


class HoldOff:
    """The visitors seen lately, by tag.

    A visitor is remembered until out of sight for `hold_off_s`, so that holding still never
    counts twice. At most `limit` are remembered; the one unseen for longest goes first.
    """

    def __init__(self, hold_off_s: float, limit: int) -> None:
        self._hold_off_s = hold_off_s
        self._limit = limit
        self._last_seen: OrderedDict[bytes, float] = OrderedDict()

    def look(self, tag: bytes, tick: float) -> Sight:
        """How `tag`, seen now, comes to be here. A new one isn't remembered by looking."""
        last = self._last_seen.get(tag)
        if last is None or tick - last >= self._hold_off_s:
            return Sight.NEW
        self.remember(tag, tick)
        return Sight.HELD if tick - last < BLINK_S else Sight.BACK

    def remember(self, tag: bytes, tick: float) -> None:
        """`tag` was in sight at `tick`."""
        self._last_seen[tag] = tick
        self._last_seen.move_to_end(tag)
        if len(self._last_seen) > self._limit:
            self._last_seen.popitem(last=False)

    def in_sight(self, tick: float) -> list[tuple[bytes, float]]:
        """Who is remembered at `tick`, and when each was seen last; oldest first."""
        lately = self._last_seen.items()
        return [(tag, last) for tag, last in lately if tick - last < self._hold_off_s]

    def restore(self, sightings: Iterable[tuple[bytes, float]]) -> None:
        """Begin with what an earlier process remembered."""
        for tag, tick in sorted(sightings, key=lambda sighting: sighting[1]):
            self.remember(tag, tick)
