"""The columns of the list of doors: their names in two languages, and what may stand in a cell.

Each reader takes one cell's text and returns its value, or raises `CellError` with the reason and
the cure. What a spreadsheet does to codes, dates and telephone numbers is known here, since it does
it without a word and the technician finds it at a door.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

from checkin import settings
from checkin.words import N_, _
from provisioning import sheet, wiring
from provisioning.wiring import WiringError

Kind = Literal[
    "office", "hospital", "clinic", "school", "market", "shop", "restaurant", "factory", "hotel",
    "housing", "worship", "station", "bus", "roadside", "border", "event", "other",
]  # fmt: skip

# What else may be written; accents, capitals and spaces don't matter.
KINDS: Mapping[str, Kind] = {
    "cơ quan": "office", "văn phòng": "office", "bệnh viện": "hospital", "phòng khám": "clinic",
    "trạm y tế": "clinic", "trường học": "school", "chợ": "market", "cửa hàng": "shop",
    "siêu thị": "shop", "nhà hàng": "restaurant", "nhà máy": "factory", "khách sạn": "hotel",
    "chung cư": "housing", "cơ sở tôn giáo": "worship", "bến xe": "station", "nhà ga": "station",
    "sân bay": "station", "xe khách": "bus", "xe buýt": "bus", "chốt kiểm dịch": "roadside",
    "cửa khẩu": "border", "sự kiện": "event", "khác": "other",
}  # fmt: skip
DIRECTIONS = {"vào": "in", "ra": "out", "luân phiên": "alternate", "nút": "button"}
NETWORKS = {
    "lan": "ethernet", "cáp": "ethernet", "dây": "ethernet", "mạng dây": "ethernet",
    "wi-fi": "wifi", "wlan": "wifi", "không dây": "wifi", "4g": "sim", "3g": "sim",
}  # fmt: skip
BUZZERS = {"chủ động": "active", "thụ động": "passive", "không": "none"}

LONGEST_TEXT = 120

# The fleet's own programs have names at the broker that begin so; no token is made for one either.
RESERVED = "vaora-"

# What a checkpoint's name would take from the topics beside those of kiosks.
TOPIC_WORDS = ("claim", "trust", "revocations", "update")

# IEEE 802.11: a passphrase is printable ASCII; a key is given in hexadecimal digits.
_PASSPHRASE = re.compile(r"[ -~]{8,63}")
_KEY = re.compile(r"[0-9A-Fa-f]{64}")
LONGEST_SSID_BYTES = 32

# A code that is written so is text and right as it is: the mark that spreadsheets have for it.
AS_TEXT = "'"

# 100123 as a spreadsheet shows it in a narrow column, in English and in Vietnamese.
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_WHOLE_WITH_ZEROS = re.compile(r"[0-9]+[.,]0+")

# Days are counted from here by Excel and its like.
_DAY_ZERO = date(1899, 12, 30)
_LIKELY_SERIALS = range(40_000, 60_000)  # 2009 to 2064


class CellError(ValueError):
    """The cell can't be used. `hidden`: its text may not be shown, whatever the column."""

    def __init__(self, why: str, cure: str, *, hidden: bool = False) -> None:
        super().__init__(f"{why}; {cure}")
        self.why = why
        self.cure = cure
        self.hidden = hidden


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `secret` cells are never shown; `as_it_is` cells keep their spaces."""

    name: str
    vietnamese: str
    read: Callable[[str], object]
    example: str = ""
    what: str = ""
    needed: bool = False
    secret: bool = False
    as_it_is: bool = False


def plain(text: str) -> str:
    """`text` without accents, capitals and punctuation: how headers and words are compared."""
    bare = unicodedata.normalize("NFD", text.strip().lower().replace("đ", "d"))
    letters = "".join(each for each in bare if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


def name(text: str) -> str:
    """A kiosk's or a checkpoint's: one level of a topic."""
    text = text.removeprefix(AS_TEXT)
    _refuse_mangled(text)
    if not re.fullmatch(settings.NAME, text):
        suggested = plain(text).replace("_", "-")[:48].strip("-")
        raise CellError(
            _("a name is up to 48 letters without accents, digits, dots, hyphens and underscores"),
            _("write {name}").format(name=suggested)
            if suggested
            else _("write a name such as cong-1"),
        )
    return text


def kiosk(text: str) -> str:
    text = name(text)
    if text.lower().startswith(RESERVED) or text.lower() == "localhost":
        raise CellError(
            _("this name is the fleet's own"),
            _("write another that doesn't begin with {prefix}").format(prefix=RESERVED),
        )
    return text


def checkpoint(text: str) -> str:
    text = name(text)
    if text.lower() in TOPIC_WORDS:
        raise CellError(
            _("this name is a topic of the fleet's own"), _("write the checkpoint's code")
        )
    return text


def code(text: str) -> str:
    """As tokhaiyte.vn or PC-Covid registered the checkpoint; it only stands on lists."""
    text = text.removeprefix(AS_TEXT)
    _refuse_mangled(text)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,63}", text):
        raise CellError(
            _("a registered code has letters without accents, digits, and . / _ - between them"),
            _("copy it from the registration as text, without spaces"),
        )
    return text


def words(text: str) -> str:
    """Free text, as it stands on lists and labels."""
    if number := sheet.unseen(text.replace("\u00a0", " ")):
        raise CellError(
            _("there is a character in it that can't be seen ({number})").format(number=number),
            _("delete the cell and type it anew"),
        )
    if len(text) > LONGEST_TEXT:
        raise CellError(
            _("it is longer than {count} characters").format(count=LONGEST_TEXT),
            _("shorten it; it has to fit on a label"),
        )
    if text.startswith(("#REF", "#N/A", "#VALUE", "#NAME", "#DIV")):
        raise CellError(_("the spreadsheet could not work it out"), _("write the text itself"))
    return text.replace("\u00a0", " ")


def phone(text: str) -> str:
    """Digits, with + before a country's code."""
    number = re.sub(r"[\s.()-]", "", text)
    if _SCIENTIFIC.fullmatch(text) or _WHOLE_WITH_ZEROS.fullmatch(text):
        raise CellError(*_made_a_number())
    if re.fullmatch(r"[1-9][0-9]{8}|2[0-9]{9}", number):
        raise CellError(
            _("its first 0 is missing: a spreadsheet took it for a number"),
            _("format the column as text and write 0{number}").format(number=number),
        )
    if re.fullmatch(r"84[0-9]{9,10}", number):
        return f"+{number}"
    if not re.fullmatch(r"0[0-9]{8,10}|\+[0-9]{8,15}|1[0-9]{3,9}", number):
        raise CellError(_("this is no telephone number"), _("write one such as 0203 000 0000"))
    return number


