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
from typing import Literal, Protocol, cast

from checkin import signed_list, whole
from checkin.cose import SigningKey
from checkin.signed_list import LONGEST_PACKAGE_BYTES, Release, SignedListError
from checkin.words import _, known
from provisioning import debian_package
from provisioning.debian_package import PackageError
from sync_daemon import topics
from sync_daemon.broker import (
    Acknowledged,
    BrokerError,
    Connected,
    Heard,
    Lost,
    Message,
    Received,
    TurnedDown,
)
from sync_daemon.topics import PART_BYTES

WHEELS = "./usr/lib/vaora/wheels/"
NAME = "vaora"
ARCHITECTURES = ("arm64", "amd64")

# Parts on their way to the broker at once, so that a line with a long way is used.
WINDOW = 8
ANSWER_S = 30.0
# A retained message comes at once after the subscription's answer; where none comes there is none.
RETAINED_S = 2.0
TURN_S = 0.1


class ReleaseError(ValueError):
    """The package isn't released; the message says why, and what to do."""


class BrokerLink(Protocol):
    """What a release needs of a broker."""

    def connect(self) -> None: ...
    def publish(self, message: Message, content_type: str = "", *, retain: bool = False) -> int: ...
    def wait(self, timeout_s: float) -> list[Heard]: ...
    def close(self) -> None: ...


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
        if found.arch not in ARCHITECTURES:
            raise ReleaseError(
                _("is for {arch}; kiosks are {names}").format(
                    arch=found.arch, names=_(" or ").join(ARCHITECTURES)
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


class Publisher:
    """One connection as vaora-fleet. `tick` is monotonic seconds."""

    def __init__(self, broker: BrokerLink, tick: Callable[[], float]) -> None:
        self._broker = broker
        self._tick = tick
        self._flying: set[int] = set()

    def connect(self, topic: str) -> bytes | None:
        """Connect; what is retained under `topic`, which the broker was asked for.

        Raises `ReleaseError`.
        """
        try:
            self._broker.connect()
        except BrokerError as error:
            raise ReleaseError(
                _("the broker can't be reached: {why}").format(why=known(str(error)))
            ) from error
        until, online = self._tick() + ANSWER_S, False
        while self._tick() < until:
            for heard in self._broker.wait(TURN_S):
                match heard:
                    case Connected():
                        online, until = True, self._tick() + RETAINED_S
                    case Received(message) if message.topic == topic:
                        return message.body
                    case Lost(reason):
                        raise ReleaseError(
                            _("the broker can't be used: {why}").format(why=known(reason))
                        )
                    case _:
                        pass
        if not online:
            raise ReleaseError(_("the broker doesn't answer; is it one of this fleet?"))
        return None

    def send(self, messages: Iterator[Message], said: Callable[[int], None]) -> None:
        """Publish each, retained, and wait until the broker has them all. Raises `ReleaseError`."""
        for sent, message in enumerate(messages, 1):
            self._wait_for(WINDOW - 1)
            try:
                self._flying.add(self._broker.publish(message, retain=True))
            except BrokerError as error:
                raise ReleaseError(
                    _("the connection is gone: {why}; try again").format(why=known(str(error)))
                ) from error
            said(sent)
        self._wait_for(0)

    def close(self) -> None:
        self._broker.close()

    def _wait_for(self, most: int) -> None:
        until = self._tick() + ANSWER_S
        while len(self._flying) > most:
            for heard in self._broker.wait(TURN_S):
                match heard:
                    case Acknowledged(mid):
                        self._flying.discard(mid)
                        until = self._tick() + ANSWER_S
                    case TurnedDown(_, reason):
                        raise ReleaseError(
                            _(
                                "the broker won't take it: {why}; is vaora.acl of the "
                                "fleet's folder in force there?"
                            ).format(why=known(reason))
                        )
                    case Lost(reason):
                        raise ReleaseError(
                            _("the connection is gone: {why}; try again").format(why=known(reason))
                        )
                    case _:
                        pass
            if self._tick() >= until:
                raise ReleaseError(_("the broker doesn't answer any more; try again"))


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


def publish(publisher: Publisher, made: Made, shelf: Shelf, said: Callable[[int], None]) -> int:
    """Publish `made`; how many parts of older ones were cleared away.

    Raises `ReleaseError`, `OSError`.
    """
    release = made.release
    publisher.send(made.parts(), said)
    publisher.send(iter([Message(topics.update(release.arch), made.signed)]), _nothing)
    outdated = shelf.before
    shelf.note(made)
    kept = {one.sha256 for one in (shelf.newest, shelf.before) if one is not None}
    if outdated is None or outdated.sha256 in kept:
        return 0
    # An empty retained message takes the one before it away (MQTT 5.0, 3.3.1.3).
    gone = (
        Message(topics.update_part(outdated.arch, outdated.sha256, number), b"")
        for number in range(parts_of(outdated))
    )
    publisher.send(gone, _nothing)
    return parts_of(outdated)


def _nothing(_sent: int) -> None:
    """Nobody waits for what takes a moment."""
