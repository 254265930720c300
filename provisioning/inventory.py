"""`inventory.csv`: the list of doors, and everything that can be wrong with it.

It is written by hand in a spreadsheet, so all its mistakes are told at once, each with its line,
its column and what to write instead, before anything is made of it.
"""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from checkin import words
from checkin.settings import Panel
from checkin.words import _
from provisioning import columns, comparing, sheet, wiring
from provisioning.columns import COLUMNS, CellError, Column
from provisioning.comparing import Told
from provisioning.sheet import Mistake, Row, Sheet, SheetError
from provisioning.wiring import WiringError

# What each network needs beside its name, and what it has no use for.
_NEEDS = {"ethernet": (), "wifi": ("wifi_name", "wifi_password"), "sim": ("sim_apn",)}
_HAS_NO = {
    "ethernet": ("wifi_name", "wifi_password", "sim_apn", "sim_pin"),
    "wifi": ("sim_apn", "sim_pin"),
    "sim": ("wifi_name", "wifi_password"),
}

# What goes into a place as it was read.
_AS_READ = {
    "kiosk", "checkpoint", "name", "unit", "responsible", "phone", "direction", "external_code",
    "begins", "ends", "support", "note",
}  # fmt: skip


class Ethernet(msgspec.Struct, frozen=True, tag="ethernet"):
    """A cable, with addresses by DHCP."""


class Wifi(msgspec.Struct, frozen=True, tag="wifi"):
    """`password` is empty where the Wi-Fi has none."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Wifi(name={self.name!r})"  # a password in a traceback is a password in a log


class Sim(msgspec.Struct, frozen=True, tag="sim"):
    """A modem with a SIM; `pin` is empty where it has none."""

    apn: str
    pin: str = ""

    def __repr__(self) -> str:
        return f"Sim(apn={self.apn!r})"


Network = Ethernet | Wifi | Sim


class Place(msgspec.Struct, frozen=True):
    """One kiosk at its door, as the list has it."""

    kiosk: str
    checkpoint: str
    name: str
    kind: str
    unit: str
    responsible: str
    phone: str
    direction: str
    network: Network
    panel: Panel = Panel()
    external_code: str = ""
    begins: date | None = None
    ends: date | None = None
    support: str = ""
    note: str = ""


class InventoryError(ValueError):
    """The list can't be used; `mistakes` has all of them."""

    def __init__(self, file: Path, mistakes: Sequence[Mistake]) -> None:
        lines = [mistake.text(file.name) for mistake in mistakes]
        super().__init__("\n".join(lines))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is on the list, and what is wrong with it."""

    places: tuple[Place, ...]
    mistakes: tuple[Mistake, ...]


def read(file: Path) -> list[Place]:
    """The doors on the list. Raises `InventoryError` with every mistake there is."""
    found = look_through(file)
    if found.mistakes:
        raise InventoryError(file, found.mistakes)
    return list(found.places)


def look_through(file: Path, retired: Collection[str] = ()) -> Survey:
    """The doors on the list, or its mistakes. `retired` are names that are used up.

    Raises `InventoryError` for a file that can't be read.
    """
    return survey(_content(file), retired)


def survey(content: bytes, retired: Collection[str] = ()) -> Survey:
    """The doors in the text of a list, or all that is wrong with it."""
    try:
        found = sheet.read(content)
    except SheetError as error:
        return Survey((), (error.mistake,))
    known, wrong = _header(found)
    told = [_told(row, known) for row in found.rows]
    places = [_place(each, wrong) for each in told]
    wrong += [*found.mistakes, *comparing.mistakes(told, retired)]
    if not (found.rows or wrong):
        line = found.header.line + 1
        wrong.append(
            Mistake(line, "", "A", "", _("no door is on the list"), _("write a row for each kiosk"))
        )
    # By line, and then as they stand in the row.
    wrong.sort(key=lambda each: (each.line, len(each.letter), each.letter))
    return Survey(tuple(each for each in places if each and not wrong), tuple(wrong))


def template(language: str = "") -> str:
    """A list to begin with: the header, and a row that `check` says to replace.

    With a mark in front by which Excel knows UTF-8, and the separator of its country.
    """
    vietnamese = (language or words.language()) == "vi"
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";" if vietnamese else ",", lineterminator="\r\n")
    writer.writerow([each.vietnamese if vietnamese else each.name for each in COLUMNS])
    writer.writerow([each.example for each in COLUMNS])
    return "\ufeff" + out.getvalue()


def _content(file: Path) -> bytes:
    """As much as a list can be: of a longer file the first bytes say that it is too long."""
    try:
        with file.open("rb") as opened:
            return opened.read(sheet.LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise InventoryError(
            file,
            [
                Mistake(1, "", "", "", _("can't be read ({why})").format(why=error.strerror),
                        _("write the list of doors there; `vaora-provision init` makes one to "
                          "begin with"))
            ],
        ) from error  # fmt: skip


def _header(found: Sheet) -> tuple[dict[int, Column], list[Mistake]]:
    """Which column stands where, and what is wrong with the names of the others."""
    known: dict[int, Column] = {}
    wrong: list[Mistake] = []
    header = found.header
    for place, cell in enumerate(header.cells):
        text = sheet.trimmed(cell)
        column = columns.named(text)
        if column is None:
            # Blank columns are what a spreadsheet leaves of deleted ones.
            if text or _anything_below(found, place):
                wrong.append(_unknown(header, place, text))
        elif column in known.values():
            wrong.append(_again(header, place, column))
        else:
            known[place] = column
    needed = [each for each in COLUMNS if each.needed and each not in known.values()]
    return known, wrong + [_missing(header, each) for each in needed]


def _anything_below(found: Sheet, place: int) -> bool:
    return any(sheet.trimmed(cell) for row in found.rows for cell in row.cells[place : place + 1])


def _told(row: Row, known: Mapping[int, Column]) -> Told:
    """The row's texts by their columns; a row may end before the header does."""
    texts = {column.name: "" for column in known.values()}
    for place, column in known.items():
        for cell in row.cells[place : place + 1]:
            blank = not sheet.trimmed(cell)
            texts[column.name] = cell if column.as_it_is and not blank else sheet.trimmed(cell)
    return Told(
        row.line, texts, {column.name: sheet.letter(place) for place, column in known.items()}
    )


