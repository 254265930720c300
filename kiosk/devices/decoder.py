"""The decoder: one cheap look at every frame, and bounded extra effort where it may pay.

99 of 100 frames at a door show no code. Each gets the first engine's look and no more. Where
something came into sight that might be a code, or where the first engine nearly read one, the
next frames get *turns*: another view of that window for one of the engines, as many a frame as
fit into its time, each frame going on where the one before it stopped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kiosk.devices import views
from kiosk.devices.views import Attention, Stack, View, Window
from kiosk.ports import Code, Corners, DecoderError, Effort

if TYPE_CHECKING:
    from kiosk.ports import Grey

# A code smaller than this in either direction can't be read by any engine: 21 modules at least.
SMALLEST_SIDE_PX = 21

# Nothing has changed and nothing is nearly read: still one turn now and then, for the visitor who
# put a code down before the glass and went for a pen.
TRICKLE_FRAMES = 20

# After something came into sight, turns go on for so long without another change.
LINGER_FRAMES = 60

# At the start nobody knows how the door looks empty: a code may have been there all along.
START_FRAMES = 90

# Turns in all, beyond which a door that is never at rest (a screen behind the visitors, a tree in
# the wind) gets no more than its due: half a first look a frame, so that it stays under twice one.
# Two seconds of turns are four visitors who hold up something hopeless for a second each.
CREDIT_S = 2.0
EARNED = 0.5

# At the start there is a quarter of it: mostly nobody is there.
FIRST_CREDIT_S = 0.5

# Who comes into sight after a moment of calm has at least a second's worth of turns, whatever the
# ones before them cost; a screen behind the visitors has no calm moments.
CALM_FRAMES = 10
VISIT_CREDIT_S = 0.6

# Frames further apart than this are of different moments: nothing is laid over anything.
LONGEST_GAP_S = 0.3

# A code that was read in one of so many last frames is there and known: the turns may look beside.
KNOWN_FRAMES = 30

# Two engines that read different bytes in one place within so many frames: one of them misread.
DISPUTE_FRAMES = 8

# A turn that was never timed is taken to cost so much a megapixel; zbar's first is the dearest.
UNTIMED_S_PER_MPX = 0.02

# A still image's small copies are enlarged to this before they are unwrinkled.
STILL_SIDE_PX = 960

# A larger photograph is halved for everything after the first look, and once more for the wrinkles:
# a dozen seconds are enough.
STILL_PIXELS = 4_000_000
WRINKLED_PIXELS = 2_000_000
STILL_WRINKLES = 130

# What is only read after so much bending is believed when two different bends say the same: of
# 260 tries one may hit bytes that the error correction takes for another code.
WRINKLES_THAT_AGREE = 2


# The window that moves no corner, for turns that look at a whole image.
WHOLE = Window(0, 0, 0, 0)


class Engine(Protocol):
    def read(self, grey: "Grey") -> Sequence[Code]: ...


class FirstEngine(Engine, Protocol):
    def look(self, grey: "Grey") -> tuple[Sequence[Code], Sequence[Corners]]:
        """The codes that were read, and where one was found and not read."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One more way of looking, by one engine; `steady` looks at the last frames as one."""

    view: View
    engine: Engine
    name: str
    steady: bool = False

    def read(self, grey: "Grey") -> list[Code]:
        if not self.view.fits(grey):
            return []
        seen = self.view.see(grey)
        scale = self.view.scale
        return _moved(self.engine.read(seen), scale)


def _moved(found: Sequence[Code], scale: float) -> list[Code]:
    """Codes found in an image that is `scale` times as large, in the pixels of the original."""
    return [replace(code, corners=WHOLE.back(code.corners, scale)) for code in found]


class Engines(NamedTuple):
    """Who reads. `local` and `overall` are zxing-cpp's two ways; `second` is another library."""

    local: FirstEngine
    overall: Engine
    second: Engine | None = None


