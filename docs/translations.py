"""Gather what is said to people into `vaora.pot`'s form, keep the Vietnamese catalogue, compile it.

`python -m docs.translations` (a part of `make docs`) brings `checkin/locale/vi/LC_MESSAGES/vaora.po` up to
what the code says now, leaving new texts empty, and compiles it. By Babel.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo

from checkin import VERSION

ROOT = Path(__file__).parent.parent
PACKAGES = ("checkin", "kiosk", "sync_daemon", "central", "provisioning")
FOLDER = ROOT / "checkin" / "locale" / "vi" / "LC_MESSAGES"
MADE_AT = datetime(2026, 11, 22, tzinfo=UTC)

KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "text": None,
    "plural": (1, 2),
}


def gathered() -> Catalog:
    """Every text that the code marks."""
    found = Catalog(creation_date=MADE_AT)
    for package in PACKAGES:
        for message in _marked(ROOT / package):
            found.add(message)
    return found


def _marked(folder: Path) -> Iterator[str | tuple[str, ...]]:
    found = extract_from_dir(folder, [("**.py", "python")], keywords=KEYWORDS)
    for _file, _line, message, _comments, _context in found:
        yield message


def translated() -> Catalog:
    """The Vietnamese catalogue as it is in the repository."""
    with (FOLDER / "vaora.po").open("rb") as opened:
        return pofile.read_po(opened, locale="vi")


def missing() -> list[str]:
    """Texts without a Vietnamese translation."""
    known = translated()
    return [
        str(message.id) for message in gathered() if message.id and not _said(known, message.id)
    ]


def _said(known: Catalog, id: object) -> bool:
    found = known.get(id if isinstance(id, str) else next(iter(id)))  # type: ignore[call-overload]
    if found is None or found.fuzzy:
        return False
    said = found.string
    return bool(said) if isinstance(said, str) else all(said or ())


def compiled(catalogue: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / "vaora.po"
    catalogue = translated() if file.exists() else Catalog(locale="vi")
    catalogue.project, catalogue.copyright_holder, catalogue.version = "vaora", "Vào Ra", VERSION
    catalogue.header_comment = "# What Vào Ra says to people, in Vietnamese."
    catalogue.creation_date = catalogue.revision_date = MADE_AT  # a date would change each time
    catalogue.fuzzy = False
    catalogue.last_translator = catalogue.language_team = "Vào Ra <maintainers@vaora.vn>"
    catalogue.msgid_bugs_address = "maintainers@vaora.vn"
    catalogue.update(gathered(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with file.open("wb") as out:
        pofile.write_po(
            out, catalogue, omit_header=False, no_location=True, sort_output=True, width=100
        )
    (FOLDER / "vaora.mo").write_bytes(compiled(catalogue))
    print(
        f"{file.relative_to(ROOT)}: {len(catalogue)} texts, {len(missing())} without a translation"
    )


if __name__ == "__main__":
    main()
