"""What several formats share: dates as they are printed, names, hexadecimal text."""

import unicodedata
from datetime import date

# A name of the civil register fits well; much more is somebody's joke.
LONGEST_NAME = 100
LONGEST_ADDRESS = 300

ADULT_YEARS = 18


def day(year: str, month: str, day_of_month: str) -> date | None:
    """The date, or None where there is no such day."""
    try:
        return date(int(year), int(month), int(day_of_month))
    except (ValueError, OverflowError):
        return None


def slashed(text: str) -> date | None:
    """`dd/mm/yyyy`, with blanks around it as some cards have them."""
    parts = text.strip().split("/")
    if [len(part) for part in parts] != [2, 2, 4]:
        return None
    if not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return day(parts[2], parts[1], parts[0])


def is_minor(dob: date, today: date) -> bool:
    """Whether someone born on `dob` is under eighteen: their guardian's rules apply."""
    years = today.year - dob.year - ((today.month, today.day) < (dob.month, dob.day))
    return 0 <= years < ADULT_YEARS


def hex_text(field: str) -> str | None:
    """Text written as the hexadecimal of its UTF-8, or None where it is a misread."""
    try:
        text = bytes.fromhex(field).decode("utf-8")
    except ValueError:
        return None
    if any(unicodedata.category(character) == "Cc" for character in text):
        return None
    return unicodedata.normalize("NFC", text).strip()


def is_name(text: str) -> bool:
    return 0 < len(text.strip()) <= LONGEST_NAME
