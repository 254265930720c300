"""Codes that are no credential: what they are, and what to tell their bearer."""

import re
from dataclasses import dataclass, field

# Other countries' venue posters, by how they begin.
POSTERS = ("NZCOVIDTRACER:",)

PAYMENT = "000201"  # EMVCo's payload format indicator, which VietQR and others begin with

_URL = re.compile(r"https?://([^/?#\s@]{1,253})", re.IGNORECASE)

# What a technician sees beside each kind, and what the staff at a desk may say.
HINTS = {
    "cccd": "a citizen card that was misread or altered: hold it flat and try again",
    "qrqg": "a national code that was misread or altered: try again",
    "bhyt": "an insurance card that was misread or altered: hold it flat and try again",
    "hc1": "a vaccine pass that can't be read: try again, or another copy of it",
    "shc": "a health card that can't be read, or one of its parts: show the others too",
    "pass": "a pass that can't be read: ask the desk for a new one",
    "vcard": "a contact card without a name",
    "health-declaration-url": "a health declaration without its number",
    "venue-poster": "a poster for visitors' phones: show your own code instead",
    "payment": "a payment code: nothing is paid here",
    "url": "a web address: no visitor's code, and never opened here",
    "visitor": "a visitor code that the desk didn't make",
    "other": "no visitor's code",
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A readable code that is no credential: a menu, a payment, a card that was misread.

    `host` is a web address's, for a technician's eyes; it is never logged.
    """

    type: str
    error: str
    host: str = field(default="", repr=False)

    @property
    def reason(self) -> str:
        """A word for the log and the counts: no part of the payload is in it."""
        return self.error if self.type == "other" else f"{self.type}-{self.error}"

    @property
    def hint(self) -> str:
        return HINTS.get(self.type, HINTS["other"])

    def reading(self) -> dict[str, object]:
        found: dict[str, object] = {"ok": False, "type": self.type, "error": self.error}
        return {**found, "host": self.host} if self.host else found


def foreign_kind(text: str) -> Foreign:
    """What `text` is, which no reader of credentials wanted."""
    if text.startswith(PAYMENT):
        return Foreign("payment", "payment-code")
    if text.startswith(POSTERS):
        return venue_poster()
    address = _URL.match(text)
    if address is not None:
        return Foreign("url", "no-personal-data", host=address[1].lower())
    return Foreign("other", "not-a-visitor-code")


def venue_poster() -> Foreign:
    return Foreign("venue-poster", "venue-code-not-visitor")
