"""What of a package to ask the broker for next: one part at a time, in their order.

Pure: it is told what came and how much lies on disk, and says what is wanted now. One part at a
time, so that check-ins have the line between any two of them, and no more than one part waits in
memory.
"""

from dataclasses import dataclass

# Parts are retained, so the answer to a subscription comes at once or not at all.
PART_WAIT_S = 30.0
# After each that didn't come; a broker that has lost parts isn't asked every half minute for weeks.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Package:
    """What is to be downloaded: so many bytes, in parts of `part_bytes`."""

    number: int
    bytes: int
    sha256: str
    part_bytes: int

    @property
    def parts(self) -> int:
        return -(-self.bytes // self.part_bytes)

    def length_of(self, part: int) -> int:
        """How many bytes `part` has: all the same but the last."""
        return min(self.part_bytes, self.bytes - part * self.part_bytes)

    def whole_parts(self, have_bytes: int) -> int:
        """How many parts lie on disk whole: what a power cut left half is asked for again."""
        if have_bytes >= self.bytes:
            return self.parts
        return have_bytes // self.part_bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Subscribe to this part."""

    part: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Unsubscribe from this part."""

    part: int


Step = Ask | Leave


class Download:
    """One package on its way. `begin_tick` is when it may begin: not all kiosks at once."""

    def __init__(self, package: Package, have_bytes: int, begin_tick: float) -> None:
        self.package = package
        self.next = package.whole_parts(have_bytes)
        self._begin = self._due = begin_tick
        self._asked: int | None = None
        self._waits = 0

    @property
    def is_whole(self) -> bool:
        return self.next >= self.package.parts

    @property
    def percent(self) -> int:
        return 100 * self.next // self.package.parts

    def steps(self, tick: float) -> list[Step]:
        """What to say to the broker now, while it is there."""
        if self.is_whole or tick < self._due:
            return []
        steps: list[Step] = []
        if self._asked is not None:
            steps.append(Leave(self._asked))
            self._waits += 1
        self._asked = self.next
        self._due = tick + min(PART_WAIT_S * 2.0**self._waits, LONGEST_WAIT_S)
        return [*steps, Ask(self.next)]

    def came(self, part: int, length: int) -> bool:
        """Whether a part that came is the one that is wanted: put it on disk, then `kept`."""
        return part == self._asked and length == self.package.length_of(part)

    def kept(self, tick: float) -> list[Step]:
        """The part lies on disk. Returns what to say to the broker."""
        done, self._asked = self.next, None
        self.next += 1
        self._waits, self._due = 0, tick
        return [Leave(done)]

    def lost(self) -> None:
        """The connection is gone, and with it what was asked for."""
        self._asked = None
        self._due = self._begin

    def wait(self, until_tick: float) -> None:
        """Nothing before `until_tick`: the disk has no room, or what came was spoilt."""
        self._begin = self._due = until_tick
