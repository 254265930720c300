"""An official image of Raspberry Pi OS: that it is whole, and what is in it.

Its checksum comes from where it was downloaded: without one nobody can say whether the system that
all the kiosks will run is the one that Raspberry Pi made. It is only read, never changed; root's
filesystem is looked into by debugfs, which needs neither root nor a mount.
"""

import hashlib
import lzma
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from checkin.words import _, of_system
from provisioning import disk, tools
from provisioning.disk import DiskError, Table
from provisioning.tools import ToolError

CHUNK_BYTES = 4 * 1024 * 1024
HASH = re.compile(r"\b[0-9a-fA-F]{64}\b")

# Longer than any list of checksums of one release.
LONGEST_LIST_BYTES = 256 * 1024

# What Lite unpacks to is 3 GiB; more than this is no image of it, whatever it unpacks to.
LONGEST_IMAGE_BYTES = 32 * 1024 * 1024 * 1024

# The releases whose first boot we know, and the form of the seed that each reads.
Form = Literal["cloud-init", "bookworm"]
FORMS: dict[str, Form] = {"trixie": "cloud-init", "bookworm": "bookworm"}

DPKG_STATUS = "/var/lib/dpkg/status"
OS_RELEASE = "/usr/lib/os-release"  # /etc/os-release is a link to it
ANY_PROGRAM = "/usr/bin/dpkg"

# ELF, e_machine: two bytes, 18 in.
MACHINES = {183: "arm64", 62: "amd64", 40: "armhf"}

Progress = Callable[[int], None]


class OfficialError(ValueError):
    """The image can't be used; the message says why and what to give instead."""


@dataclass(frozen=True, slots=True)
class Official:
    """An image that was looked into, and found to be one that we can make a kiosk of."""

    file: Path  # unpacked
    sha256: str  # of what was downloaded
    release: str  # "trixie"
    arch: str  # as Debian calls it
    table: Table

    @property
    def form(self) -> Form:
        """The form of the seed that this OS reads on its first boot."""
        return FORMS[self.release]

    def read(self, path: str) -> bytes:
        """The file `path` of root's filesystem; empty where there is none."""
        return _debugfs(self.file, self.table.root.begin, f'cat "{path}"')

    def folder(self, path: str, into: Path) -> None:
        """Copy the folder `path` of root's filesystem to below `into`, under its own name."""
        # Owners can't be kept by whoever isn't root; debugfs says so and goes on.
        _debugfs(self.file, self.table.root.begin, f'rdump "{path}" "{into}"')


def checksum(file: Path, given: str | None) -> str:
    """The checksum to hold `file` to: as given, or from the .sha256 beside it.

    Raises `OfficialError` where there is none.
    """
    if given is not None:
        if not HASH.fullmatch(given):
            raise OfficialError(
                _("--sha256 {given!r} is no SHA-256: 64 hexadecimal digits").format(given=given)
            )
        return given.lower()
    beside = file.with_name(f"{file.name}.sha256")
    try:
        with beside.open(encoding="ascii", errors="replace") as opened:
            lines = opened.read(LONGEST_LIST_BYTES).splitlines()
    except OSError as error:
        raise OfficialError(
            _(
                "{file}: has no checksum; download {name} from where the image came from and "
                "put it beside it, or give --sha256"
            ).format(file=file, name=beside.name)
        ) from error
    # "HASH  NAME", of one file or of many; of one it may be the hash alone.
    named = [line for line in lines if file.name in line.split()] or lines[:1]
    if len(named) == 1 and (found := HASH.search(named[0])):
        return found.group().lower()
    raise OfficialError(
        _("{beside}: has no SHA-256 of {name}; download it again").format(
            beside=beside, name=file.name
        )
    )


def check(file: Path, expected: str | None, progress: Progress) -> str:
    """The SHA-256 of `file`, which must be the expected one. `None` expects nothing."""
    found = _sha256(file, progress)
    if expected is not None and found != expected:
        raise OfficialError(
            _(
                "{file}: its SHA-256 is {found}, but {expected} was expected: it was damaged "
                "on its way, or isn't what it says; download it again"
            ).format(file=file, found=found, expected=expected)
        )
    return found


