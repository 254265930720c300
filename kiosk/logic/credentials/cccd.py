"""The chip-based citizen card: CCCD of 2021, and *căn cước* of 2024 with four fields more.

    number12 | old-id9 or empty | name | ddmmyyyy | Nam/Nữ | address | ddmmyyyy issued [| 4 more]

Nothing in it is signed. What the last four fields of the 2024 card mean is unverified: they are
counted, and their content is dropped.
"""

import re
from dataclasses import dataclass
from datetime import date

from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

FIELDS = {7: "cccd-2021", 11: "cc-2024"}

SEXES = {"Nam": "M", "Nữ": "F"}

# Registries of birth: the 63 provinces of before July 2025, by their codes in the card's number
# (Circular 59/2021/TT-BCA). Any other may be a country's, of who was born abroad.
REGISTRIES = frozenset(
    [
        "001",
        "002",
        "004",
        "006",
        "008",
        "010",
        "011",
        "012",
        "014",
        "015",
        "017",
        "019",
        "020",
        "022",
        "024",
        "025",
        "026",
        "027",
        "030",
        "031",
        "033",
        "034",
        "035",
        "036",
        "037",
        "038",
        "040",
        "042",
        "044",
        "045",
        "046",
        "048",
        "049",
        "051",
        "052",
        "054",
        "056",
        "058",
        "060",
        "062",
        "064",
        "066",
        "067",
        "068",
        "070",
        "072",
        "074",
        "075",
        "077",
        "079",
        "080",
        "082",
        "083",
        "084",
        "086",
        "087",
        "089",
        "091",
        "092",
        "093",
        "094",
        "095",
        "096",
    ]
)

_NUMBER = re.compile(r"[0-9]{12}")
_OLD_ID = re.compile(r"[0-9]{9}|")
# Loose on purpose: a card with one digit too few is a misread card, not a stranger's code.
_FIRST_FIELD = re.compile(r"[0-9]{9,13}")
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{4})")


@dataclass(frozen=True, slots=True)
class Cccd:
    """A card that was read. Dates are as printed; `old_id` is empty for most.

    `warnings` are for reports and never a reason to refuse: people change what is on record, and
    clerks err.
    """

    card: str
    id_number: str
    old_id: str
    name: str
    dob: date
    sex: str
    address: str
    issued: date
    extra: int
    warnings: tuple[str, ...]

    kind = "cccd"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        """What stays the same when this person shows another of their cards."""
        return self.id_number

    def person(self) -> dict[str, str]:
        """What the card tells of its bearer."""
        return {
            "name": self.name,
            "id_number": self.id_number,
            "dob": self.dob.isoformat(),
            "sex": self.sex,
            "address": self.address,
        }

    def reading(self) -> dict[str, object]:
        """Everything that was read, for a technician's eyes."""
        return {
            "ok": True,
            "type": self.kind,
            "card": self.card,
            "id_number": self.id_number,
            "old_id": self.old_id or None,
            "name": self.name,
            "dob": self.dob.isoformat(),
            "sex": self.sex,
            "address": self.address,
            "issued": self.issued.isoformat(),
            "extra": [""] * self.extra,
            "signed": self.signed,
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        # Logs and traces are copied into tickets: nothing of the person is in them.
        return f"<{self.card}>"


def looks_like_cccd(text: str) -> bool:
    """Whether `text` has a card's shape, right or misread."""
    split = _fields(text)
    return len(split) in FIELDS and _FIRST_FIELD.fullmatch(split[0]) is not None


def read_cccd(text: str, here: Here) -> Cccd | Malformed:
    """Read the card in `text`, which `looks_like_cccd`."""
    number, old_id, name, born, sex, address, issued, *more = _fields(text)
    if _NUMBER.fullmatch(number) is None:
        return Malformed("bad-number")
    if _OLD_ID.fullmatch(old_id) is None:
        return Malformed("bad-old-id")
    if not fields.is_name(name) or len(address) > fields.LONGEST_ADDRESS:
        return Malformed("bad-name-or-address")
    if sex not in SEXES:
        return Malformed("bad-sex")
    dob, issued_on = _date(born), _date(issued)
    if dob is None or issued_on is None:
        return Malformed("bad-date")
    return Cccd(
        card=FIELDS[7 + len(more)],
        id_number=number,
        old_id=old_id,
        name=name.strip(),
        dob=dob,
        sex=SEXES[sex],
        address=address.strip(),
        issued=issued_on,
        extra=len(more),
        warnings=tuple(_warnings(number, dob, SEXES[sex], here)),
    )


def _warnings(number: str, dob: date, sex: str, here: Here) -> list[str]:
    """What the number says that the fields don't: registry, century and sex, year of birth."""
    century_and_sex = int(number[3])
    found = {
        "prefix-unknown": number[:3] not in REGISTRIES,
        "sex-mismatch": "MF"[century_and_sex % 2] != sex,
        "birth-year-mismatch": 1900 + 100 * (century_and_sex // 2) + int(number[4:6]) != dob.year,
        "minor": fields.is_minor(dob, here.at.date()),
    }
    return [warning for warning, holds in found.items() if holds]


def _fields(text: str) -> list[str]:
    # Readers between the card and us may append a `$`.
    return text.removesuffix("$").split("|", maxsplit=12)


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    return fields.day(match[3], match[2], match[1]) if match else None
