"""Ho Chi Minh City's health declaration: a web address with the declaration's id in it.

    https://kbytcq.khambenh.gov.vn/#tokhai_yte/view?id=<id>

What was declared is behind that address, online; a kiosk keeps the id and follows nothing. The
same site prints posters for visitors' phones (`…/model?…dd_id=…`): held up by mistake.
"""

import re
from dataclasses import dataclass

from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

HOST = re.compile(r"https?://((?:[a-z0-9-]+\.)?khambenh\.gov\.vn)(?=[/#?]|$)", re.IGNORECASE)

_ID = re.compile(r"[?&]id=([A-Za-z0-9-]{4,64})(?=&|$)")
_POSTER = re.compile(r"[?&](?:dd_id|o)=")


@dataclass(frozen=True, slots=True)
class Declaration:
    host: str
    ref: str

    kind = "health-declaration"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        return self.ref

    def person(self) -> dict[str, str]:
        return {"declaration": self.ref}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": "health-declaration-url",
            "host": self.host,
            "ref": self.ref,
            "signed": self.signed,
            "warnings": ["opaque-reference"],
        }

    def __repr__(self) -> str:
        return "<health declaration>"


def is_of_the_site(text: str) -> bool:
    return HOST.match(text) is not None


def is_poster(text: str) -> bool:
    return _POSTER.search(text) is not None


def read_declaration(text: str, _here: Here) -> Declaration | Malformed:
    """Read the address in `text`, which `is_of_the_site`."""
    host, ref = HOST.match(text), _ID.search(text)
    if host is None or ref is None:
        return Malformed("no-reference")
    return Declaration(host[1].lower(), ref[1])
