"""Whether a device may be written over: what the kernel says of it, and what we make of that.

A wrong letter in a device's name costs somebody their disk. So what is in use is never written,
and what doesn't look like an SD card in a reader only after being told twice.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkin.words import _, of_system

SECTOR_BYTES = 512  # of /sys/block/*/size, whatever the device's own are

# Kiosks want 16 to 64 GB; larger is somebody's disk.
LARGEST_BYTES = 256 * 10**9

_OCTAL = re.compile(r"\\([0-7]{3})")


class CardError(ValueError):
    """The device can't be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is at a path: a whole disk, one partition of one, or an ordinary file."""

    device: Path
    name: str  # as the kernel calls it: sdb
    bytes: int
    is_disk: bool
    is_file: bool
    removable: bool
    read_only: bool
    model: str
    serial: str
    used_for: tuple[str, ...]  # in words; empty where nothing uses it


def refusals(card: Card, needed_bytes: int) -> list[str]:
    """Why `card` is never written to; empty where nothing speaks against it."""
    if not card.bytes and not card.is_file:
        return [_("there is no card in it; put one in")]
    said = list(card.used_for)
    if card.read_only:
        said.append(_("it is write-protected; slide the lock at its edge the other way"))
    if card.bytes < needed_bytes:
        said.append(
            _(
                "it holds {size} GB, and the image takes {needed}; take a card of 16 GB or more"
            ).format(size=_gb(card.bytes), needed=_gb(needed_bytes))
        )
    return said


def doubts(card: Card) -> list[str]:
    """Why `card` doesn't look like a card for a kiosk; to be told twice helps."""
    if card.is_file:
        return [_("it is a file that is there already")] if card.bytes else []
    said = []
    if not card.is_disk:
        said.append(_("it is one partition, not the whole card"))
    if not card.removable:
        said.append(_("it is no card in a reader, but built in"))
    if card.bytes > LARGEST_BYTES:
        more = _("it holds {size} GB, more than any kiosk's card")
        said.append(more.format(size=_gb(card.bytes)))
    return said


def look_at(
    device: Path,
    *,
    sys: Path = Path("/sys"),
    proc: Path = Path("/proc"),
    number: str | None = None,
) -> Card:
    """What the kernel says of `device`; its `number` is "major:minor", or found out.

    Raises `CardError` where there is no such device.
    """
    try:
        found = device.stat() if number is None else None
    except OSError as error:
        raise CardError(
            _("{device}: {why}; `lsblk` lists the disks there are").format(
                device=device, why=of_system(error)
            )
        ) from error
    if found is not None and stat.S_ISREG(found.st_mode):
        return _file(device, found.st_size)
    if found is not None and not stat.S_ISBLK(found.st_mode):
        raise CardError(
            _("{device}: is no disk and no file; `lsblk` lists the disks there are").format(
                device=device
            )
        )
    if found is not None:
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return _block_device(device, sys, proc, sys / "dev" / "block" / str(number))


def _file(device: Path, length: int) -> Card:
    return Card(
        device=device,
        name=device.name,
        bytes=length,
        is_disk=False,
        is_file=True,
        removable=False,
        read_only=False,
        model="",
        serial="",
        used_for=(),
    )


def _block_device(device: Path, sys: Path, proc: Path, place: Path) -> Card:
    place = place.resolve()
    is_disk = not (place / "partition").exists()
    disk = place if is_disk else place.parent
    return Card(
        device=device,
        name=place.name,
        bytes=int(_text(place / "size") or "0") * SECTOR_BYTES,
        is_disk=is_disk,
        is_file=False,
        removable=_is_removable(disk),
        read_only=_text(place / "ro") == "1",
        model=_text(disk / "device" / "name") or _text(disk / "device" / "model"),
        serial=_text(disk / "device" / "serial") or _text(disk / "device" / "cid"),
        used_for=tuple(_uses(list(_family(disk, sys)), proc)),
    )


def _is_removable(disk: Path) -> bool:
    # A card in a laptop's own slot is an mmc device, which says 0 although it comes out; one that
    # is soldered on says MMC instead of SD (kernel: Documentation/driver-api/mmc/mmc-dev-attrs).
    return _text(disk / "removable") == "1" or _text(disk / "device" / "type") == "SD"


def _family(disk: Path, sys: Path) -> Iterator[Path]:
    """`disk`, its partitions, and what is built on any of them: LVM, RAID, encryption."""
    yield disk
    for part in sorted(disk.iterdir()) if disk.is_dir() else ():
        if (part / "partition").exists():
            yield from _family(part, sys)
    holders = disk / "holders"
    for holder in sorted(holders.iterdir()) if holders.is_dir() else ():
        yield from _family((sys / "block" / holder.name).resolve(), sys)


def _uses(family: Sequence[Path], proc: Path) -> Iterator[str]:
    """In words, what this machine uses any of `family` for."""
    names = {place.name for place in family}
    numbers = {_text(place / "dev") for place in family} - {""}
    for number, where, source in _mounts(proc):
        # btrfs gives its mounts numbers of their own; the source is its device.
        if number in numbers or Path(source).name in names:
            yield _mounted(Path(source).name, where)
    for name in _swaps(proc):
        if name in names:
            yield _("this machine swaps to {name}; take another").format(name=name)
    for place in family:
        holders = place / "holders"
        for holder in sorted(holders.iterdir()) if holders.is_dir() else ():
            part = _("{name} is part of {whole} (LVM, RAID or encryption); take another")
            yield part.format(name=place.name, whole=holder.name)


def _mounted(name: str, where: str) -> str:
    if where in {"/", "/usr", "/boot", "/boot/efi", "/boot/firmware"}:
        runs = _("this machine runs from it: {name} is mounted at {where}; take another")
        return runs.format(name=name, where=where)
    # A desktop mounts each card that is put in.
    taken = _("{name} is mounted at {where}; if it is the right one: sudo umount /dev/{name}")
    return taken.format(name=name, where=where)


def _mounts(proc: Path) -> Iterator[tuple[str, str, str]]:
    """Device number, place and source of each mount: proc(5), mountinfo."""
    for line in _text(proc / "self" / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        source = rest[1] if len(rest) > 1 and rest[1].startswith("/dev/") else ""
        yield fields[2], _OCTAL.sub(lambda m: chr(int(m.group(1), 8)), fields[4]), source


def _swaps(proc: Path) -> Iterator[str]:
    for line in _text(proc / "swaps").splitlines()[1:]:
        yield Path(line.split()[0]).name


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _gb(length: int) -> str:
    return f"{length / 10**9:.1f}"
