"""`flash`: a kiosk's image onto its card, read back, and a row in the manifest."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from checkin.words import _, of_system
from provisioning import card as cards
from provisioning import disk, manifest, ranges, raw_disk
from provisioning import flash as flashing
from provisioning import image as images
from provisioning.card import Card, CardError
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.disk import DiskError
from provisioning.flash import FlashError
from provisioning.image import ImageError, Sheet
from provisioning.manifest import ManifestError, Row
from provisioning.raw_disk import RawDiskError
from provisioning.register import RegisterError, open_register

TROUBLE = (
    CardError, DiskError, FlashError, ImageError, ManifestError, RawDiskError, RegisterError,
    OSError,
)  # fmt: skip


@click.command()
@fleet_option
@click.option("--kiosk", required=True, metavar="ID", help="Whose image.")
@click.option(
    "--images", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Where the images are.  [default: the fleet's images/]",
)  # fmt: skip
@click.option("--yes-this-disk", is_flag=True, help="Although it looks like no card.")
@click.option("--again", is_flag=True, help="Although the image is on another card already.")
@click.argument("device", type=click.Path(path_type=Path))
def flash(
    *, fleet: Path, kiosk: str, folder: Path | None, yes_this_disk: bool, again: bool, device: Path
) -> None:  # fmt: skip
    """Write the image of a kiosk to DEVICE, a card in a reader, over all that is on it.

    What this machine uses is never written to. All that was written is read back. `lsblk` lists the
    disks there are; a DEVICE that isn't there, outside /dev, becomes a file.
    """
    place, _settings = opened(fleet)
    image = (folder or place.images) / f"{kiosk}.img"
    with in_words(*TROUBLE):
        sheet = images.read_sheet(image)
        _refuse_changed(image, sheet)
        if not again:
            _refuse_used(sheet, place.manifest, place.register)
        with _made(device):
            found = cards.look_at(device)
            if not found.is_file or found.bytes:
                _refuse(found, image.stat().st_size)
            _doubt(found, told=yes_this_disk)
            _write(image, found)
        manifest.append(place.manifest, _row(sheet, found))
    click.echo(
        _(
            "{kiosk} is on {device} and reads back right. Take it out and put it into its Pi."
        ).format(kiosk=kiosk, device=device)
    )


@contextmanager
def _made(device: Path) -> Iterator[None]:
    """A name that isn't there is a new file, but in /dev it is a disk that was pulled out.

    What was made goes again where it isn't finished.
    """
    if device.exists() or str(device.absolute()).startswith("/dev/"):
        yield
        return
    _make_file(device)
    try:
        yield
    except BaseException:
        device.unlink(missing_ok=True)
        raise


def _make_file(device: Path) -> None:
    disk_of_that_name = Path("/dev") / device.name
    if disk_of_that_name.is_block_device():  # and the card would stay as empty as it was
        raise CardError(
            _("{device}: isn't there; is {disk} meant? Write it so").format(
                device=device, disk=disk_of_that_name
            )
        )
    try:
        device.touch(images.MODE, exist_ok=False)
    except OSError as error:
        raise CardError(
            _(
                "{device}: can't be made ({why}); name a disk of `lsblk`, or a file in a "
                "folder that is there"
            ).format(device=device, why=of_system(error))
        ) from error


def _refuse(found: Card, needed_bytes: int) -> None:
    said = cards.refusals(found, needed_bytes)
    if said:
        raise CardError("\n".join(f"{found.device}: {each}" for each in said))


def _doubt(found: Card, *, told: bool) -> None:
    """What doesn't look like a card is written only after being told twice."""
    said = cards.doubts(found)
    if not said:
        return
    lines = "\n".join(f"{found.device}: {each}" for each in said)
    if not told:
        raise CardError(
            _("{lines}\nIf it is the right one, say so: --yes-this-disk").format(lines=lines)
        )
    click.echo(lines)
    typed = click.prompt(
        _("All that is on it will be lost. To go on, type {name}").format(name=found.name)
    )
    if typed != found.name:
        raise CardError(
            _("{typed!r} isn't {name!r}; nothing was written").format(typed=typed, name=found.name)
        )


def _refuse_used(sheet: Sheet, listed: Path, register: Path) -> None:
    """Two cards of one image would have one token, and only one of them could enrol."""
    before = manifest.with_token(listed, sheet.token)
    if before is not None:
        raise ImageError(
            _(
                "{kiosk}: its image was written to a card on {written_at}, and only one can "
                "enrol with it; make another: vaora-provision image --kiosk {kiosk} …, or say "
                "--again if that card is to be thrown away"
            ).format(kiosk=sheet.kiosk, written_at=before.written_at)
        )
    if not register.exists():  # the images were brought to another machine
        return
    with open_register(register) as known:
        token = known.token(sheet.token)
    if token is None or token.used_at is not None or token.expires_at <= datetime.now(UTC):
        raise ImageError(
            _(
                "{kiosk}: the token in its image counts no more: it was used, is too old, or a "
                "later image was made; make one: vaora-provision image --kiosk {kiosk} …"
            ).format(kiosk=sheet.kiosk)
        )


def _refuse_changed(image: Path, sheet: Sheet) -> None:
    if ranges.digest(image) != sheet.image_digest:
        raise ImageError(
            _(
                "{image}: isn't as it was made; make it again: vaora-provision image --kiosk "
                "{kiosk} …"
            ).format(image=image, kiosk=sheet.kiosk)
        )


def _write(image: Path, found: Card) -> None:
    if found.is_file:
        with found.device.open("ab") as opened_file:
            opened_file.truncate(max(found.bytes, image.stat().st_size))
    what = ranges.meaningful(image, [each.range for each in disk.read(image).partitions])
    total = 2 * sum(map(len, what))
    with (
        raw_disk.opened(found.device) as raw,
        click.progressbar(length=total, label=_("writing, reading back"), file=sys.stderr) as bar,
    ):
        try:
            flashing.put(
                image, what, raw, disk_bytes=found.bytes, nonce=secrets.token_bytes(16),
                progress=bar.update,
            )  # fmt: skip
        except KeyboardInterrupt as error:
            raise CardError(
                _(
                    "{device}: stopped half way, and no card for a Pi like this; flash it again"
                ).format(device=found.device)
            ) from error
        raw.show_partitions()


def _row(sheet: Sheet, found: Card) -> Row:
    return Row(
        written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        kiosk=sheet.kiosk,
        device=str(found.device),
        device_bytes=found.bytes,
        card_name=found.model,
        card_serial=found.serial,
        image_digest=sheet.image_digest,
        seed_digest=sheet.seed_digest,
        token=sheet.token,
        package=sheet.package,
    )
