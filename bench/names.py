"""Made-up Vietnamese names and addresses, from a card's payload to an image and back.

    python -m bench.names [HOW_MANY]

Every 50th code is drawn by segno, the others by zxing-cpp's own writer, which is faster; every one
is read by the door's first engine, every 50th by the second too, and then read as a card.
"""

import random
import sys
import time
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING
from unicodedata import normalize

import cv2
import numpy as np
import zxingcpp

from bench.door import engines
from demo import scenes
from demo.people import FAMILY, GIVEN_F, GIVEN_M, MIDDLE_F, MIDDLE_M, PLACES
from kiosk.devices.decoder import Engine
from kiosk.logic import credentials
from kiosk.logic.credentials.cccd import REGISTRIES, Cccd
from kiosk.logic.credentials.here import Here

if TYPE_CHECKING:
    from kiosk.ports import Grey

ALL = 100_000
EVERY = 50
SCALE_PX = 3

# Every vowel with every tone, composed, and the letters that Latin-1 lacks.
VOWELS = "aăâeêioôơuưy"
TONES = ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
CONSONANTS = ("", "Đ", "đ", "Ng", "Ph", "Th", "Tr", "Kh", "Nh", "Qu", "x", "s")


def payload(number: int) -> bytes:
    """Card `number`: its name and address go through all syllables there are, made-up ones too."""
    chance = random.Random(number)
    syllables = [
        consonant + vowel + tone + chance.choice(("", "n", "ng", "t", "c"))
        for consonant, vowel, tone in chance.sample(SYLLABLES, 3)
    ]
    middle, given = (MIDDLE_F, GIVEN_F) if number % 2 else (MIDDLE_M, GIVEN_M)
    name = " ".join((chance.choice(FAMILY), chance.choice(middle), syllables[0].title()))
    address = f"{syllables[1].title()} {chance.choice(given)}, {syllables[2]}, "
    address += chance.choice(PLACES)
    card = f"{sorted(REGISTRIES)[number % 63]}{number % 2}909999{number % 100:02}"
    fields = (card, "", name, "02011990", "Nữ" if number % 2 else "Nam", address, "15052021")
    return normalize("NFC", "|".join(fields)).encode()


SYLLABLES = list(product(CONSONANTS, VOWELS, TONES))


def drawn(text: bytes, number: int) -> "Grey":
    if number % EVERY == 0:
        code = scenes.modules(text)
    else:
        made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
        code = np.asarray(made.to_image(scale=1, add_quiet_zones=True), dtype=np.uint8)
    return np.asarray(
        cv2.resize(code, None, fx=SCALE_PX, fy=SCALE_PX, interpolation=cv2.INTER_NEAREST)
    )


def wrong_ones(count: int, first: int = 0) -> list[int]:
    """The numbers of the cards that didn't come back byte for byte, and as a card."""
    known = engines()
    here = Here(datetime(2026, 11, 22, tzinfo=UTC))
    wrong = []
    for number in range(first, first + count):
        text = payload(number)
        image = drawn(text, number)
        readers: list[Engine] = [known.local]
        if known.second is not None and number % EVERY == 0:
            readers.append(known.second)
        found = {code.payload for reader in readers for code in reader.read(image)}
        card = credentials.read(text, here)
        name = card.name if isinstance(card, Cccd) else ""
        if found != {text} or name != text.decode().split("|")[2]:
            wrong.append(number)
    return wrong


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ALL
    began = time.monotonic()
    wrong = wrong_ones(count)
    seconds = time.monotonic() - began
    print(f"{count} cards, {len(wrong)} not byte for byte {wrong[:10]}, {seconds:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
