"""apt, asked what an image lacks: in a folder of its own, with the image's sources, keys and list.

apt itself decides which packages fit, fetches them and checks them against signatures and hashes;
we would do it worse. It runs as whoever asks, for the image's machine, and touches nothing of this
one; of this machine's settings only the way to the mirrors is kept (proxies).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkin.words import _
from provisioning import tools
from provisioning.official import DPKG_STATUS, Official
from provisioning.tools import ToolError

# What of this machine's own settings leads to the mirrors.
_WAY = re.compile(r"Acquire::(https?::|ftp::|Check-|Retries).* \"[^\"]")

# Where the image's sources say that their keys lie.
_KEYS = re.compile(r"/(?:usr/share|etc/apt)/keyrings(?=/)")

_FOLDERS = ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc", "keys", "none")
_EMPTY_FOLDERS = ("etc/apt/sources.list.d", "etc/apt/preferences.d")  # else the image's are there

CONFIGURATION = """\
Dir "{folder}";
Dir::State::status "{folder}/status";
Dir::Etc::main "{folder}/none/none";
Dir::Etc::parts "{folder}/none";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
// Nothing of the image's may have to go: first boot only adds.
APT::Get::Remove "false";
// And nothing upgraded that does as it is: systemd, say, in the middle of a first boot.
APT::Get::Upgrade "false";
APT::Get::Assume-Yes "true";
// Fetched as whoever runs this, into a folder that nobody else uses.
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
"""


class AptError(ValueError):
    """apt can't say or fetch what the image lacks; the message has its words and what to do."""


@dataclass(frozen=True, slots=True)
class Apt:
    """apt as it would be in the image, but in `folder`."""

    folder: Path

    def update(self) -> None:
        """Fetch the lists of what the image's sources offer."""
        self._run("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")

    def offers(self, name: str) -> bool:
        """Whether there is a package of that name, installed or to be had."""
        try:
            return bool(self._run("apt-cache", "show", "--no-all-versions", name))
        except AptError:
            return False

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Put into `into` the packages that are missing for `names`: packages, or .deb files."""
        (into / "partial").mkdir(parents=True, exist_ok=True)
        # Our own comes from the technician's machine and has no signature; its hash goes along.
        where = ("-o", f"Dir::Cache::archives={into.resolve()}/")
        self._run("apt-get", "-q", "install", "--download-only", *where, *names)
        (into / "partial").rmdir()

    def would_install(self, names: Sequence[str]) -> list[str]:
        """What would be installed for `names`. Raises `AptError` where something is missing."""
        said = self._run("apt-get", "-q", "install", "--simulate", *names).decode()
        return [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]

    def _run(self, name: str, *words: str) -> bytes:
        try:
            return tools.run(name, *words, env={"APT_CONFIG": str(self.folder / "apt.conf")})
        except ToolError as error:
            # Which package lacks which, it says beside its errors.
            lacking = [line.strip() for line in error.output.splitlines() if "Depends:" in line]
            raise AptError("; ".join([str(error), *lacking])) from error


def of_image(image: Official, folder: Path, *, with_sources: bool = True) -> Apt:
    """An apt in the empty `folder` that believes itself in `image`.

    Without its sources it knows of nothing but what is installed there and what it is given.
    """
    folder = folder.resolve()
    for name in (*_FOLDERS, *(() if with_sources else _EMPTY_FOLDERS)):
        (folder / name).mkdir(parents=True)
    status = image.read(DPKG_STATUS)
    if not status.strip():
        raise AptError(
            _("{file}: has no list of its packages ({dpkg_status}); download it again").format(
                file=image.file, dpkg_status=DPKG_STATUS
            )
        )
    (folder / "status").write_bytes(status)
    if with_sources:
        _take_sources(image, folder)
    text = CONFIGURATION.format(folder=folder, arch=image.arch)
    (folder / "apt.conf").write_text("\n".join([text, *_way()]), encoding="utf-8")
    return Apt(folder)


def _take_sources(image: Official, folder: Path) -> None:
    """The image's sources, told where we put its keys."""
    try:
        image.folder("/etc/apt", folder / "etc")
        image.folder("/usr/share/keyrings", folder / "keys")
    except ToolError as error:
        raise AptError(f"{image.file}: {error}") from error
    sources = list(_sources(folder / "etc" / "apt"))
    for file in sources:
        text = file.read_text(encoding="utf-8", errors="replace")
        file.write_text(_KEYS.sub(str(folder / "keys" / "keyrings"), text), encoding="utf-8")
    if not sources:
        raise AptError(
            _(
                "{file}: names no sources of packages (/etc/apt); give the packages in a "
                "folder with --packages"
            ).format(file=image.file)
        )


def _sources(folder: Path) -> Iterator[Path]:
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if file.is_file() and file.suffix in {".list", ".sources"}:
            yield file


def _way() -> list[str]:
    try:
        said = tools.run("apt-config", "dump").decode("utf-8", "replace")
    except ToolError as error:
        raise AptError(
            _("{why}; where there is no apt, give the packages in a folder with --packages").format(
                why=error
            )
        ) from error
    return [line for line in said.splitlines() if _WAY.match(line)]
