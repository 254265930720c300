"""`check`: every mistake in the list of doors, before anything is made of it."""

from pathlib import Path

import click
import msgspec

from checkin.words import plural
from provisioning import inventory
from provisioning.commands.options import fleet_option, in_words
from provisioning.fleet_folder import FleetFolder
from provisioning.inventory import InventoryError, Survey
from provisioning.register import open_register


@click.command()
@fleet_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
def check(*, fleet: Path, as_json: bool, file: Path | None) -> None:
    """Name each mistake in FILE, or in the fleet's inventory.csv, with its place and its cure.

    Ends with 1 where there is any. Nothing is written, and no password shown.
    """
    folder = FleetFolder(fleet)
    listed = file or folder.inventory
    with in_words(InventoryError, OSError):
        found = inventory.look_through(listed, _retired(folder.register))
    click.echo(_as_json(listed, found) if as_json else _in_words(listed, found))
    if found.mistakes:
        raise click.exceptions.Exit(1)


def _retired(register: Path) -> set[str]:
    """Names that are used up; a list may be checked where there is no fleet yet."""
    try:
        register.stat()
    except FileNotFoundError:
        return set()
    with open_register(register) as opened:
        return {each.kiosk for each in opened.all_retired()}


def _in_words(file: Path, found: Survey) -> str:
    if not found.mistakes:
        count = len(found.places)
        return plural(
            "{file}: {count} kiosk, no mistake", "{file}: {count} kiosks, no mistake", count
        ).format(file=file.name, count=count)
    count = len(found.mistakes)
    lines = [mistake.text(file.name) for mistake in found.mistakes]
    last = plural(
        "{count} mistake; correct it, then run check again",
        "{count} mistakes; correct them, then run check again",
        count,
    )
    return "\n".join([*lines, last.format(count=count)])


def _as_json(file: Path, found: Survey) -> str:
    told = {"file": str(file), "kiosks": len(found.places), "mistakes": found.mistakes}
    return msgspec.json.encode(told).decode()
