"""The packages that go along with a kiosk, so that its first boot needs no internet.

Ours, and what it needs that the image lacks. What that is, apt says (`provisioning.apt`), once for
each pair of image and package; it is kept. Where there is no network, or no apt, a folder of
packages that somebody fetched before does as well.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkin.words import _
from provisioning import apt, tools
from provisioning.apt import Apt, AptError
from provisioning.official import DPKG_STATUS, Official
from provisioning.tools import ToolError

# What an appliance needs beside what our package names: root under an overlay (overlayroot and the
# busybox it has in the initramfs), the disk laid out and grown (first-boot.sh), and the modem of
# kiosks with a SIM, which NetworkManager leaves to ModemManager.
NEEDED = ("overlayroot", "busybox", "fdisk", "e2fsprogs", "modemmanager")

OURS = "vaora.deb"
OURS_BEGINS = "vaora_"
FOLDER = "packages"
LIST = "packages.sha256"

# On the boot partition.
PLACE = "vaora"

# The official image's boot partition has 512 MiB, of which its own take up to 100.
MOST_BYTES = 380 * 1024 * 1024

_WORD = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class PackagesError(ValueError):
    """The packages can't be had or don't fit; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own package, as a file."""

    file: Path
    version: str
    arch: str
    sha256: str
    wants: tuple[tuple[str, ...], ...]  # what it recommends, each with its alternatives


def read(file: Path) -> Ours:
    """What the package in `file` says of itself. Raises `PackagesError` where it isn't ours."""
    try:
        fields = {name: _field(file, name) for name in ("Package", "Version", "Architecture")}
        wants = tuple(_alternatives(_field(file, "Recommends")))
        content = file.read_bytes()
    except (ToolError, OSError) as error:
        raise PackagesError(
            _("{file}: can't be read as a package ({why}); make deb").format(file=file, why=error)
        ) from error
    if fields["Package"] != "vaora":
        raise PackagesError(
            _("{file}: is {name!r}; give vaora_…_arm64.deb (make deb)").format(
                file=file, name=fields["Package"]
            )
        )
    digest = hashlib.sha256(content).hexdigest()
    return Ours(file, fields["Version"], fields["Architecture"], digest, wants)


