"""`vaora-provision`: from a blank card to a kiosk at its door, and from afar ever after."""

import click

from checkin import VERSION
from provisioning.commands.enrol import enrol
from provisioning.commands.init import init
from provisioning.commands.release import release
from provisioning.commands.retire import retire


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-provision")
def main() -> None:
    pass


# the fleet itself, and who belongs to it
main.add_command(init)
main.add_command(enrol)
main.add_command(retire)


# the list of doors


# images and cards


# paper


# kiosks far away
main.add_command(release)


if __name__ == "__main__":
    main()
