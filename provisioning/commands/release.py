"""`vaora-provision release`: send a package to every kiosk of the fleet."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from checkin.words import _
from provisioning import debian_package, fleet_broker, releases
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.debian_package import PackageError
from provisioning.fleet_folder import FleetError, signing_key
from provisioning.releases import Made, Publisher, ReleaseError, Shelf
from sync_daemon import topics
from sync_daemon.broker import Broker

_package = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@fleet_option
@click.option(
    "--since",
    type=_package,
    help="A package that every kiosk has: its wheels are left out, and stay on the line.",
)
@click.option("--number", type=click.IntRange(1), help="Its running number.  [default: the next]")
@click.argument("package", type=_package)
def release(fleet: Path, since: Path | None, number: int | None, package: Path) -> None:
    """Send PACKAGE (vaora_VERSION_ARCH.deb) to every kiosk of its architecture.

    Each kiosk downloads it in its own time, rehearses a check-in in it, tries it, and goes back by
    itself where it doesn't serve. `vaora-provision fleet` shows how far each is.
    """
    folder, settings = opened(fleet)
    with in_words(FleetError, ReleaseError, PackageError, OSError):
        key = signing_key(folder.settings_key)
        deb = package.read_bytes()
        try:
            arch = debian_package.named(deb).arch
        except PackageError as error:
            raise ReleaseError(f"{package}: {error}") from error
        shelf = Shelf(folder.signed, arch, key.public)
        topic = topics.update(arch)
        # Two releases at once are two connections, which must not end each other.
        client_id = f"vaora-release-{os.getpid()}"
        publisher = Publisher(
            Broker(fleet_broker.visit(folder, settings, client_id, (topic,))), time.monotonic
        )
        try:
            wanted = releases.number_after(shelf, publisher.connect(topic), key.public)
            if number is not None and number < wanted:
                raise ReleaseError(
                    _(
                        "--number {number}: kiosks know release {wanted}, and take only a "
                        "higher one; leave --number out"
                    ).format(number=number, wanted=wanted - 1)
                )
            made = releases.make(
                deb,
                key,
                number=number or wanted,
                at=datetime.now(UTC),
                since=since.read_bytes() if since is not None else None,
            )
            _publish(publisher, made, shelf)
        finally:
            publisher.close()
    click.echo(
        _("Release {number}: package {package} for {arch}, {size} bytes, is at the broker.").format(
            number=made.release.version,
            package=made.release.package,
            arch=arch,
            size=made.release.bytes,
        )
    )


def _publish(publisher: Publisher, made: Made, shelf: Shelf) -> None:
    """With a bar for who waits: seventy megabytes take a while."""
    parts = releases.parts_of(made.release)
    with click.progressbar(length=parts, label=_("sending")) as bar:
        releases.publish(publisher, made, shelf, lambda _sent: bar.update(1))
