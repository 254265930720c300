"""Other ways of looking at a frame: sharper, larger, flattened, unwrinkled; and where to look.

Each view is made for an engine that found nothing in the frame as it is. Which ones are worth
their time was measured: docs/performance.md has the table.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.ports import Corners, Grey

    Blocks = NDArray[np.float32]

# No view grows an image beyond this: four times a photograph of 1280 × 1280. Live windows stay far
# below.
MOST_PIXELS = 7_000_000


@dataclass(frozen=True, slots=True)
class View:
    """`see` makes the view of a grey image; `scale` is how much larger it is in each direction."""

    name: str
    see: "Callable[[Grey], Grey]"
    scale: float = 1.0

    def fits(self, grey: "Grey") -> bool:
        return grey.size * self.scale * self.scale <= MOST_PIXELS


def _grey(image: object) -> "Grey":
    grey: Grey = np.ascontiguousarray(image, dtype=np.uint8)
    return grey


def _resized(grey: "Grey", factor: float) -> "Grey":
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    return _grey(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=how))


def _darkened(grey: "Grey") -> "Grey":
    """Gamma 2: bright spots and glare come apart."""
    levels = np.arange(256, dtype=np.float64) / 255
    return _grey(cv2.LUT(grey, (levels * levels * 255).astype(np.uint8)))


def _flat(grey: "Grey", block: int, offset: int) -> "Grey":
    """Black and white by the mean of `block` × `block` pixels."""
    mean, binary = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
    return _grey(cv2.adaptiveThreshold(grey, 255, mean, binary, block, offset))


def _equal(grey: "Grey") -> "Grey":
    """Contrast made equal in 8 × 8 tiles, at most fourfold."""
    return _grey(cv2.createCLAHE(4.0, (8, 8)).apply(grey))


def _soft(grey: "Grey", sigma_px: float) -> "Grey":
    return _grey(cv2.GaussianBlur(grey, (0, 0), sigma_px))


def _stretched(grey: "Grey") -> "Grey":
    """The darkest pixel black, the brightest white."""
    darkest, brightest = int(grey.min()), int(grey.max())
    factor = 255 / max(1, brightest - darkest)
    return _grey(cv2.convertScaleAbs(grey, alpha=factor, beta=-darkest * factor))


def _sharp(grey: "Grey") -> "Grey":
    """An unsharp mask: 2.5 times the frame, less 1.5 times its blur of 3 pixels."""
    return _grey(cv2.addWeighted(grey, 2.5, cv2.GaussianBlur(grey, (0, 0), 3), -1.5, 0))


AS_IT_IS = View("as it is", lambda grey: grey)
DARKENED = View("darkened", _darkened)
FLAT = View("flat", lambda grey: _flat(grey, 71, 7))
FLAT_FINE = View("flat, fine", lambda grey: _flat(grey, 11, 15))
FLAT_LOOSE = View("flat, loose", lambda grey: _flat(grey, 51, 0))
SOFT = View("soft", lambda grey: _soft(_stretched(grey), 1.5))
FLAT_SOFT = View("flat, softened", lambda grey: _soft(_flat(grey, 71, 7), 1.5))
EQUAL = View("equal contrast", _equal)
CALM = View("calm", lambda grey: _grey(cv2.medianBlur(grey, 3)))
SMALLER = View("smaller", lambda grey: _resized(grey, 0.7), 0.7)
DOUBLE = View("double", lambda grey: _resized(grey, 2), 2)
DOUBLE_SHARP = View("double, sharp", lambda grey: _sharp(_resized(grey, 2)), 2)
DOUBLE_SOFT = View("double, soft", lambda grey: _soft(_resized(grey, 2), 2), 2)
DOUBLE_FLAT = View("double, flat", lambda grey: _flat(_resized(grey, 2), 51, 0), 2)
DOUBLE_EQUAL = View("double, equal contrast", lambda grey: _equal(_resized(grey, 2)), 2)
TRIPLE_EQUAL = View("triple, equal contrast", lambda grey: _equal(_resized(grey, 3)), 3)


def refocused(sigma_px: float, noise: float) -> View:
    """Undo a blur of `sigma_px`, as of a code held too near: Wiener's filter.

    `noise` is how much of the signal is taken for noise: more makes it gentler.
    """

    def blur() -> "Blocks":
        line = cv2.getGaussianKernel(round(sigma_px * 6) | 1, sigma_px)
        return np.asarray(line @ line.T, dtype=np.float32)

    return View(f"refocused {sigma_px:g}, {noise:g}", _unblurred(blur, noise))


def stilled(length_px: int, angle_deg: float, noise: float) -> View:
    """Undo a movement of `length_px` during the exposure, at `angle_deg` to the right: Wiener's."""

    def smear() -> "Blocks":
        side = length_px | 1
        kernel = np.zeros((side, side), dtype=np.float32)
        middle, angle = (side - 1) / 2, np.radians(angle_deg)
        for along in np.linspace(-middle, middle, 8 * side):
            row = round(middle + along * float(np.sin(angle)))
            column = round(middle + along * float(np.cos(angle)))
            kernel[row, column] += 1
        return np.asarray(kernel / kernel.sum())

    return View(f"stilled {length_px} at {angle_deg:g}", _unblurred(smear, noise))


