"""Codes as a camera sees them: phone screens, paper, plastic cards, in the light of a door.

Everything follows from a seed: the same scene gives the same frames on every machine with the
same libraries. Sizes are those of `hardware.md`: a card's 0.24 mm modules at 7 to 8 cm are 3.0 to
3.4 pixels, the 1.1 mm ones of a code 5 cm wide are 4.4 to 5.5 at 20 to 25 cm.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import segno

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.uint8]
    Points = NDArray[np.float32]

WIDTH_PX, HEIGHT_PX = 1280, 720

# Camera Module 3: 66° across 1280 px is a focal length of 640 / tan 33°.
FOCAL_PX = 985.0

# Drawn larger than it will be seen, so that the warp has something to choose from.
DRAWN_MODULE_PX = 8
QUIET_MODULES = 4


class Carrier(Enum):
    """What a code is shown on."""

    PHONE = "phone"
    DARK_PHONE = "phone in dark mode"
    PAPER = "paper"
    CARD = "card"


@dataclass(frozen=True, slots=True)
class Weather:
    """What is hard about a scene; 0 is a good day. Angles in degrees, lengths in pixels."""

    tilt_deg: float = 0.0
    roll_deg: float = 0.0
    blur_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    glare: float = 0.0
    noise: float = 3.0
    gain: float = 1.0
    contrast: float = 1.0
    shake_px: float = 1.5


@dataclass(frozen=True, slots=True)
class Scene:
    """One code shown for some frames. `module_px` is the size of a module in the frame."""

    payload: bytes
    carrier: Carrier
    weather: Weather
    module_px: float
    seed: int


def scene(payload: bytes, seed: int, hardness: float = 0.5) -> Scene:
    """A scene by chance. `hardness` from 0 (held still, good light) to 1 (what a door sees)."""
    chance = random.Random(seed)

    def up_to(most: float) -> float:
        return chance.uniform(-most, most) * hardness

    kind = chance.choice(("clear", "blur", "glare", "dark", "noise", "motion"))
    weather = Weather(
        tilt_deg=up_to(35),
        roll_deg=up_to(60),
        blur_px=1.4 * hardness if kind == "blur" else 0.4,
        motion_px=5 * hardness if kind == "motion" else 0.0,
        glare=0.9 * hardness if kind == "glare" else 0.0,
        noise=3 + 12 * hardness * (kind == "noise"),
        gain=1 - 0.75 * hardness if kind == "dark" else 1.0,
        shake_px=0.5 + 2 * hardness,
    )
    carrier = chance.choice(list(Carrier))
    module_px = chance.uniform(3.0, 3.4) if carrier is Carrier.CARD else chance.uniform(4.4, 5.5)
    return Scene(payload, carrier, weather, module_px, seed)


def frames(scene: Scene, count: int) -> Iterator["Grey"]:
    """`count` frames in a row: the hand shakes, the noise is new in each."""
    chance = random.Random(scene.seed)
    drawn = _object(scene)
    middle = np.array([chance.uniform(0.36, 0.64) * WIDTH_PX, chance.uniform(0.4, 0.6) * HEIGHT_PX])
    drift = np.array([chance.uniform(-1, 1), chance.uniform(-1, 1)]) * scene.weather.shake_px
    glare_at = middle + np.array([chance.uniform(-90, 90), chance.uniform(-90, 90)])
    for number in range(count):
        shaken = np.array([chance.gauss(0, 1), chance.gauss(0, 1)]) * scene.weather.shake_px
        at = middle + drift * number * 0.3 + shaken
        frame = _place(drawn, scene, at)
        yield _spoil(frame, scene.weather, glare_at, chance)


def empty_frames(count: int, seed: int) -> Iterator["Grey"]:
    """`count` frames of the door with nobody before it."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _spoil(_door().copy(), Weather(), np.zeros(2), chance)


