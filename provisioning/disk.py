"""The partition table of an image, read and changed by sfdisk: boot, root, and a place for data.

The official image is boot and root, and grows root over the whole card when it first boots. A
kiosk's has root at a size that is known, and behind it a partition for what lasts: the outbox, the
identity, the updates. Root can then be read-only, and a full disk of check-ins fills no root.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from checkin.words import _
from provisioning import ranges, tools
from provisioning.ranges import Range
from provisioning.tools import ToolError

MIB = 1024 * 1024
GIB = 1024 * MIB

# What cards erase at once is a few MiB; the official images begin their partitions at these.
ALIGNMENT_BYTES = 4 * MIB

# Root of Lite takes 2.3 GiB; what the package and the OS's updates need on top of it.
ROOT_BYTES = 5 * GIB
ROOM_IN_ROOT_BYTES = 2 * GIB

# In the image; first boot grows it to the card's end. All of it is written to each card and read
# back, so it is no larger than a kiosk could serve a while with: a hundred thousand check-ins.
DATA_BYTES = 64 * MIB

# How far it may grow: 256 GiB, in blocks of 4 KiB. ext4 keeps the room for its own tables.
DATA_GROWS_TO = 256 * GIB // 4096
DATA_LABEL = "vaora-data"

# GPT keeps a second table at the end.
SECOND_TABLE_BYTES = MIB

LINUX = {"dos": "83", "gpt": "0FC63DAF-8483-4772-8E79-3D69D8477DE4"}
FAT = {
    "c",
    "b",
    "e",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
}


class DiskError(ValueError):
    """The image isn't laid out as an official one is; the message says what is amiss."""


@dataclass(frozen=True, slots=True)
class Partition:
    number: int
    begin: int
    bytes: int
    kind: str

    @property
    def range(self) -> Range:
        return Range(self.begin, self.begin + self.bytes)


@dataclass(frozen=True, slots=True)
class Table:
    label: Literal["dos", "gpt"]
    partitions: tuple[Partition, ...]

    @property
    def boot(self) -> Partition:
        return self.partitions[0]

    @property
    def root(self) -> Partition:
        return self.partitions[1]


class _Row(msgspec.Struct):
    start: int
    size: int
    type: str


class _Listed(msgspec.Struct):
    label: str
    sectorsize: int = 512
    partitions: list[_Row] = []


class _Said(msgspec.Struct):
    partitiontable: _Listed


def read(image: Path) -> Table:
    """The table of `image`. Raises `DiskError` unless it begins with boot and root."""
    try:
        said = msgspec.json.decode(tools.run("sfdisk", "--json", str(image)), type=_Said)
    except (ToolError, msgspec.DecodeError) as error:
        raise DiskError(
            _(
                "{image}: has no partition table that can be read ({why}); give the image of "
                "an official Raspberry Pi OS, as .img or .img.xz"
            ).format(image=image, why=error)
        ) from error
    listed = said.partitiontable
    partitions = tuple(
        Partition(n, row.start * listed.sectorsize, row.size * listed.sectorsize, row.type)
        for n, row in enumerate(listed.partitions, start=1)
    )
    _check(image, listed.label, partitions)
    return Table("gpt" if listed.label == "gpt" else "dos", partitions)


def _check(image: Path, label: str, partitions: tuple[Partition, ...]) -> None:
    kinds = [partition.kind.lower() for partition in partitions]
    if label not in LINUX or len(kinds) < 2 or kinds[0] not in FAT:  # noqa: PLR2004  boot, root
        raise DiskError(
            _(
                "{image}: has partitions {kinds} in a table {label!r}, where an official "
                "Raspberry Pi OS has a FAT one to boot from and one for root; download it again"
            ).format(image=image, kinds=kinds or _("none"), label=label)
        )


def make_room(image: Path) -> Table:
    """Give root its size and put a partition for data behind it, made and empty.

    The file grows, as a hole. Raises `DiskError` where there are more than two partitions, which
    is no official image: what lies behind root would be lost.
    """
    table = read(image)
    if len(table.partitions) != 2:  # noqa: PLR2004  boot and root
        raise DiskError(
            _(
                "{image}: has {count} partitions, where an official image has two; give the "
                "image as it was downloaded"
            ).format(image=image, count=len(table.partitions))
        )
    root_bytes = _aligned(max(ROOT_BYTES, table.root.bytes + ROOM_IN_ROOT_BYTES))
    data_begins = _aligned(table.root.begin + root_bytes)
    _lengthen(image, data_begins + DATA_BYTES + SECOND_TABLE_BYTES)
    name = str(image)
    if table.label == "gpt":
        tools.run("sfdisk", "--quiet", "--relocate", "gpt-bak-std", name)
    _sfdisk(image, f", {root_bytes // 512}", "-N", "2")
    new = f"start={data_begins // 512}, size={DATA_BYTES // 512}, type={LINUX[table.label]}"
    _sfdisk(image, new, "--append")
    _make_data(image, data_begins)
    return read(image)


def _sfdisk(image: Path, line: str, *words: str) -> None:
    quiet = ("--quiet", "--no-reread", "--no-tell-kernel", "--wipe=never")
    try:
        tools.run("sfdisk", *quiet, *words, str(image), given=line.encode() + b"\n")
    except ToolError as error:
        raise DiskError(
            _("{image}: its table can't be changed: {why}").format(image=image, why=error)
        ) from error


def _make_data(image: Path, at: int) -> None:
    """An empty ext4 in the third partition, made beside the image: mke2fs then knows its end."""
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        beside = Path(folder) / "data"
        _lengthen(beside, DATA_BYTES)
        # As for a large disk, which it will be: blocks of 4 KiB, and few inodes, as the outbox is
        # one file. The journal of 16 MiB stays when it has grown. 1 % for root is enough to repair.
        size = ("-b", "4096", "-i", "65536", "-J", "size=16", "-m", "1")
        grows = ("-E", f"resize={DATA_GROWS_TO}")
        tools.run("mke2fs", "-q", "-F", "-t", "ext4", "-L", DATA_LABEL, *size, *grows, str(beside))
        ranges.copy(beside, image, at=at)


def _lengthen(file: Path, length: int) -> None:
    with file.open("ab") as opened:
        opened.truncate(length)


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
