"""Codes that are hard to read, by a seed: what a second before the glass may look like.

Each visitor holds a code for one second at 30 frames a second. Two things are wrong with it: out
of focus, in glare, pale, tilted, bright on dark, noisy, moving, dark; and it is small. The scenes
are drawn by the same code as the demo's, where everything is better.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from demo import scenes
from demo.people import person
from demo.scenes import Carrier, Scene, Weather

if TYPE_CHECKING:
    from demo.scenes import Grey

FPS = 30
SHOWN_FRAMES = FPS

# A second engine may see the code in a frame more or less: so many visitors make a rate good to
# about three in a hundred.
VISITORS = 160

TROUBLES = ("blur", "glare", "pale", "tilt", "inverted", "noise", "motion", "dark")


def hard_scene(seed: int) -> Scene:
    """A visitor with two troubles, each between bad and hopeless."""
    chance = random.Random(seed)
    troubles = chance.sample(TROUBLES, 2)
    weather = Weather(
        tilt_deg=chance.uniform(-15, 15),
        roll_deg=chance.uniform(-180, 180),
        blur_px=0.5,
        shake_px=chance.uniform(0.5, 2.5),
    )
    carrier = chance.choice((Carrier.PHONE, Carrier.PAPER, Carrier.CARD))
    for trouble in sorted(troubles):
        match trouble:
            case "blur":
                weather = replace(weather, blur_px=chance.uniform(1.3, 2.6))
            case "glare":
                weather = replace(weather, glare=chance.uniform(1.0, 2.2))
            case "pale":
                weather = replace(weather, contrast=chance.uniform(0.08, 0.3))
            case "tilt":
                weather = replace(weather, tilt_deg=chance.choice((-1, 1)) * chance.uniform(35, 62))
            case "inverted":
                carrier = Carrier.DARK_PHONE
            case "noise":
                weather = replace(weather, noise=chance.uniform(20, 45))
            case "motion":
                weather = replace(
                    weather,
                    motion_px=chance.uniform(5, 11),
                    motion_deg=chance.choice((0, 0, 90, chance.uniform(-90, 90))),
                )
            case "dark":
                weather = replace(weather, gain=chance.uniform(0.08, 0.25))
    module_px = chance.uniform(2.4, 3.0) if carrier is Carrier.CARD else chance.uniform(2.6, 4.4)
    return Scene(person(seed).payload, carrier, weather, module_px, seed)


def hard_frames(seed: int) -> tuple[bytes, Iterator["Grey"]]:
    """The payload, and the frames of the second that it is shown for."""
    shown = hard_scene(seed)
    return shown.payload, scenes.frames(shown, SHOWN_FRAMES)
