"""The file by which a backlog travels on a USB stick, for a kiosk that never meets a network.

JSON Lines, UTF-8: a head, one event a line as the door wrote it (personal fields stay sealed), and
a foot with the number of events and their SHA-256, so that a copy that broke off is known.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from checkin.event import LONGEST_EVENT_BYTES, Name

# A head names the clocks of at most so many boots; a million-row outbox has a few.
MOST_ANCHORS = 10_000
LONGEST_HEAD_BYTES = 2_000_000


MOST_GONE = 100_000

Seq = Annotated[int, Meta(ge=1, le=2**62)]


class StickError(ValueError):
    """The file isn't what `write` wrote, or can't be read or written; the message says why."""


class Anchor(msgspec.Struct, frozen=True):
    """As in a kiosk's state: at second `tick_s` of `boot` it was `at`, give or take `error_s`."""

    boot: Name
    tick_s: Annotated[float, Meta(ge=0, le=10**10)]
    at: Annotated[datetime, Meta(tz=True)]
    error_s: Annotated[float, Meta(ge=0, le=10**6)]


class Head(msgspec.Struct, frozen=True):
    """`gone` are ranges that the kiosk can't send any more: spoilt by its disk, or refused."""

    checkpoint: Name
    kiosk: Name
    outbox: Name
    anchors: Annotated[list[Anchor], Meta(max_length=MOST_ANCHORS)] = []
    gone: Annotated[list[tuple[Seq, Seq]], Meta(max_length=MOST_GONE)] = []
    format: Literal["vaora-backlog-1"] = "vaora-backlog-1"


def is_one(begin: bytes) -> bool:
    """Whether a file that begins so is a backlog file."""
    return begin.startswith(b'{"checkpoint":')


class _Foot(msgspec.Struct, frozen=True):
    count: int
    sha256: str


_heads = msgspec.json.Decoder(Head)
_feet = msgspec.json.Decoder(_Foot)


def write(file: Path, head: Head, events: Iterable[bytes]) -> int:
    """Write the file whole and flush it; return how many events. Raises `StickError`.

    Under another name until it is complete: who pulls the stick out too early finds no file.
    """
    beside = file.with_name(file.name + ".part")
    count, digest = 0, hashlib.sha256()
    try:
        with beside.open("wb") as out:
            out.write(msgspec.json.encode(head) + b"\n")
            for event in events:
                out.write(event + b"\n")
                digest.update(event + b"\n")
                count += 1
            out.write(msgspec.json.encode(_Foot(count, digest.hexdigest())) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):  # on a stick that was pulled out nothing can be done
            beside.unlink(missing_ok=True)
        raise StickError(
            f"{file}: {error.strerror}; is the stick full or write-protected?"
        ) from error
    return count


class Reader:
    """A backlog file, read line by line, once its foot has said that all of it is as written."""

    def __init__(self, file: Path) -> None:
        """Raises `StickError` where `file` isn't one, breaks off, or was changed on the way.

        Of such a file nothing is taken: a letter that a bad stick changed can't be told from a
        true one, and whoever wrote the file still has what was in it.
        """
        self._complete = False
        self._file = file
        try:
            with file.open("rb") as opened:
                line = opened.readline(LONGEST_HEAD_BYTES)
        except OSError as error:
            raise StickError(f"{file}: {error.strerror}") from error
        try:
            self.head = _heads.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StickError(
                f"{file}: neither `vaora-sync export` nor `vaora-sync recover` wrote this ({error})"
            ) from error
        self._begin = len(line)
        for _ in self.events():
            pass
        if not self._complete:
            raise StickError(
                f"{file}: breaks off, or was changed on the way; nothing was taken. Copy it "
                "again, or export again"
            )

    def events(self) -> Iterator[bytes]:
        """The events, as the door wrote them. Raises `StickError` where it can't be read."""
        count, digest = 0, hashlib.sha256()
        try:
            with self._file.open("rb") as opened:
                opened.seek(self._begin)
                while line := opened.readline(LONGEST_EVENT_BYTES + 1):
                    if line.startswith(b'{"count":'):
                        self._complete = self._is_foot(line, count, digest.hexdigest())
                        return
                    if not line.endswith(b"\n"):
                        return  # broken off, or no event of ours
                    digest.update(line)
                    count += 1
                    yield line[:-1]
        except OSError as error:
            raise StickError(f"{self._file}: {error.strerror}") from error

    @staticmethod
    def _is_foot(line: bytes, count: int, digest: str) -> bool:
        try:
            return _feet.decode(line) == _Foot(count, digest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
