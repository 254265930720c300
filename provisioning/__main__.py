"""`vaora-provision`: from a blank card to a kiosk at its door, and from afar ever after."""

import click

from checkin import VERSION
from provisioning.commands.check import check
from provisioning.commands.enrol import enrol
from provisioning.commands.flash import flash
from provisioning.commands.fleet import fleet
from provisioning.commands.image import image
from provisioning.commands.init import init
from provisioning.commands.label import label
from provisioning.commands.options import Commands
from provisioning.commands.passes import pass_
from provisioning.commands.release import release
from provisioning.commands.retire import retire
from provisioning.commands.send import send


@click.group(cls=Commands, help=__doc__)
@click.version_option(VERSION, prog_name="vaora-provision")
def main() -> None:
    pass


# the fleet itself, and who belongs to it
main.add_command(init)
main.add_command(enrol)
main.add_command(retire)


# the list of doors
main.add_command(check)

# images and cards
main.add_command(image)
main.add_command(flash)


# paper
main.add_command(label)
main.add_command(pass_)


# kiosks far away
main.add_command(fleet)
main.add_command(send)
main.add_command(release)


if __name__ == "__main__":
    main()