class PatientDecoder:
    """Codes in live frames and in still images.

    `frame_s` is the time that a frame has, first look included; 0 gives no extra turns at all.
    `tick` is for measuring what each turn costs on this machine.
    """

    def __init__(
        self, engines: Engines, frame_s: float, tick: Callable[[], float] = perf_counter
    ) -> None:
        self._first = engines.local
        self._turns = tuple(live_turns(engines))
        self._still = engines
        self._frame_s = frame_s
        self._tick = tick
        self._costs: dict[str, float] = {}
        self._attention = Attention()
        self._next = 0
        self._frames = 0
        self._attentive_until = START_FRAMES
        self._credit_s = FIRST_CREDIT_S
        self._looked = 0.0
        self._changed = 0
        self._spot = 0
        self._window: Window | None = None
        self._stack = Stack()
        self._lately: deque[tuple[int, str, Code]] = deque(maxlen=32)
        self.effort = Effort()

    def read(self, grey: "Grey") -> Sequence[Code]:
        """The codes in one live frame; one too small for any code has none."""
        _check_kind(grey)
        if min(grey.shape) < SMALLEST_SIDE_PX:
            return []
        self._frames += 1
        began = self._tick()
        if began - self._looked > LONGEST_GAP_S:
            self._stack.forget()
        found, nearly = self._first.look(grey)
        first_s = self._tick() - began
        self._credit_s = min(CREDIT_S, self._credit_s + EARNED * first_s)
        read = list(self._undisputed("first by zxing", found))
        turns_s, turns = 0.0, 0
        if self._frame_s and self._are_known(found):
            self._attend(grey, nearly, found)
            more, by, turns = self._take_turns(grey, self._frame_s - first_s, began + first_s)
            turns_s = self._tick() - began - first_s
            self._credit_s = CREDIT_S if more else max(0.0, self._credit_s - turns_s)
            read += self._undisputed(by, more)
        self._remember(grey, found)
        self._looked = self._tick()
        attentive = self._frames < self._attentive_until
        self.effort = Effort(first_s, turns_s, turns, attentive=attentive)
        return without_inner(read)

    def _are_known(self, found: Sequence[Code]) -> bool:
        """Whether every code was read a moment ago already: a poster, or a visitor who stays.

        Whoever is read for the first time gets their light before anything else is tried.
        """
        known = {code.payload for frame, _, code in self._lately if self._is_recent(frame)}
        return all(code.payload in known for code in found)

    def _is_recent(self, frame: int) -> bool:
        return 0 < self._frames - frame <= KNOWN_FRAMES

    def _remember(self, grey: "Grey", found: Sequence[Code]) -> None:
        """Keep the frame for those to come, while they may need it and only then.

        Frames from before a code was read, or from another moment, would bring back who has left.
        """
        if found or self._frames >= self._attentive_until:
            self._stack.forget()
        else:
            self._stack.keep(grey)

    def read_still(self, grey: "Grey") -> Sequence[Code]:
        """The codes in a still image: every way of looking has its turn, until one finds some."""
        _check_kind(grey)
        if min(grey.shape) < SMALLEST_SIDE_PX:
            height, width = grey.shape
            raise DecoderError(f"{width} × {height} pixels are too few for a QR code")
        found = self._still.local.read(grey)
        small, shrunk = views.reduced_to(grey, STILL_PIXELS)
        turns = still_turns(self._still)
        while not found and (turn := next(turns, None)) is not None:
            found = _moved(turn.read(small), shrunk)
        return without_inner(found or _moved(self._unwrinkled(small), shrunk))

    def _unwrinkled(self, grey: "Grey") -> Sequence[Code]:
        """The first payload that two different bends agree on."""
        small, shrunk = views.reduced_to(grey, WRINKLED_PIXELS)
        large, grown = views.enlarged_to(small, STILL_SIDE_PX)
        seen: dict[bytes, set[str]] = {}
        for turn in unwrinkling(self._still, STILL_WRINKLES):
            for code in turn.read(large):
                bends = seen.setdefault(code.payload, set())
                bends.add(turn.view.name)
                if len(bends) == WRINKLES_THAT_AGREE:
                    return _moved([code], shrunk * grown)
        return []

    def _attend(self, grey: "Grey", nearly: Sequence[Corners], found: Sequence[Code]) -> None:
        """Decide where the turns look, and whether there are any."""
        spots, changed = self._attention.look(grey, [code.corners for code in found])
        if nearly:
            xs, ys = zip(*nearly[0], strict=True)
            spots = [views.window_around((sum(xs) / 4, sum(ys) / 4), grey)]
        if changed:
            if self._frames - self._changed > CALM_FRAMES:
                self._credit_s = max(self._credit_s, VISIT_CREDIT_S)
            self._changed = self._frames
        if changed or nearly:
            self._attentive_until = max(self._attentive_until, self._frames + LINGER_FRAMES)
        elif len(spots) > 1 and self._takes_turns():
            # Nothing is newer than anything else: each likely place has its frame.
            self._spot += 1
            spots = spots[self._spot % len(spots) :]
        self._window = spots[0] if spots else None

    def _takes_turns(self) -> bool:
        return self._frames < self._attentive_until or self._frames % TRICKLE_FRAMES == 0

    def _take_turns(
        self, grey: "Grey", left_s: float, now: float
    ) -> tuple[Sequence[Code], str, int]:
        """As many turns as are likely to end in time, and as there is credit for."""
        if self._window is None or not self._takes_turns():
            return [], "", 0
        is_trickle = self._frames % TRICKLE_FRAMES == 0
        left_s = left_s if is_trickle else min(left_s, self._credit_s)
        window = self._window
        part = window.of(grey)
        stacked: Grey | None = None
        most = len(self._turns) if self._frames < self._attentive_until else 1
        for taken in range(most):
            turn = self._turns[self._next % len(self._turns)]
            cost_s = self._costs.get(turn.name, UNTIMED_S_PER_MPX * part.size / 1e6)
            if cost_s > left_s:
                if taken == 0 and self._credit_s > cost_s:
                    self._skip(turn, cost_s)
                return [], "", taken
            self._next += 1
            if turn.steady and stacked is None:
                stacked = self._stack.over(part, window)
            found = turn.read(stacked if turn.steady and stacked is not None else part)
            now, before = self._tick(), now
            self._note_cost(turn, now - before)
            left_s -= now - before
            if found:
                self._next -= 1  # what worked is tried first in the next frame
                here = [replace(code, corners=window.back(code.corners, 1.0)) for code in found]
                return here, turn.name, taken + 1
        return [], "", most

    def _note_cost(self, turn: Turn, spent_s: float) -> None:
        """Costs rise at once and fall slowly: a frame that is late costs more than one turn."""
        known = self._costs.get(turn.name, 0.0)
        self._costs[turn.name] = max(spent_s, known + 0.1 * (spent_s - known))

    def _skip(self, turn: Turn, cost_s: float) -> None:
        """Pass over a turn that is too dear now; it gets cheaper in our eyes, and another try."""
        self._costs[turn.name] = cost_s * 0.95
        self._next += 1

    def _undisputed(self, by: str, found: Sequence[Code]) -> Sequence[Code]:
        """What no other engine has just read differently in the same place.

        An engine that says the same twice is believed: another code may have been put there.
        """
        engine = by.rpartition(" by ")[2]
        lately = [
            (other, earlier)
            for frame, other, earlier in self._lately
            if self._frames - frame <= DISPUTE_FRAMES
        ]
        agreed = [code for code in found if not _is_disputed(code, engine, lately)]
        self._lately.extend((self._frames, engine, code) for code in found)
        return agreed


