"""The bytes of a QR code as text, or why they are none."""

import unicodedata
from dataclasses import dataclass

# ISO/IEC 18004, table 7: the largest symbol (40-L) holds 7,089 digits, 4,296 letters, 2,953 bytes.
# No credential is made of digits alone: the longest that could be are 4,296 letters of base45.
LONGEST_PAYLOAD_BYTES = 4_296

# A vCard is made of lines; in everything else a control character is a misread or an attack.
CARDS_OF_LINES = "BEGIN:VCARD"
LINE_ENDS = "\r\n\t"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No text that a credential could be made of."""

    reason: str


def as_text(payload: bytes) -> str | Unreadable:
    """Strict UTF-8, then NFC, then no control characters but a line end at the end.

    Never a guess: an engine that guesses charsets turns a third of Vietnamese names to rubble.
    """
    if len(payload) > LONGEST_PAYLOAD_BYTES:
        return Unreadable("too-long")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("not-utf-8")
    # Scanners that stand between a printer and us append CR, LF or both.
    text = unicodedata.normalize("NFC", text.rstrip("\r\n"))
    if not text.strip():
        return Unreadable("empty")
    allowed = LINE_ENDS if text.startswith(CARDS_OF_LINES) else ""
    if any(unicodedata.category(each) == "Cc" and each not in allowed for each in text):
        return Unreadable("control-characters")
    return text
