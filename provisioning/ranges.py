"""Which bytes of an image mean something: they are copied, written and read back, and no others.

Two different questions. A *copy* of a file may leave out its holes: the copy has zeros there too.
A *card* holds what it held before, so a hole must be written as the zeros it stands for, wherever
a filesystem might look: only what lies behind the end of root's filesystem, kept free for it to
grow into, says nothing to anybody.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 4 * 1024 * 1024

# ext4's superblock (kernel: fs/ext4/ext4.h): 1,024 bytes in, its magic 56 bytes into it.
SUPERBLOCK_AT = 1024
SUPERBLOCK_BYTES = 1024
EXT4_MAGIC = 0xEF53
BLOCKS_LOW = 4
LOG_BLOCK = 24
MAGIC = 56
BLOCKS_HIGH = 336
HAS_64_BIT_AT = 96
HAS_64_BIT = 0x80

# Behind the end of the filesystem a little is written too: no remnant of an older one begins there.
MARGIN_BYTES = CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes from `begin` up to, not including, `end`."""

    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


def chunks(ranges: Sequence[Range]) -> Iterator[Range]:
    """The same bytes, in pieces of at most `CHUNK_BYTES`."""
    for each in ranges:
        for begin in range(each.begin, each.end, CHUNK_BYTES):
            yield Range(begin, min(begin + CHUNK_BYTES, each.end))


def meaningful(file: Path, partitions: Sequence[Range]) -> list[Range]:
    """What of the image in `file` must be on a card: all but the room that root grows into."""
    found, at = [], 0
    for partition in partitions:
        used = filesystem_bytes(file, partition.begin)
        if used is not None and used + MARGIN_BYTES < len(partition):
            found.append(Range(at, partition.begin + used + MARGIN_BYTES))
            at = partition.end
    return [*found, Range(at, file.stat().st_size)]


def filesystem_bytes(file: Path, at: int) -> int | None:
    """How long the ext4 filesystem is that begins at byte `at`; None where there is none."""
    with file.open("rb") as opened:
        opened.seek(at + SUPERBLOCK_AT)
        block = opened.read(SUPERBLOCK_BYTES)
    if len(block) < SUPERBLOCK_BYTES:
        return None
    (magic,) = struct.unpack_from("<H", block, MAGIC)
    if magic != EXT4_MAGIC:
        return None
    (blocks,) = struct.unpack_from("<I", block, BLOCKS_LOW)
    (log_block,) = struct.unpack_from("<I", block, LOG_BLOCK)
    (features,) = struct.unpack_from("<I", block, HAS_64_BIT_AT)
    if features & HAS_64_BIT:
        (high,) = struct.unpack_from("<I", block, BLOCKS_HIGH)
        blocks |= high << 32
    length: int = blocks << (10 + log_block)
    return length


def data(file: Path) -> Iterator[Range]:
    """Where `file` holds data, and not a hole of its filesystem."""
    end = file.stat().st_size
    with file.open("rb") as opened:
        at = 0
        while at < end:
            try:
                begin = os.lseek(opened.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole up to the end
                return
            at = os.lseek(opened.fileno(), begin, os.SEEK_HOLE)
            yield Range(begin, at)


def digest(file: Path) -> str:
    """A checksum of `file`, in which what is zero costs nothing.

    SHA-256 over place and SHA-256 of each `CHUNK_BYTES` that aren't all zero, and the length: of an
    image of 6 GB half is a hole, and a laptop takes half a minute for what `sha256sum` says of it.
    Holes or written zeros give the same.
    """
    whole, length = hashlib.sha256(), file.stat().st_size
    with file.open("rb") as opened:
        for begin in _places_of_data(file):
            opened.seek(begin)
            content = opened.read(CHUNK_BYTES)
            if content.count(0) != len(content):
                whole.update(begin.to_bytes(8, "big") + hashlib.sha256(content).digest())
    whole.update(length.to_bytes(8, "big"))
    return whole.hexdigest()


def _places_of_data(file: Path) -> Iterator[int]:
    """Where each chunk of `file` begins that isn't a hole alone."""
    following = 0
    for each in data(file):
        first = each.begin - each.begin % CHUNK_BYTES
        for begin in range(max(first, following), each.end, CHUNK_BYTES):
            yield begin
            following = begin + CHUNK_BYTES


def copy(source: Path, into: Path, *, at: int = 0) -> None:
    """Put `source` into the file `into` from its byte `at` on; a hole stays what is there.

    So a new file gets the same holes, and what is put into a hole may be full of them too.
    """
    with source.open("rb") as read, into.open("r+b") as written:
        for each in data(source):
            _copy(read.fileno(), written.fileno(), each, at)


def _copy(source: int, into: int, what: Range, at: int) -> None:
    begin = what.begin
    while begin < what.end:
        done = _some(source, into, begin, at + begin, what.end - begin)
        if not done:
            return
        begin += done


def _some(source: int, into: int, begin: int, place: int, length: int) -> int:
    """The kernel copies, without a turn through this program; some filesystems only point."""
    try:
        return os.copy_file_range(source, into, length, begin, place)
    except OSError as error:
        # Between filesystems it won't, nor within some.
        if error.errno not in {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
    return os.pwrite(into, os.pread(source, min(length, CHUNK_BYTES), begin), place)


def copy_out(source: Path, what: Range, into: Path) -> None:
    """Put the bytes `what` of `source` into a new file `into`, which has holes where they have."""
    with source.open("rb") as read, into.open("xb") as written:
        written.truncate(len(what))
        for each in data(source):
            begin, end = max(each.begin, what.begin), min(each.end, what.end)
            if begin < end:
                _copy(read.fileno(), written.fileno(), Range(begin, end), -what.begin)