def _is_disputed(code: Code, engine: str, lately: Sequence[tuple[str, Code]]) -> bool:
    there = [(by, other) for by, other in lately if _same_place(other.corners, code.corners)]
    if any(by == engine and other.payload == code.payload for by, other in there):
        return False
    return any(by != engine and other.payload != code.payload for by, other in there)


def live_turns(engines: Engines) -> Iterator[Turn]:
    """What is tried at a door, by readings gained per millisecond on hard scenes."""
    local, overall, second = engines
    yield _turn(views.DOUBLE_SHARP, local)
    yield _turn(views.DOUBLE_SHARP, local, steady=True)
    yield _turn(views.refocused(2.0, 0.03), local)
    yield _turn(views.SMALLER, local)
    yield _turn(views.stilled(11, 0, 0.01), local)
    yield _turn(views.SOFT, local)
    yield _turn(views.DOUBLE, local, steady=True)
    yield _turn(views.stilled(11, 90, 0.01), local)
    if second is not None:
        yield _turn(views.AS_IT_IS, second, by="zbar")
    yield _turn(views.refocused(2.4, 0.003), overall)
    yield _turn(views.EQUAL, local)
    yield _turn(views.SOFT, local, steady=True)
    yield _turn(views.stilled(9, 45, 0.01), local)
    yield _turn(views.refocused(2.4, 0.03), local)
    yield _turn(views.wrinkled(6), overall)
    yield _turn(views.stilled(9, -45, 0.01), local)
    yield _turn(views.DOUBLE_FLAT, local)
    yield _turn(views.AS_IT_IS, overall)
    if second is not None:
        yield _turn(views.FLAT_LOOSE, second, by="zbar")
    yield _turn(views.DARKENED, local)
    yield _turn(views.stilled(7, 0, 0.03), overall)


