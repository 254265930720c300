"""`image`: a kiosk's image from an official one, its seed and its packages; or all kiosks'."""

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from checkin.words import _
from provisioning import image as images
from provisioning import inventory, official, packages, seed
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetError, FleetFolder, FleetSettings, kiosks_authority
from provisioning.image import ImageError, Prepared
from provisioning.inventory import InventoryError, Place
from provisioning.official import Official, OfficialError
from provisioning.packages import PackagesError
from provisioning.register import Register, RegisterError, open_register
from provisioning.seed import Public, Secrets, SeedError
from provisioning.tokens import TokenError, card_secrets
from provisioning.tools import ToolError

# What can go wrong, each with a message that says what to do; and the disk that is full.
TROUBLE = (
    FleetError, InventoryError, OfficialError, PackagesError, ImageError, SeedError, TokenError,
    RegisterError, ToolError, OSError,
)  # fmt: skip

# In the folder of the images, and kept: what all kiosks of a release share.
CACHE = ".cache"


@click.command()
@fleet_option
@click.option("--kiosk", "kiosks", multiple=True, metavar="ID", help="May be repeated.")
@click.option("--all", "whole_list", is_flag=True, help="Each kiosk that has no image yet.")
@click.option("--again", is_flag=True, help="With --all: also those that have one.")
@click.option(
    "--base", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="IMAGE", help="Raspberry Pi OS Lite, 64-bit, as downloaded: .img or .img.xz.",
)  # fmt: skip
@click.option("--sha256", "given", help="Its checksum.  [default: from IMAGE.sha256 beside it]")
@click.option("--no-checksum", is_flag=True, help="Believe IMAGE as it is.")
@click.option(
    "--package", "package", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="vaora_…_arm64.deb.  [default: the one in the fleet's folder]",
)  # fmt: skip
@click.option(
    "--packages", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="What it needs of the OS, fetched before; no network is used then.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Where the images go.  [default: the fleet's images/]",
)  # fmt: skip
@click.option(
    "--clock-chip", default="", type=click.Choice(["", "ds3231", "ds1307", "pcf8523"]),
    help="On I²C, where the kiosks have one.",
)  # fmt: skip
def image(
    *, fleet: Path, kiosks: tuple[str, ...], whole_list: bool, again: bool, base: Path,
    given: str | None, no_checksum: bool, package: Path | None, folder: Path | None,
    out: Path | None, clock_chip: str,
) -> None:  # fmt: skip
    """Write the image of each kiosk: official OS, our package, and what makes it this kiosk.

    Nothing is mounted and no disk touched. Each image holds a token that can be used once: write it
    to one card. An earlier image's of the same kiosk counts no more.
    """
    place, settings = opened(fleet)
    into = out or place.images
    with in_words(*TROUBLE), images.alone(into):
        chosen = _chosen(inventory.read(place.inventory), kiosks, whole_list=whole_list)
        if whole_list and not again:
            chosen = _without_images(chosen, into)
        expected = None if no_checksum else official.checksum(base, given)
        found = _looked_into(base, expected, into / CACHE)
        prepared = _prepared(found, package, folder, place, into / CACHE)
        with open_register(place.register) as register, _bar(_("images"), len(chosen)) as progress:
            maker = _Maker(place, settings, seed.public_of(place), register, prepared, clock_chip)
            for each in chosen:
                maker.make(each, into / f"{each.kiosk}.img")
                progress(1)
    _say(chosen, into, settings)


class _Maker:
    """Makes one image after another. What they share was read once."""

    def __init__(
        self, place: FleetFolder, settings: FleetSettings, public: Public, register: Register,
        prepared: Prepared, clock_chip: str,
    ) -> None:  # fmt: skip
        self._authority = kiosks_authority(place)
        self._settings = settings
        self._public = public
        self._register = register
        self._prepared = prepared
        self._clock_chip = clock_chip

    def make(self, place: Place, into: Path) -> None:
        """The token comes to count only now, and ends that of an earlier image."""
        at = datetime.now(UTC)
        token, credential = card_secrets(
            self._register, self._authority, place.kiosk, place.checkpoint,
            at=at, days=self._settings.claim_days, random=secrets.token_bytes,
        )  # fmt: skip
        files = seed.seed(
            place, self._settings, self._public, Secrets(credential, token.text),
            form=self._prepared.base.form,
        )  # fmt: skip
        images.make(
            self._prepared, files, into, kiosk=place.kiosk, token=token.fingerprint,
            at=at.isoformat(timespec="seconds"), clock_chip=self._clock_chip,
        )  # fmt: skip


def _chosen(places: Sequence[Place], kiosks: Sequence[str], *, whole_list: bool) -> list[Place]:
    if bool(kiosks) == whole_list:
        raise click.UsageError(_("name kiosks with --kiosk ID, or say --all"))
    unknown = sorted(set(kiosks) - {place.kiosk for place in places})
    if unknown:
        raise click.ClickException(
            _("{kiosk}: is no kiosk in the inventory; `vaora-provision check` reads it").format(
                kiosk=unknown[0]
            )
        )
    return [place for place in places if whole_list or place.kiosk in kiosks]


def _without_images(places: Sequence[Place], into: Path) -> list[Place]:
    left = [place for place in places if not images.sheet_of(into / f"{place.kiosk}.img").exists()]
    if len(left) < len(places):
        click.echo(
            _("{count} images are there already; --again makes them anew").format(
                count=len(places) - len(left)
            )
        )
    return left


def _looked_into(base: Path, expected: str | None, cache: Path) -> Official:
    with _bar(_("checksum"), base.stat().st_size) as progress:
        found = official.check(base, expected, progress)
    with _bar(_("unpacking"), base.stat().st_size) as progress:
        file = official.unpack(base, found, cache, progress)
    return official.look_into(file, found)


def _prepared(
    base: Official, package: Path | None, folder: Path | None, place: FleetFolder, cache: Path
) -> Prepared:
    ours = packages.read(package or packages.newest(place.root, base.arch))
    click.echo(
        _("{name}: Raspberry Pi OS {release}, {arch}; vaora {version}").format(
            name=base.file.name, release=base.release, arch=base.arch, version=ours.version
        )
    )
    files = packages.gathered(base, ours, cache, folder=folder)
    return images.prepare(base, files, ours.version, cache)


def _say(chosen: Sequence[Place], into: Path, settings: FleetSettings) -> None:
    until = datetime.now(UTC) + timedelta(days=settings.claim_days)
    for place in chosen:
        click.echo(into / f"{place.kiosk}.img")
    if chosen:
        click.echo(
            _(
                "Each is for one card and holds a secret, good until {until:%Y-%m-%d}. Next: "
                "vaora-provision flash --kiosk {kiosk} DEVICE"
            ).format(until=until, kiosk=chosen[0].kiosk)
        )


@contextmanager
def _bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where somebody looks."""
    with click.progressbar(length=length, label=label, file=sys.stderr, show_pos=False) as progress:
        yield progress.update
