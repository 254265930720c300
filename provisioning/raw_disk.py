"""A disk as bytes at places: opened for nobody else, flushed, and read past every cache.

What was just written is in this machine's memory, and a read answers from there: a broken card
would look whole. So reading back goes around the caches (O_DIRECT), or after they were dropped.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checkin.words import _, of_system

# linux/fs.h: _IO(0x12, 95), read the partition table again; _IO(0x12, 97), drop the buffers.
BLKRRPART = 0x125F
BLKFLSBUF = 0x1261

# What O_DIRECT wants of places and lengths; no disk has larger blocks.
BLOCK_BYTES = 4096


class RawDiskError(OSError):
    """The disk can't be opened, read or written; the message says which and what to do."""


class RawDisk:
    """An open disk, or a file in its stead. Made by `opened`."""

    def __init__(self, device: Path, file: int, direct: int | None) -> None:
        self._device = device
        self._file = file
        self._direct = direct

    def write_at(self, place: int, content: bytes) -> None:
        try:
            left = memoryview(content)
            while left:
                done = os.pwrite(self._file, left, place)
                left, place = left[done:], place + done
        except OSError as error:
            raise self._error(
                _("can't be written at byte {place}").format(place=place), error
            ) from error

    def read_at(self, place: int, length: int) -> bytes:
        try:
            if self._direct is not None and place % BLOCK_BYTES == length % BLOCK_BYTES == 0:
                return _read_directly(self._direct, place, length)
            return os.pread(self._file, length, place)
        except OSError as error:
            raise self._error(
                _("can't be read at byte {place}").format(place=place), error
            ) from error

    def flush(self) -> None:
        """Return when all that was written is on the disk; then forget it, so that it is read."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._error(_("can't be flushed"), error) from error
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        self._ask(BLKFLSBUF)

    def show_partitions(self) -> None:
        """Let the kernel look at the new table, where this is a disk and it will."""
        self._ask(BLKRRPART)

    def _ask(self, request: int) -> None:
        # An ordinary file knows neither, and some readers refuse.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._file, request)

    def _error(self, what: str, error: OSError) -> RawDiskError:
        # Of a card it means that the card is smaller than it says.
        in_a_file = stat.S_ISREG(os.fstat(self._file).st_mode)
        if in_a_file and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return RawDiskError(
                _("{device}: {what} ({why}); make room there").format(
                    device=self._device, what=what, why=of_system(error)
                )
            )
        return RawDiskError(
            _(
                "{device}: {what} ({why}): the card or its reader is broken, or was pulled "
                "out; try another"
            ).format(device=self._device, what=what, why=of_system(error))
        )


@contextmanager
def opened(device: Path) -> Iterator[RawDisk]:
    """`device`, for nobody else: the kernel refuses what is mounted, and mounts it for nobody."""
    try:
        # O_EXCL without O_CREAT claims a block device (open(2)); a plain file doesn't mind.
        file = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except PermissionError as error:
        raise RawDiskError(
            _(
                '{device}: may be written by root only; sudo "$(command -v vaora-provision)" '
                "flash …"
            ).format(device=device)
        ) from error
    except OSError as error:
        raise RawDiskError(
            _(
                "{device}: can't be opened alone ({why}); is it mounted, or does another "
                "program write to it?"
            ).format(device=device, why=of_system(error))
        ) from error
    direct = _opened_directly(device)
    try:
        yield RawDisk(device, file, direct)
    finally:
        os.close(file)
        if direct is not None:
            os.close(direct)


def _opened_directly(device: Path) -> int | None:
    """The disk once more, without caches; None where its filesystem can't."""
    try:
        return os.open(device, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def _read_directly(file: int, place: int, length: int) -> bytes:
    with mmap.mmap(-1, length) as memory:  # begins at a page, as O_DIRECT wants
        done = 0
        while done < length:
            with memoryview(memory) as whole, whole[done:] as rest:
                got = os.preadv(file, [rest], place + done)
            if not got:
                break
            done += got
        return memory[:done]