def _place(told: Told, wrong: list[Mistake]) -> Place | None:
    """The row's place; what is wrong with it goes to `wrong`."""
    before = len(wrong)
    values: dict[str, Any] = {}
    for name in told.texts:
        _value(told, columns.BY_NAME[name], values, wrong)
    network = _network(told, values, wrong)
    panel = _panel(told, values, wrong)
    wrong += _days(told, values)
    needed = {each.name for each in COLUMNS if each.needed}
    if network is None or panel is None or len(wrong) > before or needed - values.keys():
        return None
    rest = {key: value for key, value in values.items() if key in _AS_READ}
    return Place(kind=values["type"], network=network, panel=panel, **rest)


def _value(told: Told, column: Column, values: dict[str, Any], wrong: list[Mistake]) -> None:
    name, text = column.name, told.texts[column.name]
    if "\n" in text:
        wrong.append(
            told.wrong(
                name,
                _("there is a line break in the cell"),
                _("write it on one line; maybe a quote isn't closed"),
            )
        )
    elif text:
        try:
            values[name] = column.read(text)
        except CellError as error:
            wrong.append(told.wrong(name, error.why, error.cure, shown=not error.hidden))
    elif column.needed:
        cure = _("write {what}").format(what=_(column.what))
        wrong.append(told.wrong(name, _("the cell is empty"), cure))


def _network(told: Told, values: Mapping[str, Any], wrong: list[Mistake]) -> Network | None:
    kind = values.get("network")
    if kind is None:
        return None
    for name in _NEEDS[kind]:
        if not told.texts.get(name):
            why = _("the network is {kind}, and this is empty").format(kind=kind)
            cure = _("write {what}").format(what=_(columns.BY_NAME[name].what))
            wrong.append(told.wrong(name, why, cure))
    for name in _HAS_NO[kind]:
        if told.texts.get(name):
            why = _("the network is {kind}, which has none").format(kind=kind)
            cure = _("empty the cell, or write another network")
            wrong.append(told.wrong(name, why, cure))
    if any(name not in values for name in _NEEDS[kind]):
        return None
    if kind == "wifi":
        return Wifi(values["wifi_name"], values["wifi_password"])
    return Sim(values["sim_apn"], values.get("sim_pin", "")) if kind == "sim" else Ethernet()


def _panel(told: Told, values: Mapping[str, Any], wrong: list[Mistake]) -> Panel | None:
    pins, buzzer = values.get("wiring", {}), values.get("buzzer", "active")
    try:
        return wiring.panel(pins, buzzer, values.get("direction", "in"))
    except WiringError as error:
        wrong.append(told.wrong("wiring", error.why, error.cure))
        return None


def _days(told: Told, values: Mapping[str, Any]) -> Iterator[Mistake]:
    begins, ends = values.get("begins"), values.get("ends")
    if begins and ends and ends < begins:
        yield told.wrong(
            "ends",
            _("it is before the first day, {day}").format(day=begins),
            _("write a day that isn't before {day}").format(day=begins),
        )
    if values.get("type") == "event" and not told.texts.get("ends"):
        yield told.wrong(
            "ends",
            _("an event has a last day"),
            _("write it, as 2026-12-03, or another type of place"),
        )


def _unknown(header: Row, place: int, text: str) -> Mistake:
    letter = sheet.letter(place)
    if not text:
        return Mistake(
            header.line, "", letter, "", _("the column has no name, and something stands below"),
            _("name it, or empty it"),
        )  # fmt: skip
    near = columns.nearest(text)
    known = ", ".join(each.name for each in COLUMNS)
    return Mistake(
        header.line, "", letter, text[:60], _("no column is called so"),
        _("call it {near}").format(near=near) if near
        else _("remove it, or call it one of {known}").format(known=known),
    )  # fmt: skip


def _again(header: Row, place: int, column: Column) -> Mistake:
    return Mistake(
        header.line,
        column.name,
        sheet.letter(place),
        sheet.trimmed(header.cells[place]),
        _("another column has this name already"),
        _("remove one of the two"),
    )


def _missing(header: Row, column: Column) -> Mistake:
    return Mistake(
        header.line,
        column.name,
        "",
        "",
        _("this column is missing"),
        _("add it ({what}); in Vietnamese it is called {vietnamese}").format(
            what=_(column.what), vietnamese=column.vietnamese
        ),
    )
