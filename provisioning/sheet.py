"""A table as spreadsheets save it: commas, semicolons or tabs, and everything they do to it.

Nothing here knows what the columns mean. What can't be read is said with its line and column as a
spreadsheet shows them, since that is where a person will look for it.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from checkin.words import _

# 10,000 doors of 200 bytes each; anything longer is another file given by mistake.
LONGEST_FILE_BYTES = 2 * 1024 * 1024
MOST_COLUMNS = 64

SEPARATORS = ",;\t"

# What a spreadsheet, a web page or a telephone leaves around a word, and nobody sees.
_INVISIBLE = "\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff"

# How files begin that aren't text.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in one cell, and what to write instead.

    `column` is its name in the header, `letter` its place in a spreadsheet, empty for a column
    that isn't there. `value` is empty where it may not be shown.
    """

    line: int
    column: str
    letter: str
    value: str
    why: str
    cure: str

    def text(self, name: str) -> str:
        """One line for a person; `name` is the file's."""
        where = _("line {line}").format(line=self.line)
        if self.column and self.letter:
            where += _(", {column} (column {letter})").format(
                column=self.column, letter=self.letter
            )
        elif self.column or self.letter:
            where += _(", column {column}").format(column=self.column or self.letter)
        value = f" {self.value!r}:" if self.value else ""
        return f"{name}: {where}:{value} {self.why}; {self.cure}"


class SheetError(ValueError):
    """The file is no table that can be read; `mistake` says why."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.why)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, and the line it begins on, from 1."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    header: Row
    rows: tuple[Row, ...]
    mistakes: tuple[Mistake, ...]


def read(content: bytes, *, fewest_columns: int = 2) -> Sheet:
    """The table in `content`. Raises `SheetError` where there is none."""
    lines = _lines(_text(content))
    separator, lines = _separator(lines, fewest_columns)
    rows = list(_rows(lines, separator))
    if not rows:
        raise _unreadable(
            _("there is nothing in it"),
            _("write a header, and a row for each"),
        )
    header, body = rows[0], rows[1:]
    if len(header.cells) > MOST_COLUMNS:
        raise _unreadable(
            _("the header has {count} columns").format(count=len(header.cells)),
            _("keep to the columns of the list"),
            line=header.line,
        )
    body, mistakes = _of_one_width(header, body)
    return Sheet(header, tuple(body), tuple(mistakes))


def letter(place: int) -> str:
    """What a spreadsheet calls the column `place`, from 0: A to Z, then AA."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def trimmed(cell: str) -> str:
    """`cell` in composed letters, without the spaces around it, seen and unseen."""
    return unicodedata.normalize("NFC", cell).strip(" \t" + _INVISIBLE)


def unseen(cell: str) -> str:
    """The first character in `cell` that can't be seen, as its number; empty if there is none."""
    for character in cell:
        if character in _INVISIBLE or unicodedata.category(character) in {"Cc", "Cf"}:
            return f"U+{ord(character):04X}"
    return ""


def _text(content: bytes) -> str:
    as_csv = _('in the spreadsheet choose "Save as", then "CSV UTF-8", and give that file')
    if len(content) > LONGEST_FILE_BYTES:
        raise _unreadable(
            _("it has more than {count} bytes, no list has").format(count=LONGEST_FILE_BYTES),
            _("give the list itself; this is another file"),
        )
    if content.startswith(_WORKBOOKS):
        raise _unreadable(_("it is a workbook, not a CSV file"), as_csv)
    if content.startswith(_UTF_16):
        raise _unreadable(_("it is UTF-16 text, not UTF-8"), as_csv)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            _("byte {number} is no UTF-8 text").format(number=error.start + 1), as_csv, line=line
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _unreadable(_("it isn't text"), as_csv, line=line)
    return text


def _lines(text: str) -> list[str]:
    """Of Windows, of Unix, of old Macs."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _separator(lines: list[str], fewest_columns: int) -> tuple[str, list[str]]:
    """What stands between cells, and the lines without the one that only says so."""
    first = lines[0].strip()
    # Excel's own line; kept as an empty one, so that the numbers stay right.
    if named := re.fullmatch(r"sep=([,;\t])", first):
        return named[1], ["", *lines[1:]]
    header = next((line for line in lines if line.strip(SEPARATORS + ' "')), "")
    bare = re.sub(r'"[^"]*"', "", header)
    separator = max(SEPARATORS, key=bare.count)
    if header and bare.count(separator) + 1 < fewest_columns:
        raise _unreadable(
            _("the header has one column only"),
            _("put commas, semicolons or tabs between the columns, as the template has them"),
            line=lines.index(header) + 1,
            value=header[:60],
        )
    return separator, lines


def _rows(lines: list[str], separator: str) -> Iterator[Row]:
    """The rows that have something in them."""
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True)
    begins = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(
                _("the quotes are broken in the row that begins here"),
                _('close each " that is opened, and write "" for one inside a cell'),
                line=begins,
            ) from error
        if any(trimmed(cell) for cell in cells):
            yield Row(begins, tuple(cells))
        begins = reader.line_num + 1


def _of_one_width(header: Row, rows: list[Row]) -> tuple[list[Row], list[Mistake]]:
    """The rows that fit the header. In one that is longer a cell was cut in two by a separator:
    every value behind stands under a wrong name, so none is looked at, nor shown.
    """
    width = len(header.cells)
    # Some programs end each row with a separator.
    more = {len(row.cells) - width for row in rows}
    if len(more) == 1 and not any(trimmed(cell) for row in rows for cell in row.cells[width:]):
        return [Row(row.line, row.cells[:width]) for row in rows], []
    fitting = [row for row in rows if len(row.cells) <= width]
    mistakes = [
        Mistake(
            row.line,
            "",
            letter(width),
            "",
            _("there are {count} cells in this row and {width} in the header").format(
                count=len(row.cells), width=width
            ),
            _(
                "put quotes around the cell that has a separator in it, or remove the cells at "
                "the end"
            ),
        )
        for row in rows
        if len(row.cells) > width
    ]
    return fitting, mistakes


def _unreadable(why: str, cure: str, *, line: int = 1, value: str = "") -> SheetError:
    return SheetError(Mistake(line, "", "A", value, why, cure))
