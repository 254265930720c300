"""A package as a file, read without Debian's tools: a technician's laptop may be anything.

deb(5): an `ar` archive of debian-binary, control.tar and data.tar. Ours are packed with gzip.
"""

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

MAGIC = b"!<arch>\n"
HEAD_BYTES = 60  # ar(5)
ENDING = b"`\n"
CONTROL, DATA = "control.tar.gz", "data.tar.gz"


class PackageError(ValueError):
    """Not a package of ours; the message says why."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a package says of itself."""

    name: str
    version: str
    arch: str


@dataclass(frozen=True, slots=True)
class _Member:
    head: bytes
    name: str
    content: bytes


def named(deb: bytes) -> Named:
    """Raises `PackageError`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_content(deb, CONTROL)), mode="r:gz") as control:
            file = control.extractfile("./control")
            text = file.read().decode() if file is not None else ""
    except (tarfile.TarError, KeyError, OSError, EOFError, UnicodeDecodeError) as error:
        raise PackageError(f"its control file can't be read ({error})") from error
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    try:
        return Named(fields["Package"], fields["Version"], fields["Architecture"])
    except KeyError as error:
        raise PackageError(f"its control file has no {error}") from error


def files(deb: bytes) -> dict[str, int]:
    """The files in `deb` and their lengths. Raises `PackageError`."""
    with _data(deb) as data:
        return {member.name: member.size for member in data if member.isfile()}


def without(deb: bytes, leave_out: Callable[[str], bool]) -> bytes:
    """`deb` without the files that `leave_out` names. The same gives the same bytes."""
    packed = io.BytesIO()
    with (
        _data(deb) as data,
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as out,
        tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as kept,
    ):
        for member in data:
            if not leave_out(member.name):
                kept.addfile(member, data.extractfile(member) if member.isfile() else None)
    return MAGIC + b"".join(
        _packed(member.head, packed.getvalue() if member.name == DATA else member.content)
        for member in _members(deb)
    )


def _data(deb: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=io.BytesIO(_content(deb, DATA)), mode="r:gz")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PackageError(f"its files can't be read ({error})") from error


def _content(deb: bytes, name: str) -> bytes:
    for member in _members(deb):
        if member.name == name:
            return member.content
    raise PackageError(f"is no package built by debian/build.sh: it holds no {name}")


def _members(deb: bytes) -> list[_Member]:
    if not deb.startswith(MAGIC):
        raise PackageError("is no Debian package")
    found, at = [], len(MAGIC)
    while at < len(deb):
        head = deb[at : at + HEAD_BYTES]
        size = head[48:58].strip()
        if not head.endswith(ENDING) or not size.isdigit():
            raise PackageError("is a damaged Debian package")
        at += HEAD_BYTES
        body = deb[at : at + int(size)]
        if len(body) != int(size):
            raise PackageError("is a Debian package that was cut off")
        found.append(_Member(head, head[:16].decode("ascii", "replace").strip().strip("/"), body))
        at += len(body) + len(body) % 2
    return found


def _packed(head: bytes, body: bytes) -> bytes:
    """An archive's member: filled up to an even length."""
    return head[:48] + b"%-10d" % len(body) + ENDING + body + b"\n" * (len(body) % 2)
