"""What a visitor may show: one module per format, each pure and bounded.

*Read* and *verified* are two different words: none of the Vietnamese identity codes is signed,
so that a card read is a claim and no proof. Only the vaccine pass, the health card and our own
pass can be verified, offline, against the trust list.
"""

from collections.abc import Callable, Sequence

from checkin import passes
from kiosk.logic.credentials import contact, declaration, hc1, shc
from kiosk.logic.credentials.bhyt import Bhyt, looks_like_bhyt, read_bhyt
from kiosk.logic.credentials.cccd import Cccd, looks_like_cccd, read_cccd
from kiosk.logic.credentials.contact import Contact
from kiosk.logic.credentials.declaration import Declaration
from kiosk.logic.credentials.foreign import Foreign, foreign_kind, venue_poster
from kiosk.logic.credentials.hc1 import Hc1
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed
from kiosk.logic.credentials.qrqg import Qrqg, looks_like_qrqg, read_qrqg
from kiosk.logic.credentials.shc import Shc
from kiosk.logic.credentials.vaora_pass import VaoraPass, read_pass
from kiosk.logic.credentials.visitor import VisitorCode, read_visitor
from kiosk.logic.payload import Unreadable, as_text

Credential = Cccd | Qrqg | Bhyt | Hc1 | Shc | VaoraPass | Declaration | Contact | VisitorCode

KINDS = (
    "cccd", "qrqg", "bhyt", "hc1", "shc", "pass", "health-declaration", "vcard", "visitor",
)  # fmt: skip

# Kinds that a signature can prove.
SIGNED_KINDS = ("hc1", "shc", "pass")

_Reader = Callable[[str, Here], Credential | Malformed]

# By how a payload begins: the prefix, its type, its reader, and whether the reader wants it whole.
_BY_PREFIX: tuple[tuple[str, str, _Reader, bool], ...] = (
    (hc1.PREFIX, "hc1", hc1.read_hc1, False),
    (shc.PREFIX, "shc", shc.read_shc, True),
    (passes.PREFIX, "pass", read_pass, False),
    (contact.VCARD, "vcard", contact.read_vcard, True),
    (contact.MECARD, "vcard", contact.read_mecard, True),
)

# By its shape: fields between bars.
_BY_SHAPE: tuple[tuple[Callable[[str], bool], str, _Reader], ...] = (
    (looks_like_cccd, "cccd", read_cccd),
    (looks_like_bhyt, "bhyt", read_bhyt),
    (looks_like_qrqg, "qrqg", read_qrqg),
)


def read(payload: bytes, here: Here) -> Credential | Foreign:
    """Return the credential in `payload`, or say why there is none.

    A stranger's code is an ordinary event at a door, so it is a return value and not an
    exception. This function never raises, whatever the bytes.
    """
    text = as_text(payload)
    if isinstance(text, Unreadable):
        return Foreign("other", text.reason)
    return read_text(text, here)


def read_parts(payloads: Sequence[bytes], here: Here) -> Credential | Foreign:
    """The credential in several codes that belong together; or what the first one is."""
    texts = [text for text in map(as_text, payloads) if isinstance(text, str)]
    whole = shc.put_together(texts)
    if whole is not None:
        return read_text(whole, here)
    found = [read(payload, here) for payload in payloads] or [Foreign("other", "empty")]
    return next((one for one in found if not isinstance(one, Foreign)), found[0])


def read_text(text: str, here: Here) -> Credential | Foreign:
    for prefix, type_, reader, whole in _BY_PREFIX:
        if text.startswith(prefix):
            return _found(type_, reader(text if whole else text.removeprefix(prefix), here))
    if text.startswith(here.visitor_prefix):
        return _found("visitor", read_visitor(text.removeprefix(here.visitor_prefix), here))
    if declaration.is_of_the_site(text):
        if declaration.is_poster(text):
            return venue_poster()
        return _found("health-declaration-url", declaration.read_declaration(text, here))
    for looks_like, type_, reader in _BY_SHAPE:
        if looks_like(text):
            return _found(type_, reader(text, here))
    return foreign_kind(text)


def _found(type_: str, found: Credential | Malformed) -> Credential | Foreign:
    return Foreign(type_, found.error) if isinstance(found, Malformed) else found
