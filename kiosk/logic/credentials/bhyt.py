"""The health insurance card, in its two layouts.

Before April 2021, 15 fields:

    AA+13 digits | hex(name) | dob | 1/2 | hex(address) | PP - CCC | from | to/- | issued | id14 |
    - | 4 | five-year date | 16HEX-7102 | $

Since, 17: ten digits first, `hex(office)` behind a second `4`. hex is UTF-8 in hexadecimal, `-`
is empty, and the final `$` may be missing. The checksum's rule is not public; nothing is signed.
"""

import re
from dataclasses import dataclass
from datetime import date

from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

OLD_CODE = re.compile(r"[A-Z]{2}[0-9]{13}")
NEW_CODE = re.compile(r"[0-9]{10}")

# With and without the final `$`, and with and without the bar before it.
OLD_COUNTS = {14, 15}
NEW_COUNTS = {16, 17}

SEXES = {"1": "M", "2": "F"}

_FACILITY = re.compile(r"[0-9]{1,3} ?- ?[0-9A-Za-z]{1,5}")
_PARTIAL_DOB = re.compile(r"(?:(?:00/)?(?:(00|0[1-9]|1[0-2])/))?([0-9]{4})")


@dataclass(frozen=True, slots=True)
class Bhyt:
    """An insurance card that was read. `dob` may be a year, or a month of one."""

    variant: str
    bhyt_code: str
    name: str
    dob: str
    sex: str
    address: str
    first_facility: str
    valid_from: date
    valid_to: date | None
    issued: date | None
    warnings: tuple[str, ...]

    kind = "bhyt"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        return self.bhyt_code

    def person(self) -> dict[str, str]:
        found = {
            "name": self.name,
            "bhyt_code": self.bhyt_code,
            "dob": self.dob,
            "sex": self.sex,
            "address": self.address,
        }
        return {key: value for key, value in found.items() if value}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": self.kind,
            "variant": self.variant,
            "bhyt_code": self.bhyt_code,
            "name": self.name,
            "dob": self.dob,
            "sex": self.sex,
            "address": self.address or None,
            "first_facility": self.first_facility,
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
            "issued": self.issued.isoformat() if self.issued else None,
            "signed": self.signed,
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return f"<bhyt {self.variant}>"


def looks_like_bhyt(text: str) -> bool:
    split = text.split("|", maxsplit=18)
    if OLD_CODE.fullmatch(split[0]):
        return len(split) in OLD_COUNTS
    return NEW_CODE.fullmatch(split[0]) is not None and len(split) in NEW_COUNTS | {15}


def read_bhyt(text: str, here: Here) -> Bhyt | Malformed:
    """Read the card in `text`, which `looks_like_bhyt`."""
    code, name_hex, born, sex, address_hex, facility, valid_from, valid_to, issued, *_ = text.split(
        "|"
    )
    name, address = fields.hex_text(name_hex), _hex_or_empty(address_hex)
    if name is None or address is None:
        return Malformed("bad-hex")
    if not fields.is_name(name) or len(address) > fields.LONGEST_ADDRESS:
        return Malformed("bad-name-or-address")
    if sex not in SEXES:
        return Malformed("bad-sex")
    if facility != "-" and _FACILITY.fullmatch(facility) is None:
        return Malformed("bad-facility")
    dob = _dob(born)
    begin, end, made = (_date_or_none(field) for field in (valid_from, valid_to, issued))
    if dob is None or not isinstance(begin, date) or BAD in (end, made):
        return Malformed("bad-date")
    return Bhyt(
        variant="15" if OLD_CODE.fullmatch(code) else "17",
        bhyt_code=code,
        name=name,
        dob=dob,
        sex=SEXES[sex],
        address=address,
        first_facility=facility,
        valid_from=begin,
        valid_to=end if isinstance(end, date) else None,
        issued=made if isinstance(made, date) else None,
        warnings=tuple(_warnings(begin, end, dob, here)),
    )


BAD = "bad"


def _warnings(begin: date, end: date | str | None, dob: str, here: Here) -> list[str]:
    today = here.at.date()
    born = date.fromisoformat(dob) if len(dob) == len("2000-01-01") else None
    found = {
        "not-yet-valid": here.synced and begin > today,
        "expired": isinstance(end, date) and end < today,
        "minor": born is not None and fields.is_minor(born, today),
    }
    return [warning for warning, holds in found.items() if holds]


def _hex_or_empty(field: str) -> str | None:
    return "" if field in {"-", ""} else fields.hex_text(field)


def _date_or_none(field: str) -> date | str | None:
    """The date, None for `-`, or `BAD`."""
    if field.strip() in {"-", ""}:
        return None
    return fields.slashed(field) or BAD


def _dob(field: str) -> str | None:
    """ISO 8601, as much of it as the card tells; many elders' cards have only the year."""
    full = fields.slashed(field)
    if full is not None:
        return full.isoformat()
    match = _PARTIAL_DOB.fullmatch(field.strip())
    if match is None:
        return None
    month, year = match.groups()
    return f"{year}-{month}" if month and month != "00" else year
