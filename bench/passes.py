"""A thousand passes: issued, printed, and each read by the kiosk's decoder from its page.

The bar is a minute for issuing and printing. The reference is what segno needs by itself for the
same codes with its own search for a mask; the sheets have signatures, texts and lines besides.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
import pypdfium2
import segno

from bench.door import decoder
from bench.figure import report, seconds
from checkin.cose import SigningKey
from demo.people import FAMILY, GIVEN_F, MIDDLE_F
from provisioning import issuing, paper, pass_sheets, qr, wanted
from provisioning.issuing import Pass
from provisioning.wanted import Desk

if TYPE_CHECKING:
    from kiosk.ports import Grey

ALL = 1000
OF_REFERENCE = 50
DPI = 150
AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
ZONE = timezone(timedelta(hours=7))
KEY = SigningKey(bytes(range(32)))


def passes() -> None:
    """Report the seconds that 1,000 take, and how many of them no kiosk would read."""
    chance = random.Random(1)
    desk = Desk(AT, 7.0, frozenset(), paper.unprintable)
    rows = [
        {
            "holder": " ".join(map(chance.choice, (FAMILY, MIDDLE_F, GIVEN_F))),
            "checkpoints": "0100123",
            "form_number": str(number),
        }
        for number in range(ALL)
    ]
    made: list[Pass] = []
    sheets: list[bytes] = []

    def print_all() -> None:
        asked = [wanted.one(row, desk) for row in rows]
        made.extend(issuing.issue(asked, KEY, at=AT, random=chance.randbytes))
        sheets.append(pass_sheets.pdf(made, fleet="Bệnh viện Mẫu", zone=ZONE, at=AT))

    took_s = seconds(print_all)
    reference_s = seconds(lambda: [_by_segno(one.text) for one in made[:OF_REFERENCE]])
    report("passes_printed_1000", took_s, "s", reference_s * ALL / OF_REFERENCE)
    unread = ALL - sum(
        one.text.encode() in _codes(card)
        for one, card in zip(made, _cards(sheets[0]), strict=False)
    )
    report("passes_unread_of_1000", unread, "passes", 0)


def _by_segno(text: str) -> object:
    return segno.make(text, error=qr.LEVEL, boost_error=False, micro=False)


def _codes(grey: "Grey") -> list[bytes]:
    return [code.payload for code in decoder().read_still(grey)]


def _cards(pdf: bytes) -> Iterator["Grey"]:
    """Each card as it is printed, cut from its page."""
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        grey = page.render(scale=DPI / 72, grayscale=True).to_numpy()
        for number in range(pass_sheets.COLUMNS * pass_sheets.ROWS):
            left, top, width, height = (
                round(each * DPI / 25.4) for each in pass_sheets.card(number)
            )
            yield np.ascontiguousarray(grey[top : top + height, left : left + width])
    document.close()
