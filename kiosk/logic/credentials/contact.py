"""A contact card, vCard (RFC 2426, RFC 6350) or MECARD: what its bearer says of themselves."""

import re
from dataclasses import dataclass

from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

VCARD, MECARD = "BEGIN:VCARD", "MECARD:"

MOST_LINES = 100

_ESCAPE = re.compile(r"\\([\\;,:nN])")
_MECARD_FIELD = re.compile(r"(?:^|(?<=;))([A-Z]{1,20}):((?:[^\\;]|\\.){0,400});", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact card that was read; empty texts for what isn't on it."""

    form: str
    name: str
    org: str
    phone: str
    email: str

    kind = "vcard"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        return f"{self.name}|{self.phone}|{self.email}"

    def person(self) -> dict[str, str]:
        found = {"name": self.name, "org": self.org, "phone": self.phone, "email": self.email}
        return {key: value for key, value in found.items() if value}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": self.form,
            "name": self.name,
            "org": self.org or None,
            "phone": self.phone or None,
            "email": self.email or None,
            "signed": self.signed,
            "warnings": ["self-asserted"],
        }

    def __repr__(self) -> str:
        return "<contact card>"


def read_vcard(text: str, _here: Here) -> Contact | Malformed:
    """Read the first card in `text`, which begins with `BEGIN:VCARD`."""
    # A line that begins with a blank goes on with the one before (RFC 6350, section 3.2).
    lines = re.sub(r"\r?\n[ \t]", "", text).splitlines()[:MOST_LINES]
    found: dict[str, str] = {}
    for line in lines:
        head, colon, value = line.partition(":")
        key = head.split(";")[0].rpartition(".")[2].upper()
        if colon and key not in found:
            found[key] = value
    name = _plain(found.get("FN", "")) or _turned(found.get("N", ""), ";")
    org = _plain(found.get("ORG", "").split(";")[0])
    return _contact("vcard", name, org, found)


def read_mecard(text: str, _here: Here) -> Contact | Malformed:
    found: dict[str, str] = {}
    for key, value in _MECARD_FIELD.findall(text.removeprefix(MECARD)):
        found.setdefault(key, value)
    return _contact("mecard", _turned(found.get("N", ""), ","), _plain(found.get("ORG", "")), found)


def _contact(form: str, name: str, org: str, found: dict[str, str]) -> Contact | Malformed:
    if not fields.is_name(name):
        return Malformed("no-name")
    phone, email = (_plain(found.get(key, ""))[: fields.LONGEST_NAME] for key in ("TEL", "EMAIL"))
    return Contact(form, name.strip(), org[: fields.LONGEST_NAME], phone, email)


def _turned(name: str, between: str) -> str:
    """`Family;Given` the way the name is spoken: given names first, as `FN` would have it."""
    family, _, given = name.partition(between)
    parts = (_plain(given.split(between)[0]), _plain(family))
    return " ".join(part for part in parts if part)


def _plain(value: str) -> str:
    plain = _ESCAPE.sub(lambda match: " " if match[1] in "nN" else match[1], value)
    return " ".join(plain.split())
