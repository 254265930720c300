"""What is wrong with a list of doors only when its rows are compared, or with the fleet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from checkin.words import _
from provisioning import columns
from provisioning.sheet import Mistake

# The template's row, which isn't anybody's door.
EXAMPLE = columns.BY_NAME["kiosk"].example

# Codes of digits, from which a spreadsheet takes the zeros in front.
CODES = ("kiosk", "checkpoint", "external_code")

# Characters of a wrong value that are told; whole files have stood in a cell.
LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Told:
    """One row: its texts by their columns' names, and where those columns are."""

    line: int
    texts: Mapping[str, str]
    letters: Mapping[str, str]

    def code(self, name: str) -> str:
        return self.texts.get(name, "").removeprefix(columns.AS_TEXT)

    def wrong(self, name: str, why: str, cure: str, *, shown: bool = True) -> Mistake:
        """A mistake in the cell of column `name`; its text is given unless it is a secret."""
        secret = columns.BY_NAME[name].secret or not shown
        value = "" if secret else self.texts.get(name, "")[:LONGEST_SHOWN]
        return Mistake(self.line, name, self.letters.get(name, ""), value, why, cure)


def mistakes(rows: Sequence[Told], retired: Collection[str] = ()) -> Iterator[Mistake]:
    """`retired` are the names of kiosks that the fleet has ended."""
    yield from _examples(rows)
    yield from _ended(rows, retired)
    yield from _twice(rows)
    yield from _two_codes(rows)
    for name in CODES:
        yield from _lost_zeros(rows, name)


def hostname(kiosk: str) -> str:
    """What a kiosk is called on its network (RFC 952: letters, digits and hyphens)."""
    return kiosk.lower().replace(".", "-").replace("_", "-").rstrip("-")


def _examples(rows: Sequence[Told]) -> Iterator[Mistake]:
    for row in rows:
        if row.code("kiosk") == EXAMPLE:
            yield row.wrong(
                "kiosk", _("this is the template's example"), _("write your own doors over it")
            )


def _ended(rows: Sequence[Told], retired: Collection[str]) -> Iterator[Mistake]:
    for row in rows:
        if row.code("kiosk") in retired:
            yield row.wrong(
                "kiosk",
                _("a kiosk of this name was retired, for good"),
                _("give the kiosk that is there now another name"),
            )


def _twice(rows: Sequence[Told]) -> Iterator[Mistake]:
    first: dict[str, Told] = {}
    for row in rows:
        kiosk = row.code("kiosk")
        if not kiosk:
            continue
        known = first.setdefault(hostname(kiosk), row)
        other = known.code("kiosk")
        if known is row:
            continue
        if other == kiosk:
            yield row.wrong(
                "kiosk",
                _("line {line} has this kiosk already").format(line=known.line),
                _("give each kiosk a name of its own"),
            )
        else:
            yield row.wrong(
                "kiosk",
                _("on the network it can't be told from {other} in line {line}").format(
                    other=other, line=known.line
                ),
                _("let them differ in more than capitals, dots and underscores"),
            )


def _two_codes(rows: Sequence[Told]) -> Iterator[Mistake]:
    known: dict[str, Told] = {}
    for row in rows:
        checkpoint, code = row.code("checkpoint"), row.code("external_code")
        if not (checkpoint and code):
            continue
        first = known.setdefault(checkpoint, row)
        other = first.code("external_code")
        if other != code:
            yield row.wrong(
                "external_code",
                _("line {line} has {other} for this checkpoint").format(
                    line=first.line, other=other
                ),
                _("write the same code in both, or another checkpoint"),
            )


def _lost_zeros(rows: Sequence[Told], name: str) -> Iterator[Mistake]:
    """Codes that are shorter than those of the column that begin with a 0."""
    whole = [row.texts[name] for row in rows if row.texts.get(name, "").startswith("0")]
    longest = max((len(code) for code in whole if code.isdecimal()), default=0)
    for row in rows:
        code = row.texts.get(name, "")
        if code.isdecimal() and not code.startswith("0") and len(code) < longest:
            yield row.wrong(
                name,
                _("others begin with 0 and are longer: a spreadsheet took it away"),
                _(
                    "format the column as text and write {code}, or '{as_it_is} if that is right"
                ).format(code=code.zfill(longest), as_it_is=code),
            )
