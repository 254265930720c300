"""The chip-based citizen card: CCCD of 2021, and *căn cước* of 2024 with four fields more.

    number12 | old-id9 or empty | name | ddmmyyyy | Nam/Nữ | address | ddmmyyyy issued [| 4 more]

Nothing in it is signed. What the last four fields of the 2024 card mean is unverified: they are
counted and dropped.
"""

import re
from dataclasses import dataclass
from datetime import date

from kiosk.logic.credentials.malformed import Malformed

FIELDS = {7: "cccd-2021", 11: "cc-2024"}

# A name of the civil register fits well; much more is somebody's joke.
LONGEST_NAME = 100
LONGEST_ADDRESS = 300

SEXES = {"Nam": "M", "Nữ": "F"}

_NUMBER = re.compile(r"[0-9]{12}")
_OLD_ID = re.compile(r"[0-9]{9}|")
# Loose on purpose: a card with one digit too few is a misread card, not a stranger's code.
_FIRST_FIELD = re.compile(r"[0-9]{9,13}")
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{4})")


@dataclass(frozen=True, slots=True)
class Cccd:
    """A card that was read. Dates are as printed; `old_id` is empty for most."""

    card: str
    id_number: str
    old_id: str
    name: str
    dob: date
    sex: str
    address: str
    issued: date

    kind = "cccd"
    verified = False

    @property
    def identity(self) -> str:
        """What stays the same when this person shows another of their cards."""
        return self.id_number

    def person(self) -> dict[str, str]:
        """The fields that are kept: who came, and no more of what the card tells."""
        return {"name": self.name, "id_number": self.id_number, "dob": self.dob.isoformat()}

    def __repr__(self) -> str:
        # Logs and traces are copied into tickets: nothing of the person is in them.
        return f"<{self.card}>"


def looks_like_cccd(text: str) -> bool:
    """Whether `text` has a card's shape, right or misread."""
    fields = _fields(text)
    return len(fields) in FIELDS and _FIRST_FIELD.fullmatch(fields[0]) is not None


def read_cccd(text: str) -> Cccd | Malformed:
    """Read the card in `text`, which `looks_like_cccd`."""
    number, old_id, name, born, sex, address, issued, *more = _fields(text)
    if _NUMBER.fullmatch(number) is None:
        return Malformed("cccd-bad-number")
    if _OLD_ID.fullmatch(old_id) is None:
        return Malformed("cccd-bad-old-id")
    if not 0 < len(name.strip()) <= LONGEST_NAME or len(address) > LONGEST_ADDRESS:
        return Malformed("cccd-bad-name-or-address")
    if sex not in SEXES:
        return Malformed("cccd-bad-sex")
    dob, issued_on = _date(born), _date(issued)
    if dob is None or issued_on is None:
        return Malformed("cccd-bad-date")
    card = FIELDS[7 + len(more)]
    return Cccd(card, number, old_id, name.strip(), dob, SEXES[sex], address.strip(), issued_on)


def _fields(text: str) -> list[str]:
    # Readers between the card and us may append a `$`.
    return text.removesuffix("$").split("|", maxsplit=12)


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, month, year = map(int, match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None