def visit(scene: Scene, shown: int, gap: int) -> Iterator["Grey"]:
    """A visitor: the code for `shown` frames, then `gap` frames of the empty door."""
    yield from frames(scene, shown)
    yield from empty_frames(gap, scene.seed)


def modules(payload: bytes) -> "Grey":
    """The code's modules with their quiet zone, 0 for dark, one byte each."""
    code = segno.make(payload, micro=False, error="m", boost_error=False)
    dark = np.array([[bool(module) for module in row] for row in code.matrix])
    return np.pad(np.where(dark, 0, 255).astype(np.uint8), QUIET_MODULES, constant_values=255)


def _object(scene: Scene) -> "Grey":
    """The thing that carries the code, seen from the front; 0 where there is nothing of it."""
    code = modules(scene.payload)
    drawn = np.kron(code, np.ones((DRAWN_MODULE_PX, DRAWN_MODULE_PX), dtype=np.uint8))
    side = drawn.shape[0]
    match scene.carrier:
        case Carrier.PHONE:
            return _phone(np.where(drawn > 0, 245, 15).astype(np.uint8), screen=245)
        case Carrier.DARK_PHONE:
            return _phone(np.where(drawn > 0, 25, 225).astype(np.uint8), screen=25)
        case Carrier.PAPER:
            sheet = np.full((int(side * 1.9), int(side * 1.6)), 228, dtype=np.uint8)
            _lines_of_text(sheet, int(side * 1.3), shade=70)
            return _on(sheet, np.where(drawn > 0, 228, 38).astype(np.uint8), top=int(side * 0.2))
        case Carrier.CARD:
            card = np.full((int(side * 1.45), int(side * 2.3)), 176, dtype=np.uint8)
            cv2.rectangle(card, (side // 8, side // 3), (side * 3 // 4, int(side * 1.2)), 120, -1)
            return _on(card, np.where(drawn > 0, 198, 52).astype(np.uint8), left=int(side * 1.15))


def _phone(code: "Grey", screen: int) -> "Grey":
    side = code.shape[0]
    body = np.full((int(side * 2.2), int(side * 1.3)), 22, dtype=np.uint8)
    edge = side // 24
    body[edge * 2 : -edge * 2, edge:-edge] = screen
    _lines_of_text(body, int(side * 1.55), shade=120)
    return _on(body, code, top=int(side * 0.4))


def _on(carrier: "Grey", code: "Grey", top: int | None = None, left: int | None = None) -> "Grey":
    height, width = carrier.shape
    side = code.shape[0]
    y = (height - side) // 2 if top is None else top
    x = (width - side) // 2 if left is None else left
    carrier[y : y + side, x : x + side] = code
    return carrier


def _lines_of_text(sheet: "Grey", top: int, shade: int) -> None:
    height, width = sheet.shape
    for y in range(top, height - height // 10, max(12, height // 22)):
        cv2.line(sheet, (width // 7, y), (width - width // 5 - y % 97, y), shade, 4)


@lru_cache(maxsize=1)
def _door() -> "Grey":
    """What the camera sees behind a visitor: a wall, a door frame, tiles, a lamp's fall-off."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    wall = 128 + 34 * np.cos((x - 500) / 600) - 30 * y / HEIGHT_PX
    wall += 5 * np.sign(np.sin(x / 40)) * (y > HEIGHT_PX * 0.7) * np.sign(np.sin(y / 26))
    door = np.clip(wall, 0, 255).astype(np.uint8)
    cv2.rectangle(door, (880, 60), (1200, HEIGHT_PX), 84, -1)
    cv2.rectangle(door, (905, 90), (1175, HEIGHT_PX), 108, -1)
    cv2.circle(door, (1150, 420), 12, 190, -1)
    soft: Grey = np.asarray(cv2.GaussianBlur(door, (0, 0), 1.5), dtype=np.uint8)
    return soft


def _place(drawn: "Grey", scene: Scene, at: "NDArray[np.float64]") -> "Grey":
    """The object in the room, in perspective, over the door."""
    height, width = drawn.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, _seen(corners, scene, at))
    frame = _door().copy()
    seen = cv2.warpPerspective(drawn, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(
        np.full_like(drawn, 255), matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_NEAREST
    )
    frame[there > 0] = seen[there > 0]
    return frame


def _seen(corners: "Points", scene: Scene, at: "NDArray[np.float64]") -> "Points":
    """Where the object's corners come to lie: scaled, tilted about its upright, rolled, moved."""
    scale = scene.module_px / DRAWN_MODULE_PX
    flat = (corners - corners.mean(axis=0)) * scale
    tilt, roll = np.radians(scene.weather.tilt_deg), np.radians(scene.weather.roll_deg)
    depth = flat[:, 0] * np.sin(tilt)
    near = FOCAL_PX / (FOCAL_PX + depth)
    tilted = np.stack([flat[:, 0] * np.cos(tilt) * near, flat[:, 1] * near], axis=1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    seen: Points = np.asarray(tilted @ turn.T + at, dtype=np.float32)
    return seen


def _spoil(
    frame: "Grey", weather: Weather, glare_at: "NDArray[np.float64]", chance: random.Random
) -> "Grey":
    """Lens, light and sensor: blur, motion, glare, darkness, noise."""
    if weather.blur_px > 0.3:  # noqa: PLR2004  below it nothing changes
        frame = cv2.GaussianBlur(frame, (0, 0), weather.blur_px).astype(np.uint8)
    if weather.motion_px >= 1:
        frame = cv2.filter2D(frame, -1, _smear(weather)).astype(np.uint8)
    if weather.glare:
        frame = cv2.add(frame, _glare(weather.glare, glare_at)).astype(np.uint8)
    if weather.contrast != 1:
        flat = MIDDLE_GREY * (1 - weather.contrast)
        frame = cv2.convertScaleAbs(frame, alpha=weather.contrast, beta=flat).astype(np.uint8)
    if weather.gain != 1:
        frame = cv2.convertScaleAbs(frame, alpha=weather.gain).astype(np.uint8)
    noise = _noise()[chance.randrange(NOISES)]
    shift = chance.randrange(WIDTH_PX)
    noise = np.roll(noise, shift, axis=1)
    return cv2.add(frame, noise * (weather.noise / NOISE_DRAWN), dtype=cv2.CV_8U).astype(np.uint8)


def _smear(weather: Weather) -> "NDArray[np.float32]":
    """What a point becomes while it moves during one exposure."""
    length = round(weather.motion_px)
    if not weather.motion_deg:
        return np.full((1, length), 1 / length, dtype=np.float32)
    side = length | 1
    kernel = np.zeros((side, side), dtype=np.float32)
    middle, angle = (side - 1) / 2, np.radians(weather.motion_deg)
    for along in np.linspace(-length / 2, length / 2, 8 * length):
        x = round(middle + along * float(np.cos(angle)))
        y = round(middle + along * float(np.sin(angle)))
        kernel[min(max(y, 0), side - 1), min(max(x, 0), side - 1)] += 1
    smear: NDArray[np.float32] = kernel / kernel.sum()
    return smear


def _glare(strength: float, at: "NDArray[np.float64]") -> "Grey":
    spot = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.uint8)
    cv2.circle(spot, (int(at[0]), int(at[1])), 36, round(110 * strength), -1)
    return cv2.GaussianBlur(spot, (0, 0), 22).astype(np.uint8)


# What a frame without contrast is: the lens sees only the haze of its own window.
MIDDLE_GREY = 128

NOISES = 4
NOISE_DRAWN = 10.0


@lru_cache(maxsize=1)
def _noise() -> "Sequence[NDArray[np.float32]]":
    """A few frames of sensor noise, moved about for each frame: new ones cost 15 ms each."""
    generator = np.random.default_rng(20211022)
    return [
        generator.normal(0, NOISE_DRAWN, (HEIGHT_PX, WIDTH_PX)).astype(np.float32)
        for _ in range(NOISES)
    ]