def _unblurred(blur: "Callable[[], Blocks]", noise: float) -> "Callable[[Grey], Grey]":
    @lru_cache(maxsize=2)
    def transfer(height: int, width: int) -> "NDArray[np.complex64]":
        kernel = blur()
        rows, columns = kernel.shape
        whole = np.zeros((height, width), dtype=np.float32)
        whole[:rows, :columns] = kernel
        spectrum = np.fft.rfft2(np.roll(whole, (-(rows // 2), -(columns // 2)), (0, 1)))
        wiener = np.conj(spectrum) / (np.abs(spectrum) ** 2 + noise)
        return np.asarray(wiener, dtype=np.complex64)

    def see(grey: "Grey") -> "Grey":
        if min(grey.shape) < SMALLEST_UNBLURRED_PX:
            return grey
        mean = grey.mean(dtype=np.float32)
        spectrum = np.fft.rfft2(grey - mean) * transfer(*grey.shape)
        clear = np.fft.irfft2(spectrum, s=grey.shape) + mean
        return _grey(np.clip(clear, 0, 255))

    return see


# Smaller than a blur's own kernel there is nothing to undo.
SMALLEST_UNBLURRED_PX = 32


# A wrinkle is this many pixels deep, of an image as large as a window. Of 120 wrinkles of 2 px
# between 2 and 20 make a crumpled code readable; deeper ones do so a third as often.
WRINKLE_PX = 2.0
WRINKLE_KNOTS = 4
WRINKLED_SIDE_PX = 480


def wrinkled(number: int) -> View:
    """The image pulled about a little, smoothly, by chance: one of many ways to smooth paper.

    The engines expect a flat code. Cloth and folded paper are not flat, and which way they are
    bent can't be seen; but a small bend the other way often brings enough modules into place for
    the error correction to do the rest.
    """
    return View(f"wrinkled {number}", lambda grey: _wrinkled(grey, number))


def _wrinkled(grey: "Grey", number: int) -> "Grey":
    height, width = grey.shape
    x, y = _wrinkle(number, width, height)
    return _grey(cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


@lru_cache(maxsize=8)
def _wrinkle(number: int, width: int, height: int) -> "tuple[Blocks, Blocks]":
    """Where each pixel is taken from; a few are kept, since live windows are of one size."""
    chance = np.random.default_rng(number)
    depth_px = WRINKLE_PX * max(1.0, min(width, height) / WRINKLED_SIDE_PX)

    def bend() -> "Blocks":
        knots = chance.normal(0, depth_px, (WRINKLE_KNOTS, WRINKLE_KNOTS)).astype(np.float32)
        return np.asarray(cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC))

    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns + bend(), rows + bend()


def enlarged_to(grey: "Grey", side_px: int) -> tuple["Grey", float]:
    """A small image doubled until its longer side has `side_px`, and by how much it grew."""
    factor = 1.0
    while max(grey.shape) * factor * 2 <= side_px:
        factor *= 2
    return (grey, 1.0) if factor == 1 else (_resized(grey, factor), factor)


def reduced_to(grey: "Grey", pixels: int) -> tuple["Grey", float]:
    """A large image halved until it has at most so many pixels, and what is left of its size."""
    factor = 1.0
    while grey.size * factor * factor > pixels:
        factor /= 2
    return (grey, 1.0) if factor == 1 else (_resized(grey, factor), factor)


class Window(NamedTuple):
    """A part of a frame, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, grey: "Grey") -> "Grey":
        return _grey(grey[self.y : self.y + self.height, self.x : self.x + self.width])

    def back(self, corners: "Corners", scale: float) -> "Corners":
        """Corners found in a view of this window, in the frame's pixels."""
        a, b, c, d = ((round(x / scale) + self.x, round(y / scale) + self.y) for x, y in corners)
        return a, b, c, d


# The window that extra effort looks at: a card's code is 150 px wide, a phone's 250 to 400.
WINDOW_PX = 480

# One block is 32 × 32 pixels of the frame, of which every fourth in each direction is looked at.
STEP_PX = 4
BLOCK = 8
BLOCK_PX = STEP_PX * BLOCK

# A block has changed when its mean or its spread moved by more than the noise of a dark sensor.
CHANGED_LEVELS = 5.0

# A block has something in it from this spread on; a pale code's is twice that.
TEXTURED_LEVELS = 6.0

# So many frames are laid over each other; what moved further between two is another thing.
STACKED_FRAMES = 4
FURTHEST_PX = 48


class Stack:
    """The last frames of one window, laid over each other: noise goes, the code stays.

    The hand moves between two frames; by how much comes from their phase correlation, at half
    size.
    """

    def __init__(self) -> None:
        self._frames: deque[Grey] = deque(maxlen=STACKED_FRAMES - 1)

    def keep(self, grey: "Grey") -> None:
        """Remember a frame for those to come. The camera's memory is its own: this is a copy."""
        self._frames.append(grey.copy())

    def forget(self) -> None:
        self._frames.clear()

    def over(self, part: "Grey", window: Window) -> "Grey":
        """`part`, which is `window` of the newest frame, with the earlier ones laid over it."""
        total = part.astype(np.float32)
        small, count = _half(part), 1
        for frame in self._frames:
            if (
                frame.shape[0] < window.y + window.height
                or frame.shape[1] < window.x + window.width
            ):
                continue
            earlier = window.of(frame)
            (dx, dy), _ = cv2.phaseCorrelate(small, _half(earlier))
            if max(abs(dx), abs(dy)) * 2 > FURTHEST_PX:
                continue
            shift = np.array([[1, 0, -2 * dx], [0, 1, -2 * dy]], dtype=np.float32)
            size = (part.shape[1], part.shape[0])
            total += cv2.warpAffine(earlier, shift, size, borderMode=cv2.BORDER_REPLICATE)
            count += 1
        return _grey(total / count)


def _half(grey: "Grey") -> "Blocks":
    return cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)


# How fast the empty door's looks are learnt, per frame: a poster that was put up counts as part of
# the door after ten seconds or so, daylight at once.
LEARNING = 0.01


class Attention:
    """Where in a frame something is that wasn't there before and might be a code.

    It knows how the door looks empty, from a fiftieth of the pixels: a tenth of a millisecond.
    """

    def __init__(self) -> None:
        self._mean: Blocks | None = None
        self._spread: Blocks | None = None

    def look(self, grey: "Grey", read: "Sequence[Corners]" = ()) -> tuple[list[Window], bool]:
        """Windows around the likeliest places, likeliest first, and whether one has changed.

        Codes in `read` need no second look. Light is a factor: a frame as bright as its middle
        block says is compared with the empty door in that light, so that neither a cloud nor the
        camera's exposure is news.
        """
        mean, spread = _blocks(grey)
        if self._mean is None or self._spread is None or self._mean.shape != mean.shape:
            self._mean, self._spread = mean, spread
        light = float(np.clip(np.median((mean + 1) / (self._mean + 1)), 0.25, 4))
        known_mean, known_spread = light * self._mean, light * self._spread
        change = np.maximum(np.abs(mean - known_mean), np.abs(spread - known_spread))
        self._mean = _floats(known_mean + LEARNING * (mean - known_mean))
        self._spread = _floats(known_spread + LEARNING * (spread - known_spread))
        # A dark sensor's noise changes every block a little; a visitor changes some a lot.
        news = max(CHANGED_LEVELS, NOISE_FACTOR * float(np.median(change)))
        likely = np.where(spread > TEXTURED_LEVELS, spread, 0).astype(np.float32)
        _forget(likely, read)
        new = np.where(change > news, likely, 0).astype(np.float32)
        changed = int(np.count_nonzero(new)) > 1
        return list(_spots(new if changed else likely, grey)), changed


# How many times the middle block's change a change has to be.
NOISE_FACTOR = 6.0

# So many places are looked at in turn while nothing is newer than anything else.
MOST_SPOTS = 4


def _forget(likely: "Blocks", read: "Sequence[Corners]") -> None:
    """Take the blocks of codes that were read out of the likely ones."""
    for corners in read:
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        likely[_blocks_from(ys), _blocks_from(xs)] = 0


def _blocks_from(pixels: "Sequence[int]") -> slice:
    """The blocks that hold `pixels`, and one more on either side."""
    return slice(max(0, min(pixels) // BLOCK_PX - 1), max(0, *pixels) // BLOCK_PX + 2)


def _spots(likely: "Blocks", grey: "Grey") -> "Iterator[Window]":
    """Windows around the places with most in them, apart from each other."""
    apart = WINDOW_PX // BLOCK_PX // 2
    left = cv2.blur(likely, (5, 5), borderType=cv2.BORDER_CONSTANT)
    for _ in range(MOST_SPOTS):
        row, column = np.unravel_index(int(np.argmax(left)), left.shape)
        if left[row, column] <= 0:
            return
        middle = ((int(column) + 0.5) * BLOCK_PX, (int(row) + 0.5) * BLOCK_PX)
        yield window_around(middle, grey)
        left[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = 0


def window_around(middle: tuple[float, float], grey: "Grey") -> Window:
    height, width = grey.shape
    side_x, side_y = min(WINDOW_PX, width), min(WINDOW_PX, height)
    x = min(max(0, round(middle[0] - side_x / 2)), width - side_x)
    y = min(max(0, round(middle[1] - side_y / 2)), height - side_y)
    return Window(x, y, side_x, side_y)


class Light(NamedTuple):
    """The light and the focus of a frame, in grey levels; `clipped` is a share of its pixels."""

    mean: float
    darkest: float
    brightest: float
    clipped: float
    sharpness: float


def light_of(grey: "Grey") -> Light:
    """Measure a frame. Sharpness is the variance of the Laplacian in the most detailed window."""
    sample = grey[::STEP_PX, ::STEP_PX]
    darkest, brightest = (float(level) for level in np.percentile(sample, (5, 95)))
    clipped = float(((sample <= CLIPPED_LOW) | (sample >= CLIPPED_HIGH)).mean())
    spots, _ = Attention().look(grey)
    window = spots[0].of(grey) if spots else grey
    edges = cv2.Laplacian(window, cv2.CV_32F)
    return Light(float(sample.mean()), darkest, brightest, clipped, float(edges.var()))


# Nearer to the ends of the range than this, a sensor's pixel says nothing any more.
CLIPPED_LOW, CLIPPED_HIGH = 4, 251


def _blocks(grey: "Grey") -> "tuple[Blocks, Blocks]":
    """Mean and standard deviation of each block."""
    height, width = grey.shape
    rows, columns = max(1, height // BLOCK_PX), max(1, width // BLOCK_PX)
    size = (columns * BLOCK, rows * BLOCK)
    sample = cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    mean = cv2.resize(sample, (columns, rows), interpolation=cv2.INTER_AREA)
    square = cv2.resize(sample * sample, (columns, rows), interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return _floats(mean), _floats(spread)


def _floats(blocks: object) -> "Blocks":
    return np.asarray(blocks, dtype=np.float32)
