"""A kiosk's image: the official one, laid out for us, with the seed and the packages on it.

Made in two steps. What all kiosks of a release share (the layout, the packages) is *prepared* once
and kept; a kiosk's image is a copy of that with its seed. Everything that is written is read back,
and the file gets its name only when all of it was right: an image that is there is whole.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from checkin import settings, whole
from checkin.settings import Panel, SettingsError
from checkin.words import _
from provisioning import boot_partition, disk, ranges, tools
from provisioning.boot_partition import COMMAND_LINE, CONFIG, FIRST_RUN, BootError, BootPartition
from provisioning.disk import DATA_LABEL, DiskError
from provisioning.official import Official
from provisioning.tools import ToolError

SETTINGS = "vaora/kiosk.toml"

# Nobody but who makes them reads images: each holds a token.
MODE = 0o600

# What is being made lies in folders of this name, the packages too: `alone` takes them away.
HALF = ".half-"


class ImageError(ValueError):
    """An image can't be made or isn't whole; the message says why and what to do."""


class Sheet(msgspec.Struct, frozen=True):
    """What is kept beside an image of what went into it; `flash` puts it into the manifest."""

    kiosk: str
    made_at: str
    base_sha256: str  # of the official image, as it was downloaded
    image_digest: str  # `ranges.digest`
    seed_digest: str
    package: str  # the version of ours
    token: str  # its fingerprint; the token itself is in the image alone


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the images of all kiosks begin as. Made by `prepare`, and never changed."""

    file: Path
    base: Official
    packages: Mapping[str, bytes]
    version: str


def prepare(base: Official, packages: Mapping[str, bytes], version: str, cache: Path) -> Prepared:
    """The official image laid out anew, with `packages` on its boot partition; kept in `cache`."""
    kept = cache / f"prepared-{base.sha256[:8]}-{_digest(packages)[:8]}.img"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=HALF, dir=cache) as folder:
            beside = Path(folder) / kept.name
            _copy(base.file, beside)
            try:
                table = disk.make_room(beside)
                BootPartition(beside, table.boot.begin).write(packages)
            except (DiskError, BootError, ToolError) as error:
                raise ImageError(str(error)) from error
            beside.replace(kept)
    return Prepared(kept, base, packages, version)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make images in `folder` alone. Raises `ImageError` while somebody else does.

    Then what an earlier making left half, when it was killed, can be taken away: it holds secrets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ImageError(
                _(
                    "{folder}: images are being made there by another; wait for it, or name "
                    "another folder with --out"
                ).format(folder=folder)
            ) from error
        for left in (*folder.glob(f"{HALF}*"), *folder.glob(f"*/{HALF}*")):
            shutil.rmtree(left)
        yield


def make(
    prepared: Prepared,
    seed: Mapping[str, bytes],
    into: Path,
    *,
    kiosk: str,
    token: str,
    at: str,
    clock_chip: str = "",
) -> Sheet:
    """Write the image of `kiosk` to `into`, with its sheet beside it. Raises `ImageError`.

    `token` is the fingerprint of the one that is in the seed.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=HALF, dir=into.parent) as folder:
        beside = Path(folder) / into.name
        _copy(prepared.file, beside)
        try:
            files = _write(beside, seed, clock_chip)
            check(beside, {**prepared.packages, **files})
        except (DiskError, BootError, ToolError) as error:
            raise ImageError(str(error)) from error
        sheet = Sheet(
            kiosk=kiosk,
            made_at=at,
            base_sha256=prepared.base.sha256,
            image_digest=ranges.digest(beside),
            seed_digest=_digest(seed),
            package=prepared.version,
            token=token,
        )
        # An image without its sheet is refused by flash; one with another's would be believed.
        sheet_of(into).unlink(missing_ok=True)
        beside.replace(into)
    whole.write(sheet_of(into), msgspec.json.format(msgspec.json.encode(sheet)) + b"\n", MODE)
    return sheet


def sheet_of(image: Path) -> Path:
    """Where the sheet of `image` lies."""
    return image.with_suffix(".json")


def read_sheet(image: Path) -> Sheet:
    """The sheet of `image`. Raises `ImageError` where there is none, or another kiosk's."""
    cure = _("make it again: vaora-provision image --kiosk {kiosk} …").format(kiosk=image.stem)
    try:
        image.stat()  # a sheet may be left of one that was deleted
        sheet = msgspec.json.decode(sheet_of(image).read_bytes(), type=Sheet)
    except (OSError, msgspec.DecodeError) as error:
        raise ImageError(
            _("{image}: there is no such image, or no sheet {name} beside it; {cure}").format(
                image=image, name=sheet_of(image).name, cure=cure
            )
        ) from error
    if sheet.kiosk != image.stem:
        raise ImageError(
            _("{image}: its sheet is of {kiosk}; {cure}").format(
                image=image, kiosk=sheet.kiosk, cure=cure
            )
        )
    return sheet


