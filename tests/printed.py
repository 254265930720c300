"""What is on a printed page: its text, and its picture as a camera's grey frame."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pypdfium2

from checkin.cose import SigningKey
from provisioning import issuing, paper, pass_sheets, wanted
from provisioning.wanted import Desk

AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
DESK = Desk(AT, 7.0, frozenset(), paper.unprintable)
ZONE = timezone(timedelta(hours=7))
KEY = SigningKey(bytes(range(32)))


def texts(pdf):
    """Each page's text, its lines joined by spaces."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [" ".join(page.get_textpage().get_text_bounded().split()) for page in document]
    finally:
        document.close()


def greys(pdf, dpi=150):
    document = pypdfium2.PdfDocument(pdf)
    try:
        for page in document:
            yield np.ascontiguousarray(page.render(scale=dpi / 72, grayscale=True).to_numpy())
    finally:
        document.close()


def cut(grey, place, dpi=150):
    """The part of a page that is `place`, in millimetres."""
    left, top, width, height = (round(each * dpi / 25.4) for each in place)
    return np.ascontiguousarray(grey[top : top + height, left : left + width])


def made(*asked, key=KEY, at=AT):
    """Passes for `asked`, each the cells of a row; ids count from 1."""
    ids = iter(range(1, len(asked) + 1))
    wants = [wanted.one(cells, DESK) for cells in asked]
    return issuing.issue(wants, key, at=at, random=lambda length: next(ids).to_bytes(length, "big"))


def sheets(passes, fleet="Bệnh viện Mẫu"):
    return pass_sheets.pdf(passes, fleet=fleet, zone=ZONE, at=AT)
