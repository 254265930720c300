"""`vaora-provision retire`: a kiosk that was stolen, or is done with."""

from datetime import UTC, datetime
from pathlib import Path

import click

from checkin.words import _, plural
from provisioning import retirement
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetError, FleetFolder, FleetSettings
from provisioning.founding import BROKER_FOLDER
from provisioning.register import RegisterError, Retired, open_register
from provisioning.retirement import Retirement
from sync_daemon.topics import Address


@click.command()
@fleet_option
@click.option("--because", default="", help="Why; kept in the register.")
@click.option("--yes", is_flag=True, help="Don't ask once more.")
@click.argument("kiosk")
def retire(fleet: Path, because: str, kiosk: str, *, yes: bool) -> None:
    """Retire KIOSK for good: its certificate and its card count no more.

    Prints what is to be done at the broker and at the central, and how to see what was on it.
    """
    folder, settings = opened(fleet)
    with in_words(FleetError, RegisterError), open_register(folder.register) as register:
        if not retirement.is_known(register, kiosk):
            raise click.ClickException(
                _(
                    "{kiosk}: no card was ever made for a kiosk of this name; vaora-provision "
                    "enrol --list shows them all"
                ).format(kiosk=kiosk)
            )
        if not yes:
            click.confirm(
                _("Retire {kiosk}? Its name can't be used again.").format(kiosk=kiosk), abort=True
            )
        done = retirement.retire(folder, register, Retired(kiosk, datetime.now(UTC), because))
    _say(done, folder, settings)


def _say(done: Retirement, folder: FleetFolder, settings: FleetSettings) -> None:
    kiosk = done.retired.kiosk
    click.echo(
        plural(
            "{kiosk} is retired since {day}: {count} certificate counts no more.",
            "{kiosk} is retired since {day}: {count} certificates count no more.",
            done.certificates,
        ).format(kiosk=kiosk, day=done.retired.at.date(), count=done.certificates)
    )
    click.echo(
        _(
            "1. At the broker {host}: copy {file} to {place}/, then: systemctl restart mosquitto. "
            "A reload isn't enough: a kiosk that is connected stays so."
        ).format(host=settings.broker_host, file=folder.revoked_certificates, place=BROKER_FOLDER)
    )
    client = folder.fleet_client
    for checkpoint in done.checkpoints:
        topic = Address(checkpoint, kiosk).state
        click.echo(
            _("   Then clear its last state: {command}").format(
                command=f"mosquitto_pub -h {settings.broker_host} -p {settings.broker_port} "
                f"--cafile {client}/ca.pem --cert {client}/fleet.pem --key {client}/fleet.key "
                f"-q 1 -r -n -t {topic}"
            )
        )
    click.echo(
        _("2. At the central: {command}").format(command=f"vaora-central retire --kiosk {kiosk}")
    )
    click.echo(
        _("3. What was on it: {command}").format(command=f"vaora-central report --kiosk {kiosk}")
    )