def still_turns(engines: Engines) -> Iterator[Turn]:
    """What is tried on a still image, cheap and general ones first."""
    yield _turn(views.AS_IT_IS, engines.overall)
    for view in (views.DARKENED, views.FLAT, views.EQUAL):
        yield _turn(view, engines.local)
    if engines.second is not None:
        for view in (views.AS_IT_IS, views.FLAT_LOOSE, views.FLAT_FINE, views.FLAT_SOFT):
            yield _turn(view, engines.second, by="zbar")
    for view in (
        views.DOUBLE_EQUAL,
        views.DOUBLE_SHARP,
        views.DOUBLE_SOFT,
        views.DOUBLE_FLAT,
        views.SMALLER,
        views.CALM,
        views.TRIPLE_EQUAL,
    ):
        yield _turn(view, engines.local)


def unwrinkling(engines: Engines, wrinkles: int) -> Iterable[Turn]:
    for number in range(wrinkles):
        yield _turn(views.wrinkled(number), engines.local)
        yield _turn(views.wrinkled(number), engines.overall)


def _turn(view: View, engine: Engine, *, by: str = "zxing", steady: bool = False) -> Turn:
    name = f"stacked, {view.name}" if steady else view.name
    return Turn(view, engine, f"{name} by {by}", steady=steady)


def without_inner(found: Sequence[Code]) -> Sequence[Code]:
    """Without the codes that lie inside another one.

    A small code drawn into the middle of a large one is one thing held up with two meanings. The
    large one is what its bearer means to show; the small one would be read alone whenever the
    camera is near.
    """
    return [
        code
        for code in found
        if not any(other is not code and _inside(code.corners, other.corners) for other in found)
    ]


def _box(corners: Corners) -> tuple[int, int, int, int]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _inside(inner: Corners, outer: Corners) -> bool:
    """Whether all corners of one code lie within the other's, however it is turned."""
    return inner != outer and all(_is_within(corner, outer) for corner in inner)


def _is_within(point: tuple[int, int], corners: Corners) -> bool:
    """Whether `point` is on the same side of all four edges."""
    x, y = point
    sides = [
        (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True)
    ]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


def _same_place(one: Corners, other: Corners) -> bool:
    """Whether the middle of each lies in the other's box."""
    return _holds_middle(one, other) and _holds_middle(other, one)


def _holds_middle(of: Corners, other: Corners) -> bool:
    left, top, right, bottom = _box(of)
    x0, y0, x1, y1 = _box(other)
    return left <= (x0 + x1) / 2 <= right and top <= (y0 + y1) / 2 <= bottom


def _check_kind(grey: "Grey") -> None:
    if grey.ndim != 2 or grey.dtype.name != "uint8":  # noqa: PLR2004  rows and columns
        raise DecoderError(f"expected a grey image of bytes, got {grey.dtype} {grey.shape}")