def newest(folder: Path, arch: str) -> Path:
    """Our package for `arch` in `folder`: the only one, or the one that was put there last."""
    found = sorted(folder.glob(f"{OURS_BEGINS}*_{arch}.deb"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise PackagesError(
            _(
                "{folder}: has no {begins}…_{arch}.deb; put it there, or name it with --package"
            ).format(folder=folder, begins=OURS_BEGINS, arch=arch)
        )
    return found[-1]


def _field(file: Path, name: str) -> str:
    return tools.run("dpkg-deb", "--field", str(file), name).decode().strip()


def _alternatives(field: str) -> Iterator[tuple[str, ...]]:
    """`a, b | c (>= 2)` is `a`, and `b` or `c`. Versions are apt's business, at the install."""
    for group in field.split(","):
        found = [_WORD.match(each.strip()) for each in group.split("|")]
        names = tuple(each.group() for each in found if each)
        if names:
            yield names


def gathered(
    image: Official,
    ours: Ours,
    cache: Path,
    *,
    needed: Sequence[str] = NEEDED,
    folder: Path | None = None,
) -> dict[str, bytes]:
    """The files for the boot partition: our package, what it needs, and their checksums.

    From `folder`, or from the image's sources by way of `cache`. Raises `PackagesError`.
    """
    if ours.arch != image.arch:
        raise PackagesError(
            _(
                "{file}: is for {arch}, but the image is for {wanted}; give "
                "vaora_{version}_{wanted}.deb"
            ).format(file=ours.file, arch=ours.arch, wanted=image.arch, version=ours.version)
        )
    try:
        if folder is not None:
            _check_folder(image, ours, folder, needed)
        kept = folder or _fetched(image, ours, cache, needed)
    except AptError as error:
        raise PackagesError(
            _("the packages for {name}: {why}").format(name=image.file.name, why=error)
        ) from error
    found = {f"{FOLDER}/{file.name}": file.read_bytes() for file in sorted(kept.glob("*.deb"))}
    return _listed({OURS: ours.file.read_bytes(), **found})


def _listed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """`files` and the list of their checksums, as `sha256sum --check` reads it beside them."""
    total = sum(map(len, files.values()))
    if total > MOST_BYTES:
        raise PackagesError(
            _(
                "the packages take {total} MiB, and the boot partition has room for {most}; is "
                "the image a Lite, and up to date?"
            ).format(total=total // 2**20, most=MOST_BYTES // 2**20)
        )
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    listed = {**files, LIST: "".join(lines).encode()}
    return {f"{PLACE}/{name}": content for name, content in listed.items()}


def _fetched(image: Official, ours: Ours, cache: Path, needed: Sequence[str]) -> Path:
    """The folder of what apt fetched for this image and package, now or an earlier time."""
    asked = "\n".join([image.sha256, ours.sha256, *needed])
    kept = cache / f"packages-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    if kept.is_dir():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".half-", dir=cache))
    try:
        if _has_all(image, ours, beside / "offline", needed):
            (beside / "made").mkdir()
            _put(beside / "made", kept)
            return kept
        fetcher = apt.of_image(image, beside / "apt")
        fetcher.update()
        fetcher.fetch([str(ours.file.resolve()), *_chosen(fetcher, ours, needed)], beside / "made")
        _put(beside / "made", kept)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return kept


def _has_all(image: Official, ours: Ours, folder: Path, needed: Sequence[str]) -> bool:
    """Whether the image, made by somebody with this in mind, lacks nothing: no network is used."""
    known = set(_installed(image))
    if not all(known.intersection(names) for names in _wanted(ours, needed)):
        return False
    try:
        found = apt.of_image(image, folder, with_sources=False)
        return len(found.would_install([str(ours.file.resolve())])) == 1
    except AptError:
        return False


def _wanted(ours: Ours, needed: Sequence[str]) -> list[tuple[str, ...]]:
    return [*ours.wants, *((name,) for name in needed)]


def _put(made: Path, kept: Path) -> None:
    """Rename the whole folder into its place; somebody who was faster has put the same there."""
    for file in made.glob("*"):
        if file.suffix != ".deb":
            file.unlink()
    try:
        os.rename(made, kept)  # noqa: PTH104  Path.rename says the same, but hides the target
    except OSError:
        if not kept.is_dir():
            raise


def _chosen(fetcher: Apt, ours: Ours, needed: Sequence[str]) -> list[str]:
    """One package of each set of alternatives: the first that the image's sources offer."""
    chosen = []
    for names in _wanted(ours, needed):
        offered = next((name for name in names if fetcher.offers(name)), None)
        if offered is None:
            raise PackagesError(
                _(
                    "the image's sources offer no {names}; is it a Raspberry Pi OS? Give the "
                    "packages in a folder with --packages"
                ).format(names=_(" or ").join(names))
            )
        chosen.append(offered)
    return chosen


def _check_folder(image: Official, ours: Ours, folder: Path, needed: Sequence[str]) -> None:
    """Have apt say whether what lies in `folder` is enough for the image, without any source."""
    files = sorted(folder.glob("*.deb"))
    if not files:
        raise PackagesError(
            _("{folder}: has no .deb in it; name the folder with the packages").format(
                folder=folder
            )
        )
    with tempfile.TemporaryDirectory() as name:
        fetcher = apt.of_image(image, Path(name) / "apt", with_sources=False)
        fetcher.would_install([str(file.resolve()) for file in (ours.file, *files)])
        known = {*_installed(image), *(_field(file, "Package") for file in files)}
    for names in _wanted(ours, needed):
        if not known.intersection(names):
            raise PackagesError(
                _(
                    "{folder}: {names} is missing, and the image hasn't it; fetch it there: "
                    "apt-get download"
                ).format(folder=folder, names=_(" or ").join(names))
            )


def _installed(image: Official) -> Iterator[str]:
    """The names of the packages that the image has."""
    name = ""
    for line in image.read(DPKG_STATUS).decode("utf-8", "replace").splitlines():
        if line.startswith("Package: "):
            name = line.removeprefix("Package: ").strip()
        elif line.startswith("Status: ") and line.endswith(" installed"):
            yield name