def one_of(known: tuple[str, ...], also: Mapping[str, str]) -> Callable[[str], str]:
    """A reader of a closed list of words, which may be said in Vietnamese too."""

    def read(text: str) -> str:
        meant = {plain(word): word for word in known}
        meant |= {plain(word): word_meant for word, word_meant in also.items()}
        asked = plain(text)
        if asked in meant:
            return meant[asked]
        # Somebody may have put a network's name and password behind the word.
        hidden = ":" in text
        raise CellError(
            _("this isn't on the list"), _write_one_of(known, meant, asked), hidden=hidden
        )

    return read


def wired(text: str) -> dict[str, int]:
    try:
        return wiring.pins(text)
    except WiringError as error:
        raise CellError(error.why, error.cure) from error


def day(text: str) -> date:
    """A day as ISO 8601 writes it: the one way that means the same everywhere."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise CellError(
                _("there is no such day"), _("write one from the calendar, as 2026-12-01")
            ) from error
    if re.fullmatch("[0-9]{5}", text) and int(text) in _LIKELY_SERIALS:
        meant = _DAY_ZERO + timedelta(days=int(text))
        raise CellError(
            _("a spreadsheet made a number of the day"),
            _("format the column as text and write {day}").format(day=meant),
        )
    raise CellError(
        _("a day is written year-month-day, so that nobody takes the month for the day"),
        _("write {days}").format(days=_(" or ").join(_days(text)) or "2026-12-01"),
    )


def ssid(text: str) -> str:
    """The name of a Wi-Fi, to the letter."""
    if number := sheet.unseen(text):
        raise CellError(
            _("there is a character in it that can't be seen ({number})").format(number=number),
            _("delete the cell and type it anew"),
        )
    if text != text.strip():
        raise CellError(_("a space is before or behind it"), _("take the space away"))
    if len(text.encode()) > LONGEST_SSID_BYTES:
        raise CellError(
            _("a Wi-Fi's name has at most {count} bytes").format(count=LONGEST_SSID_BYTES),
            _("copy the name as the router shows it"),
        )
    return text


def password(text: str) -> str:
    """Of a Wi-Fi: a passphrase, 64 hexadecimal digits, or the word `open` for one without."""
    if plain(text) in {"open", "mo"}:
        return ""
    if text != text.strip():
        raise CellError(_("a space is before or behind it"), _("take the space away"))
    if not (_PASSPHRASE.fullmatch(text) or _KEY.fullmatch(text)):
        raise CellError(
            _("a Wi-Fi's password is 8 to 63 letters without accents, digits and signs"),
            _("copy it as the router has it, or write open where there is none"),
        )
    return text


def apn(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", text):
        raise CellError(
            _("an access point's name has letters, digits, dots and hyphens"),
            _("write the one that the operator names, such as v-internet"),
        )
    return text


def pin(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4,8}", text):
        raise CellError(
            _("a SIM's PIN is 4 to 8 digits; a spreadsheet takes away a 0 in front"),
            _("format the column as text and write all its digits, or leave it empty"),
        )
    return text


COLUMNS = (
    Column(
        "kiosk", "mã máy", kiosk, "vi-du-1", N_("the device; never used twice"), needed=True
    ),
    Column(
        "checkpoint", "điểm kiểm dịch", checkpoint, "0100123",
        N_("the registered place; kiosks at one place share it"), needed=True,
    ),
    Column(
        "external_code", "mã đăng ký", code, "",
        N_("as tokhaiyte.vn or PC-Covid registered it; for lists only"),
    ),
    Column(
        "name", "tên điểm", words, "Bệnh viện Thử Nghiệm, cổng A", N_("as it stands on the label"),
        needed=True,
    ),
    Column(
        "type", "loại hình", one_of(get_args(Kind), KINDS), "hospital", N_("what kind of place"),
        needed=True,
    ),
    Column(
        "unit", "đơn vị hành chính", words, "Xã Thử, Tỉnh Nghiệm",
        N_("commune and province, as they are called today"), needed=True,
    ),
    Column(
        "responsible", "người phụ trách", words, "Nguyễn Văn Thử", N_("who looks after it"),
        needed=True,
    ),
    Column(
        "phone", "điện thoại", phone, "0203 000 0000", N_("of whoever is responsible"), needed=True
    ),
    Column(
        "direction", "hướng", one_of(("in", "out", "alternate", "button"), DIRECTIONS), "in",
        N_("what a check-in here means"), needed=True,
    ),
    Column(
        "network", "mạng", one_of(("ethernet", "wifi", "sim"), NETWORKS), "wifi",
        N_("how it reaches the broker"), needed=True,
    ),
    Column("wifi_name", "tên wifi", ssid, "ThuNghiem", N_("where it is wifi"), as_it_is=True),
    Column(
        "wifi_password", "mật khẩu wifi", password, "mat-khau-vi-du",
        N_("where it is wifi; open where there is none"), secret=True, as_it_is=True,
    ),
    Column("sim_apn", "apn", apn, "", N_("where it is sim: the operator's access point")),
    Column("sim_pin", "mã pin sim", pin, "", N_("where the SIM has one"), secret=True),
    Column("wiring", "đấu dây", wired, "standard", N_("standard, full, or pins")),
    Column(
        "buzzer", "còi", one_of(("active", "passive", "none"), BUZZERS), "active",
        N_("active has one tone of its own; passive plays what it is given"),
    ),
    Column("begins", "ngày bắt đầu", day, "", N_("first day of an event")),
    Column("ends", "ngày kết thúc", day, "", N_("last day of an event")),
    Column("support", "liên hệ hỗ trợ", words, "", N_("whom to call, in place of the fleet's")),
    Column("note", "ghi chú", words, "", N_("for yourself")),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}


def named(header: str) -> Column | None:
    """The column that `header` means, in either language."""
    asked = plain(header)
    for column in COLUMNS:
        if asked in {plain(column.name), plain(column.vietnamese)}:
            return column
    return None


def nearest(header: str) -> str:
    """The known header most like this one; empty if none is."""
    known = {plain(each): each for column in COLUMNS for each in (column.name, column.vietnamese)}
    found = difflib.get_close_matches(plain(header), known, n=1)
    return known[found[0]] if found else ""


def _write_one_of(known: tuple[str, ...], meant: Mapping[str, str], asked: str) -> str:
    near = difflib.get_close_matches(asked, meant, n=1)
    everything = _("write one of {words}").format(words=", ".join(known))
    if not near:
        return everything
    return _("write {word}, if that is meant; {everything}").format(
        word=meant[near[0]], everything=everything
    )


def _refuse_mangled(text: str) -> None:
    if number := sheet.unseen(text):
        raise CellError(
            _("there is a character in it that can't be seen ({number})").format(number=number),
            _("delete the cell and type it anew"),
        )
    if _SCIENTIFIC.fullmatch(text) or _WHOLE_WITH_ZEROS.fullmatch(text):
        raise CellError(*_made_a_number())


def _made_a_number() -> tuple[str, str]:
    return (
        _("a spreadsheet made a number of it, and digits are lost"),
        _("format the column as text and write it again, with all its digits"),
    )


def _days(text: str) -> list[str]:
    """What a day written in another way may mean, most likely first."""
    match = re.fullmatch(r"([0-9]{1,4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,4})", text)
    if match is None:
        return []
    first, middle, last = (int(part) for part in match.groups())
    year_first = len(match[1]) > len("31")
    orders = (
        [(first, middle, last)] if year_first else [(last, middle, first), (last, first, middle)]
    )
    found = []
    for year, month, day_of_month in orders:
        try:
            found.append(str(date(year + 2000 * (year < 100), month, day_of_month)))  # noqa: PLR2004
        except ValueError:
            continue
    return list(dict.fromkeys(found))
