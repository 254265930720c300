"""Write an image to a card, and read all of it back before anybody relies on it.

The first bytes, which hold the partition table, are written last: a card whose writing was cut has
none, and looks as empty as it should.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from checkin.words import _
from provisioning import ranges
from provisioning.ranges import Range

HEAD_BYTES = 1024 * 1024

# Flushed this often, so that the progress shown is the card's, not that of this machine's memory.
FLUSH_EVERY = 16

# Places behind the image that are marked and looked at again, spread evenly: a counterfeit has a
# real size of a half to a sixteenth of what it says, and loses or misplaces most of them.
PROBES = 128
PROBE_BYTES = 4096

Progress = Callable[[int], None]


class Disk(Protocol):
    def write_at(self, place: int, content: bytes) -> None: ...
    def read_at(self, place: int, length: int) -> bytes: ...
    def flush(self) -> None: ...


class FlashError(ValueError):
    """The card isn't what it says, or gives back something else; the message says where."""


def probe(disk: Disk, image_bytes: int, disk_bytes: int, nonce: bytes) -> None:
    """See whether `disk` has all that it says, behind the image. Raises `FlashError`.

    What lies there is nobody's yet: first boot makes the data partition of it, for the outbox.
    """
    for place in places(image_bytes, disk_bytes):
        disk.write_at(place, _mark(nonce, place))
    disk.flush()
    look_again(disk, image_bytes, disk_bytes, nonce)


def look_again(disk: Disk, image_bytes: int, disk_bytes: int, nonce: bytes) -> None:
    """See whether the marks of `probe` are still there. Raises `FlashError`.

    Once more behind the image: of a card that goes round in circles it may have taken their place.
    """
    for place in places(image_bytes, disk_bytes):
        if disk.read_at(place, PROBE_BYTES) != _mark(nonce, place):
            raise FlashError(
                _(
                    "this card says it holds {disk_bytes:.1f} GB, but forgets what is written "
                    "at {place:.1f} GB: it is broken or counterfeit; throw it away and take "
                    "another"
                ).format(disk_bytes=disk_bytes / 10**9, place=place / 10**9)
            )


def places(image_bytes: int, disk_bytes: int) -> list[int]:
    """Where behind the image a card is asked whether it has what it says.

    Evenly to the last block, for a card that loses what is written; and as far behind the first of
    them as each power of two, for one that has so many bytes and begins from the front again: its
    controller leaves out the upper bits of a place.
    """
    begin = -(-image_bytes // PROBE_BYTES) * PROBE_BYTES
    last = disk_bytes // PROBE_BYTES * PROBE_BYTES - PROBE_BYTES
    if last < begin:
        return []
    blocks = (last - begin) // PROBE_BYTES
    even = {begin + blocks * n // PROBES * PROBE_BYTES for n in range(PROBES + 1)}
    round_again = {begin + (1 << n) for n in range(12, 48) if begin + (1 << n) <= last}
    return sorted(even | round_again)


def put(
    image: Path,
    what: Sequence[Range],
    disk: Disk,
    *,
    disk_bytes: int,
    nonce: bytes,
    progress: Progress,
) -> None:
    """Write the bytes `what` of `image` to `disk` and read them back. Raises `FlashError`.

    `progress` is told the bytes that were done, each twice: written, and read.
    """
    image_bytes = image.stat().st_size
    head = Range(0, HEAD_BYTES)
    rest = [Range(max(each.begin, HEAD_BYTES), each.end) for each in what if each.end > HEAD_BYTES]
    with image.open("rb") as source:

        def content(piece: Range) -> bytes:
            source.seek(piece.begin)
            return source.read(len(piece))

        disk.write_at(0, bytes(HEAD_BYTES))
        probe(disk, image_bytes, disk_bytes, nonce)
        for part in (rest, [head]):
            _write(part, content, disk, progress)
            _compare(part, content, disk, progress)
            look_again(disk, image_bytes, disk_bytes, nonce)


def _write(
    part: Sequence[Range], content: Callable[[Range], bytes], disk: Disk, progress: Progress
) -> None:
    waiting = 0
    for number, piece in enumerate(ranges.chunks(part), start=1):
        disk.write_at(piece.begin, content(piece))
        waiting += len(piece)
        if number % FLUSH_EVERY == 0:
            disk.flush()
            progress(waiting)
            waiting = 0
    disk.flush()
    progress(waiting)


def _compare(
    part: Sequence[Range], content: Callable[[Range], bytes], disk: Disk, progress: Progress
) -> None:
    for piece in ranges.chunks(part):
        if disk.read_at(piece.begin, len(piece)) != content(piece):
            raise FlashError(
                _(
                    "this card gives back other bytes than it was given, at {begin:.1f} GB: it "
                    "is broken or counterfeit; throw it away and take another"
                ).format(begin=piece.begin / 10**9)
            )
        progress(len(piece))


def _mark(nonce: bytes, place: int) -> bytes:
    """What only this place can hold, so that a card that goes round in circles shows."""
    once = hashlib.sha256(nonce + place.to_bytes(8, "big")).digest()
    return once * (PROBE_BYTES // len(once))
