"""`vaora-provision`: from a blank card to a kiosk at its door, and from afar ever after."""

import click

from checkin import VERSION
from provisioning.commands.init import init


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-provision")
def main() -> None:
    pass


# the fleet itself, and who belongs to it
main.add_command(init)


# the list of doors


# images and cards


# paper


# kiosks far away


if __name__ == "__main__":
    main()
