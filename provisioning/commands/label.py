"""`vaora-provision label`: what is stuck on each kiosk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from checkin import marks, whole
from checkin.words import _, in_language, plural
from provisioning import inventory, paper
from provisioning import label as labels
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetSettings, Language
from provisioning.inventory import InventoryError, Place
from provisioning.label import Label
from provisioning.paper import PaperError

# What label printers print.
PICTURE_DPI = 300

# Of all kiosks, a page each. No kiosk can be called so: a name begins with a letter or a digit.
ALL_NAME = "_all.pdf"


@click.command()
@fleet_option
@click.option("--kiosk", "kiosks", multiple=True, metavar="ID", help="Of this kiosk; repeatable.")
@click.option("--all", "all_", is_flag=True, help="Of every kiosk in the inventory.")
@click.option("--language", type=click.Choice(get_args(Language)), help="[default: the fleet's]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write into this folder.  [default: the fleet's labels/]",
)
def label(
    fleet: Path, kiosks: tuple[str, ...], language: Language | None, out: Path | None, *, all_: bool
) -> None:
    """Make the label of a kiosk, or of all: a PDF and a PNG each, 100 × 148 mm.

    It says which kiosk it is and at which checkpoint, whom to call, what the lights mean, and what
    the counted blinks of self-test and first start mean. Print it at 100 %.
    """
    folder, settings = opened(fleet)
    if bool(kiosks) == all_:
        raise click.ClickException(_("say which: --kiosk ID (repeatable), or --all"))
    with in_words(InventoryError, PaperError):
        places = _chosen(inventory.read(folder.inventory), kiosks)
        target = out or folder.labels
        with in_language(language or settings.language):
            made = [_label(place, settings) for place in places]
            _write(target, made, datetime.now(UTC), together=all_)
    told = plural("{count} label is in {folder}", "{count} labels are in {folder}", len(made))
    click.echo(told.format(count=len(made), folder=target))
    if all_:
        click.echo(_("All of them to print in one go: {file}").format(file=target / ALL_NAME))


def _chosen(places: Sequence[Place], kiosks: Sequence[str]) -> list[Place]:
    by_kiosk = {place.kiosk: place for place in places}
    for kiosk in kiosks:
        if kiosk not in by_kiosk:
            raise click.ClickException(
                _(
                    "--kiosk {kiosk}: is not in the inventory; put it there, or name one that "
                    "is: {names} …"
                ).format(kiosk=kiosk, names=", ".join(sorted(by_kiosk)[:5]))
            )
    return [by_kiosk[kiosk] for kiosk in dict.fromkeys(kiosks)] if kiosks else list(places)


def _label(place: Place, settings: FleetSettings) -> Label:
    return Label(
        kiosk=place.kiosk,
        checkpoint=place.checkpoint,
        name=place.name,
        external_code=place.external_code,
        support=place.support or settings.support,
    )


def _write(target: Path, made: Sequence[Label], at: datetime, *, together: bool) -> None:
    all_of_them = labels.pdf(made, at=at)  # before anything is written: one that can't be is said
    try:
        target.mkdir(parents=True, exist_ok=True)
        for one in made:
            pdf = labels.pdf([one], at=at)
            whole.write(target / f"{one.kiosk}.pdf", pdf, mode=0o644)
            whole.write(target / f"{one.kiosk}.png", paper.picture(pdf, PICTURE_DPI), mode=0o644)
        if together:
            whole.write(target / ALL_NAME, all_of_them, mode=0o644)
    except OSError as error:
        raise PaperError(
            marks.text(
                "{filename}: can't be written ({why}); name another folder with --out",
                filename=error.filename2 or target,
                why=error.strerror or "",
            )
        ) from error
