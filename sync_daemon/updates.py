"""Downloads the package that a signed release names, for root's updater to judge.

The signature is looked at here too, so that nobody else's release costs a kiosk its data volume;
what counts is root's look, which believes nothing that lies in this folder. A check-in never waits
for an update: parts come one at a time, and none while the disk is needed for check-ins.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkin import VERSION, signed_list, updates, whole
from checkin.signed_list import Release, SignedListError
from checkin.updates import (
    LONGEST_RELEASE_BYTES,
    LONGEST_WORDS,
    PACKAGE,
    RELEASE,
    Told,
    UpdateError,
)
from sync_daemon import topics
from sync_daemon.download import Ask, Download, Package, Step

log = logging.getLogger("vaora.sync")

LOOK_EVERY_S = 5.0
# A disk may be cleared, and a spoilt package be published anew: neither soon.
AGAIN_S = 3600.0

# Of the disk that the outbox is to keep free, so many times as much is left: a download must not
# bring the door near its limit.
RESERVE = 3


@dataclass(frozen=True, slots=True)
class Read:
    """Subscribe to `topic`."""

    topic: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Unsubscribe from `topic`."""

    topic: str


Wish = Read | Leave


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Updates:
    """The one package that is wanted. `folder` is ours, `root_folder` root's, which is only read.

    `min_free_bytes` is what the outbox needs; `jitter` gives a number between 0 and 1.
    """

    def __init__(
        self,
        *,
        arch: str,
        authority: bytes,
        folder: Path,
        root_folder: Path = updates.ROOT_FOLDER,
        min_free_bytes: int = 0,
        spread_s: float = 0.0,
        jitter: Callable[[], float] = lambda: 0.0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.topic = topics.update(arch)
        self._arch = arch
        self._authority = authority
        self._folder = folder
        self._root_folder = root_folder
        self._min_free_bytes = min_free_bytes
        self._spread_s = spread_s
        self._jitter = jitter
        self._free = free
        self._told = Told()
        self._look_due = 0.0
        self._release: Release | None = None
        self._signed = b""
        self._download: Download | None = None
        self._trouble = ""
        self._again: float | None = None  # when what the disk didn't take is begun with once more

    @property
    def in_words(self) -> str:
        """What the state says of it."""
        if self._trouble:
            return self._trouble[:LONGEST_WORDS]  # a longer one would be no state to the central
        if self._download is not None and not self._download.is_whole:
            return f"downloading {self._download.percent} %"
        return self._told.in_words()

    @property
    def faults(self) -> list[str]:
        return ["update-refused"] if self._told.refused else []

    def turn(self, tick: float) -> list[Wish]:
        """What to say to the broker now, while it is there."""
        if tick >= self._look_due:
            self._look_due = tick + LOOK_EVERY_S
            self._look(tick)
        if self._release is not None and self._again is not None and tick >= self._again:
            self._try(self._release, tick)
        return self._wishes(self._download.steps(tick)) if self._download is not None else []

    def lost(self) -> None:
        """The connection is gone."""
        if self._download is not None:
            self._download.lost()

    def hear(self, topic: str, body: bytes, tick: float) -> list[Wish]:
        """Something came on a topic of updates. Returns what to say to the broker."""
        if topic == self.topic:
            return self._hear_release(body, tick)
        download, release = self._download, self._release
        if download is None or release is None:
            return []
        number = topic.removeprefix(f"{topics.update(self._arch)}/{release.sha256}/")
        if not number.isdecimal() or not download.came(int(number), len(body)):
            return []  # one that was asked for before, or somebody else's
        return self._keep(download, body, tick)

    def _look(self, tick: float) -> None:
        """See what root has done since; tidy away what it has dealt with."""
        told = updates.read_told(self._root_folder)
        if told == self._told:
            return
        self._told = told
        if self._release is not None and self._release.version <= told.number:
            self._forget()
        elif self._signed:
            self._hear_release(self._signed, tick)

    def _hear_release(self, body: bytes, tick: float) -> list[Wish]:
        if not 0 < len(body) <= LONGEST_RELEASE_BYTES:
            return []
        try:
            release = signed_list.read(body, Release, self._authority)
        except SignedListError as error:
            log.warning("a release came that %s; it is left", error)
            return []
        if not self._is_wanted(release):
            return []
        self._release, self._signed, self._download = release, body, None
        self._try(release, tick)
        return []

    def _is_wanted(self, release: Release) -> bool:
        known = self._release.version if self._release is not None else 0
        if release.arch != self._arch or release.version <= max(known, self._told.number):
            return False
        if release.package == VERSION:
            return False
        # A new card has a newer package than the last release: that is no update. What an update in
        # force may be followed by, root knows better.
        return bool(self._told.running) or not _is_older(release.package, VERSION)

    def _try(self, release: Release, tick: float) -> None:
        self._again = None
        try:
            self._begin(release, tick)
        except OSError as error:
            self._disk_refuses(error, tick)

    def _begin(self, release: Release, tick: float) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for other in self._folder.glob("*.part"):
            if other != self._coming:
                other.unlink()
        here = self._folder / PACKAGE
        package = Package(release.version, release.bytes, release.sha256, topics.PART_BYTES)
        if here.exists() and _sha256(here) == release.sha256:
            whole.write(self._folder / RELEASE, self._signed)
            self._download, self._trouble = Download(package, release.bytes, tick), ""
            return
        have = self._coming.stat().st_size if self._coming.exists() else 0
        begin = tick + self._spread_s * self._jitter()
        self._download, self._trouble = Download(package, have, begin), ""
        log.info(
            "release %d, package %s: %d bytes to download, beginning in %.0f s",
            release.version,
            release.package,
            release.bytes - have,
            begin - tick,
        )
        if self._download.is_whole:  # the power went between the last part and its name
            self._finish(release, tick)

    @property
    def _coming(self) -> Path:
        return self._folder / f"{self._release.sha256 if self._release else ''}.part"

    def _keep(self, download: Download, body: bytes, tick: float) -> list[Wish]:
        left = download.package.bytes - download.next * download.package.part_bytes
        try:
            if self._free(self._folder) - left < RESERVE * self._min_free_bytes:
                self._put_off("no room for the update beside the check-ins", tick)
                return []
            self._write(download, body)
            self._trouble = ""
            steps = download.kept(tick)
            if download.is_whole and self._release is not None:
                self._finish(self._release, tick)
        except OSError as error:
            self._disk_refuses(error, tick)
            return []
        return self._wishes(steps)

    def _write(self, download: Download, body: bytes) -> None:
        """Add a part, on disk before the next is asked for: it needn't come a second time."""
        # Not waiting for a reader, should somebody have put a pipe there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        opened = os.open(self._coming, flags, 0o640)
        try:
            at = download.next * download.package.part_bytes
            os.ftruncate(opened, at)  # what a power cut left half
            os.pwrite(opened, body, at)
            os.fsync(opened)
        finally:
            os.close(opened)

    def _finish(self, release: Release, tick: float) -> None:
        """All parts are here: name them whole if they are what was signed."""
        if _sha256(self._coming) != release.sha256:
            self._coming.unlink()
            self._download = Download(
                Package(release.version, release.bytes, release.sha256, topics.PART_BYTES), 0, tick
            )
            self._put_off("what came isn't what was signed; it is downloaded anew", tick)
            return
        self._coming.replace(self._folder / PACKAGE)
        whole.write(self._folder / RELEASE, self._signed)  # last: it says that the package is whole
        log.info("release %d is here; root's updater looks at it", release.version)

    def _disk_refuses(self, error: OSError, tick: float) -> None:
        """Begin once more, later: from what lies there by then, be it nothing, parts or all."""
        self._put_off(f"the update can't be put down: {error.strerror or error}", tick)
        self._again = tick + AGAIN_S

    def _put_off(self, why: str, tick: float) -> None:
        if why != self._trouble:
            log.warning("%s", why)
        self._trouble = why
        if self._download is not None:
            self._download.wait(tick + AGAIN_S)

    def _forget(self) -> None:
        """Root has dealt with it: its bytes are of no more use."""
        self._release, self._download, self._trouble, self._again = None, None, "", None
        try:
            for file in (self._folder / RELEASE, self._folder / PACKAGE):
                file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("an update that was dealt with can't be removed: %s", error)

    def _wishes(self, steps: list[Step]) -> list[Wish]:
        if self._release is None:
            return []
        release = self._release
        return [
            (Read if isinstance(step, Ask) else Leave)(
                topics.update_part(self._arch, release.sha256, step.part)
            )
            for step in steps
        ]


def _is_older(version: str, than: str) -> bool:
    """Whether `version` is a lower one, as far as numbers tell; else root asks dpkg."""
    one, other = version.split("."), than.split(".")
    if not all(part.isdecimal() for part in (*one, *other)):
        return False
    return [int(part) for part in one] < [int(part) for part in other]


def _sha256(file: Path) -> str:
    """Raises `OSError`."""
    try:
        opened = updates.descriptor(file)
    except UpdateError:
        return ""
    with os.fdopen(opened, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