def unpack(file: Path, sha256: str, cache: Path, progress: Progress) -> Path:
    """The image itself: `file`, or what its .xz holds, kept in `cache` for the next time."""
    if file.suffix != ".xz":
        return file
    unpacked = cache / f"base-{sha256[:16]}.img"
    if unpacked.is_file():
        return unpacked
    cache.mkdir(parents=True, exist_ok=True)
    beside = unpacked.with_suffix(".partial")
    try:
        _unpack(file, beside, progress)
        beside.replace(unpacked)
    except (lzma.LZMAError, EOFError) as error:
        raise OfficialError(
            _("{file}: is cut off or damaged ({why}); download it again").format(
                file=file, why=error
            )
        ) from error
    except OSError as error:
        raise OfficialError(
            _(
                "{file}: can't be unpacked into {cache} ({why}); make room there, or "
                "name another folder with --out"
            ).format(file=file, cache=cache, why=of_system(error))
        ) from error
    finally:  # also when somebody stops it: three gigabytes of no use
        beside.unlink(missing_ok=True)
    return unpacked


def look_into(file: Path, sha256: str) -> Official:
    """What the unpacked image `file` is. Raises `OfficialError` unless it is one that we know."""
    try:
        table = disk.read(file)
        _whole(file, table)
        names = _os_release(_debugfs(file, table.root.begin, f"cat {OS_RELEASE}").decode())
        arch = _machine(_debugfs(file, table.root.begin, f"cat {ANY_PROGRAM}"))
    except (DiskError, ToolError, UnicodeDecodeError) as error:
        raise OfficialError(str(error)) from error
    release = names.get("VERSION_CODENAME", "")
    if release not in FORMS:
        raise OfficialError(
            _("{file}: holds {system}; give Raspberry Pi OS Lite, 64-bit, {names}").format(
                file=file,
                system=names.get("PRETTY_NAME") or _("no system that says its name"),
                names=_(" or ").join(FORMS),
            )
        )
    if arch not in {"arm64", "amd64"}:
        raise OfficialError(
            _("{file}: is for {arch}; give the 64-bit image (arm64)").format(
                file=file, arch=arch or _("an unknown machine")
            )
        )
    return Official(file, sha256, release, arch, table)


def _whole(file: Path, table: Table) -> None:
    needed = max(partition.range.end for partition in table.partitions)
    if file.stat().st_size < needed:
        raise OfficialError(
            _(
                "{file}: ends before its partitions do ({there} of {needed} bytes); download "
                "it again"
            ).format(file=file, there=file.stat().st_size, needed=needed)
        )


def _debugfs(image: Path, begin: int, request: str) -> bytes:
    return tools.run("debugfs", "-R", request, f"{image}?offset={begin}")


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


def _machine(program: bytes) -> str:
    """For which machines an ELF program is, as Debian calls them."""
    if not program.startswith(b"\x7fELF"):
        return ""
    number = int.from_bytes(program[18:20], "little")
    # arm64's and armhf's programs differ in this number, so a 32-bit OS on a 64-bit kernel shows.
    return MACHINES.get(number, "")


def _sha256(file: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                digest.update(chunk)
                progress(len(chunk))
    except OSError as error:
        raise OfficialError(
            _("{file}: can't be read ({why})").format(file=file, why=of_system(error))
        ) from error
    return digest.hexdigest()


def _unpack(file: Path, into: Path, progress: Progress) -> None:
    """Unpack, with holes where there are only zeros: an image is a quarter of them."""
    length = done = 0
    with file.open("rb") as raw, lzma.open(raw) as packed, into.open("wb") as out:
        while chunk := packed.read(CHUNK_BYTES):
            length += len(chunk)
            if length > LONGEST_IMAGE_BYTES:
                raise OfficialError(
                    _("{file}: unpacks to more than any image of the OS").format(file=file)
                )
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), 1)
            else:
                out.write(chunk)
            progress(raw.tell() - done)  # how much there will be, an .xz says only at its end
            done = raw.tell()
        out.truncate(length)
