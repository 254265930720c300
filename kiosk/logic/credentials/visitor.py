"""A plain visitor code: a prefix and an opaque id, made by whoever runs the front desk.

It proves nothing and names nobody: what it stands for is in the desk's own list. It is the
simplest way in for people without a smartphone or a card; a signed pass is the better one.
"""

import re
from dataclasses import dataclass

from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

# Letters and digits that a QR code packs well (alphanumeric mode) and a desk can read aloud.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,31}")


@dataclass(frozen=True, slots=True)
class VisitorCode:
    code: str

    kind = "visitor"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        return self.code

    def person(self) -> dict[str, str]:
        """The code is a person's as soon as somebody has the desk's list."""
        return {"code": self.code}

    def reading(self) -> dict[str, object]:
        return {"ok": True, "type": self.kind, "code": self.code, "signed": False, "warnings": []}

    def __repr__(self) -> str:
        return "<visitor code>"


def read_visitor(body: str, _here: Here) -> VisitorCode | Malformed:
    """Read what stands behind the prefix."""
    if _CODE.fullmatch(body) is None:
        return Malformed("bad-code")
    return VisitorCode(body)
