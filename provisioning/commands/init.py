"""`vaora-provision init`: found a fleet."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from checkin.words import _, in_language
from provisioning import fleet_folder, founding, inventory
from provisioning.commands.options import in_words
from provisioning.fleet_folder import (
    LONGEST_NAME,
    LONGEST_SUPPORT,
    FleetError,
    FleetSettings,
    Language,
)
from provisioning.founding import Founding


@click.command()
@click.argument("name")
@click.option("--broker", required=True, help="The broker's name or address, as kiosks reach it.")
@click.option("--port", default=8883, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--also", "also", multiple=True, help="Another name or address of the broker.")
@click.option("--support", default="", help="Whom to call: stands on each kiosk's label.")
@click.option(
    "--language", type=click.Choice(get_args(Language)), default="vi", show_default=True,
    help="Of the labels, and of the folder's README.",
)  # fmt: skip
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(
    name: str, broker: str, port: int, also: tuple[str, ...], support: str, language: Language,
    folder: Path,
) -> None:  # fmt: skip
    """Make the folder DIR for the fleet NAME: keys, certificates, the broker's configuration.

    DIR must be new or empty. What to back up, and what goes where, is said in DIR/README.txt.
    """
    settings = FleetSettings(name, broker, port, support, language)
    with in_words(FleetError):
        _refuse_long(name, support)
        founding.refuse_names((broker, *also))
        settings = fleet_folder.parse(fleet_folder.written(settings))
        made = founding.found(
            folder,
            Founding(
                settings=settings,
                at=datetime.now(UTC),
                random=secrets.token_bytes,
                inventory=inventory.template(language).encode(),
                broker_names=also,
            ),
        )
    click.echo(_("Fleet {name} is founded in {folder}.").format(name=name, folder=folder))
    with in_language(language):
        click.echo()
        click.echo(founding.readme(settings))
    click.echo(
        _("Next: read {readme}, make the backup, fill in {inventory}.").format(
            readme=made.readme, inventory=made.inventory
        )
    )


def _refuse_long(name: str, support: str) -> None:
    """In the words of who typed them: fleet.toml, which the others are read from, isn't there."""
    if not 1 <= len(name) <= LONGEST_NAME:
        raise FleetError(f"NAME has {len(name)} letters; write 1 to {LONGEST_NAME}")
    if len(support) > LONGEST_SUPPORT:
        raise FleetError(f"--support has {len(support)} letters; write {LONGEST_SUPPORT} at most")