def check(image: Path, files: Mapping[str, bytes]) -> None:
    """Read `image` back: its table, its filesystems, and `files` byte for byte."""
    table = disk.read(image)
    boot = BootPartition(image, table.boot.begin)
    boot.check(files)
    words = boot.read(COMMAND_LINE).decode("utf-8", "replace").splitlines()
    if len(words) != 1 or boot_partition.command_line(words[0]).split() != [
        word for word in words[0].split() if word not in boot_partition.RUN_ONCE
    ]:
        raise ImageError(
            _("{image}: {file} would grow root over the data, or isn't one line").format(
                image=image, file=COMMAND_LINE
            )
        )
    label = tools.run("debugfs", "-R", "stats -h", f"{image}?offset={table.partitions[-1].begin}")
    if len(table.partitions) != 3 or f"{DATA_LABEL}\n".encode() not in label:  # noqa: PLR2004  boot, root, data
        raise ImageError(
            _("{image}: has no partition {label}; make it again").format(
                image=image, label=DATA_LABEL
            )
        )
    _check_fat(image, table.boot.range)


def _write(image: Path, seed: Mapping[str, bytes], clock_chip: str) -> dict[str, bytes]:
    """Put the seed and our words in config.txt and cmdline.txt there; what was written."""
    boot = BootPartition(image, disk.read(image).boot.begin)
    line = boot.read(COMMAND_LINE).decode("utf-8", "replace")
    config = boot.read(CONFIG).decode("utf-8", "replace")
    files = {
        **seed,
        COMMAND_LINE: boot_partition.command_line(line, runs_once=FIRST_RUN in seed).encode(),
        CONFIG: boot_partition.config(config, pins=_outputs(seed), clock_chip=clock_chip).encode(),
    }
    boot.write(files)
    return files


def _outputs(seed: Mapping[str, bytes]) -> list[int]:
    """The pins that this kiosk's panel drives, from the very settings it will have."""
    try:
        panel = settings.parse(seed[SETTINGS].decode()).panel
    except (KeyError, UnicodeDecodeError, SettingsError) as error:
        raise ImageError(
            _("the seed has no settings that a kiosk could read: {why}").format(why=error)
        ) from error
    return outputs(panel)


def outputs(panel: Panel) -> list[int]:
    """The pins that `panel` drives: its lights, its buzzer, its lamp. Buttons are inputs."""
    if panel.kind != "gpio":
        return []
    pins = (panel.green_pin, panel.red_pin, panel.amber_pin, panel.buzzer_pin, panel.lamp_pin)
    return sorted(pin for pin in pins if pin)


def _check_fat(image: Path, where: ranges.Range) -> None:
    """Have fsck look at a copy of the boot partition: it wants one alone in its file."""
    if tools.find("fsck.fat") is None:
        return
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        alone = Path(folder) / "boot"
        ranges.copy_out(image, where, alone)
        tools.run("fsck.fat", "-n", str(alone))


def _copy(source: Path, into: Path) -> None:
    """A copy with the same holes. Raises `ImageError` before it would fill the disk."""
    needed = sum(map(len, ranges.data(source)))
    free = shutil.disk_usage(into.parent).free
    if free < needed:
        raise ImageError(
            _(
                "{parent}: has {free} MiB free, and an image takes {needed}; make room (what "
                "is in images/.cache is made again), or name another folder with --out"
            ).format(parent=into.parent, free=free // 2**20, needed=needed // 2**20)
        )
    try:
        into.touch(MODE, exist_ok=False)
        with into.open("r+b") as opened:
            opened.truncate(source.stat().st_size)
        ranges.copy(source, into)
    except OSError as error:
        raise ImageError(f"{into}: {error.strerror}") from error


def _digest(files: Mapping[str, bytes]) -> str:
    """One checksum over names and contents, whatever their order."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()
