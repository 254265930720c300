"""Publishes a package to the fleet, signed and in parts, retained at the broker.

The parts go first and what names them last: a kiosk never asks for what isn't there. A release can
leave out the wheels of an earlier package, which kiosks have: then a megabyte goes over the air in
place of seventy. Each wheel is held to its hash in the package's own requirements, wherever it came
from.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from checkin import signed_list, whole
from checkin.cose import SigningKey
from checkin.signed_list import LONGEST_PACKAGE_BYTES, Release, SignedListError
from checkin.updates import ARCHITECTURES
from checkin.words import _, known
from provisioning import debian_package
from provisioning.debian_package import PackageError
from provisioning.fleet_watch import Line
from sync_daemon import topics
from sync_daemon.broker import Message
from sync_daemon.topics import PART_BYTES

WHEELS = "./usr/lib/vaora/wheels/"
NAME = "vaora"


class ReleaseError(ValueError):
    """The package isn't released; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A release and what is to be published of it."""

    release: Release
    signed: bytes
    package: bytes

    def parts(self) -> Iterator[Message]:
        release = self.release
        for number in range(parts_of(release)):
            part = self.package[number * PART_BYTES : (number + 1) * PART_BYTES]
            yield Message(topics.update_part(release.arch, release.sha256, number), part)


def parts_of(release: Release) -> int:
    return -(-release.bytes // PART_BYTES)


def make(
    deb: bytes, key: SigningKey, *, number: int, at: datetime, since: bytes | None = None
) -> Made:
    """Sign `deb` as release `number`, without the wheels of `since`. Raises `ReleaseError`."""
    try:
        found = debian_package.named(deb)
        if found.name != NAME:
            raise ReleaseError(
                _("is the package {name}; release one built by debian/build.sh").format(
                    name=found.name
                )
            )
        if found.arch not in ARCHITECTURES.values():
            raise ReleaseError(
                _("is for {arch}; kiosks are {names}").format(
                    arch=found.arch, names=_(" or ").join(ARCHITECTURES.values())
                )
            )
        package = deb if since is None else _without_wheels_of(deb, since)
    except PackageError as error:
        raise ReleaseError(str(error)) from error
    if len(package) > LONGEST_PACKAGE_BYTES:
        raise ReleaseError(
            _("has {count} bytes; at most {most} are taken").format(
                count=len(package), most=LONGEST_PACKAGE_BYTES
            )
        )
    release = Release(
        version=number,
        issued=at.isoformat(timespec="seconds"),
        package=found.version,
        arch=cast("Literal['arm64', 'amd64']", found.arch),
        bytes=len(package),
        sha256=hashlib.sha256(package).hexdigest(),
    )
    return Made(release, signed_list.sign(release, key), package)


def _without_wheels_of(deb: bytes, since: bytes) -> bytes:
    """A wheel's name says its version; whether it is the same, its length says well enough.

    If not, its hash doesn't fit on the kiosk, which refuses the release and says so.
    """
    there = debian_package.files(since)
    new = debian_package.files(deb)
    left_out = {name for name, size in new.items() if there.get(name) == size}
    return debian_package.without(
        deb, lambda name: name.startswith(WHEELS) and name in left_out and "/vaora-" not in name
    )


class Shelf:
    """What of releases lies at the broker, one architecture's; noted in the fleet's folder.

    The newest, and the one before it: kiosks may be in the middle of that.
    """

    def __init__(self, folder: Path, arch: str, authority: bytes) -> None:
        self._newest = folder / f"release-{arch}"
        self._before = folder / f"release-{arch}.before"
        self._authority = authority

    @property
    def newest(self) -> Release | None:
        return self._read(self._newest)

    @property
    def before(self) -> Release | None:
        return self._read(self._before)

    def note(self, made: Made) -> None:
        """Raises `OSError`."""
        if self._newest.exists() and self._newest.read_bytes() != made.signed:
            whole.write(self._before, self._newest.read_bytes())
        whole.write(self._newest, made.signed)

    def _read(self, file: Path) -> Release | None:
        try:
            return signed_list.read_file(file, Release, self._authority)
        except SignedListError:
            return None


def number_after(shelf: Shelf, retained: bytes | None, authority: bytes) -> int:
    """The running number for a release: after every one that is known here or lies there."""
    known = shelf.newest
    there = _number_of(retained, authority) if retained else 0
    return max(known.version if known is not None else 0, there) + 1


def _number_of(retained: bytes, authority: bytes) -> int:
    """The number of what lies at the broker. Raises `ReleaseError` where it isn't this fleet's."""
    try:
        return signed_list.read(retained, Release, authority).version
    except SignedListError as error:
        raise ReleaseError(
            _("what lies at the broker already {why}; is this the right fleet's folder?").format(
                why=known(str(error))
            )
        ) from error


def publish(line: Line, made: Made, shelf: Shelf, progress: Callable[[int], None]) -> None:
    """Publish `made`, and clear away the parts of what lies too far back.

    `progress` is told how many more parts the broker has. Raises `BrokerError`, `OSError`.
    """
    release = made.release
    line.leave(made.parts(), topics.PART_TYPE, progress)
    line.leave([Message(topics.update(release.arch), made.signed)], topics.SIGNED_TYPE)
    outdated = shelf.before
    shelf.note(made)
    kept = {one.sha256 for one in (shelf.newest, shelf.before) if one is not None}
    if outdated is not None and outdated.sha256 not in kept:
        line.leave(_gone(outdated))


def _gone(release: Release) -> Iterator[Message]:
    """What takes its parts away: an empty retained message for each (MQTT 5.0, 3.3.1.3)."""
    for number in range(parts_of(release)):
        yield Message(topics.update_part(release.arch, release.sha256, number), b"")
