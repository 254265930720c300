"""What a visitor may show: one module per format, each pure and bounded.

*Read* and *verified* are two different words: none of the Vietnamese identity codes is signed,
so that a card read is a claim and no proof.
"""

from dataclasses import dataclass

from kiosk.logic.credentials.cccd import Cccd, looks_like_cccd, read_cccd
from kiosk.logic.credentials.malformed import Malformed
from kiosk.logic.credentials.visitor import VisitorCode, read_visitor
from kiosk.logic.payload import Unreadable, as_text

Credential = Cccd | VisitorCode

KINDS = ("cccd", "visitor")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A readable code that is no credential: a menu, a payment, a card that was misread."""

    reason: str


def read(payload: bytes, visitor_prefix: str) -> Credential | Foreign:
    """Return the credential in `payload`, or say why there is none.

    A stranger's code is an ordinary event at a door, so it is a return value and not an
    exception. This function never raises, whatever the bytes.
    """
    text = as_text(payload)
    if isinstance(text, Unreadable):
        return Foreign(text.reason)
    found: Credential | Malformed
    if text.startswith(visitor_prefix):
        found = read_visitor(text.removeprefix(visitor_prefix))
    elif looks_like_cccd(text):
        found = read_cccd(text)
    else:
        return Foreign("not-a-visitor-code")
    return Foreign(found.reason) if isinstance(found, Malformed) else found
