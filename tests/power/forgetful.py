"""A disk in memory that forgets, at a cut of the power, what was never flushed.

    python -m tests.power.forgetful MOUNT CONTROL SEED

Flushing a file makes its content last, flushing the folder the names in it; of the rest chance
decides, sector by sector, as it does where a disk writes its cache in an order of its own. One
folder, no links. CONTROL becomes a unix socket: each connection sends one command (`Disk.obey`)
and gets `done`. Whoever cuts kills the programs on the disk first, as the power does; or lets the
disk `stop` first, at a certain step of theirs, after which nothing can be promised any more.
"""

import errno
import math
import os
import random
import socket
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

# A drive writes this much or nothing of it; SQLite relies on no more.
SECTOR_BYTES = 512

# Of a file's unflushed sectors. A coin for each alone would never show a disk that had written
# nearly all, or nearly none.
SHARES_THAT_SURVIVE = (0.0, 0.05, 0.5, 0.95, 1.0)

BLOCK_BYTES = 4096
BLOCKS = 1 << 18


class File:
    """`now` is what programs read and write, `kept` what the disk would still have."""

    def __init__(self, number, mode):
        self.number, self.mode = number, mode
        self.now, self.kept = bytearray(), bytearray()
        self.unflushed = set()  # sectors

    def write(self, data, at):
        end = at + len(data)
        self.resize(max(end, len(self.now)))
        self.now[at:end] = data
        self.unflushed.update(_sectors(at, end))

    def resize(self, size):
        self.unflushed.update(_sectors(len(self.now), size))
        _resize(self.now, size)

    def flush(self):
        _resize(self.kept, len(self.now))
        self._keep(self.unflushed)
        self.unflushed.clear()

    def cut(self, chance):
        """Become what a disk might have after the cut: it wrote some of what it wasn't told to."""
        sizes = sorted((len(self.kept), len(self.now)))
        size = chance.choice((*sizes, chance.randint(*sizes)))
        share = chance.choice(SHARES_THAT_SURVIVE)
        _resize(self.kept, size)
        self._keep(sector for sector in sorted(self.unflushed) if chance.random() < share)
        self.now = bytearray(self.kept)
        self.unflushed.clear()

    def _keep(self, sectors):
        size = min(len(self.kept), len(self.now))
        for sector in sectors:
            begin = sector * SECTOR_BYTES
            end = min(begin + SECTOR_BYTES, size)
            if begin < end:
                self.kept[begin:end] = self.now[begin:end]


def _sectors(begin, end):
    return range(begin // SECTOR_BYTES, -(-end // SECTOR_BYTES))


def _resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


class Disk:
    """The file system's operations, by the names that libfuse calls them."""

    use_ns = True  # what mfusepy is to give times in; it complains where nothing is said

    def __init__(self, seed):
        self._chance = random.Random(seed)
        self._busy = threading.Lock()
        self._made = 1
        self._full = self._read_only = False
        self._steps_left = math.inf  # writes, flushes, changes of names
        # The names as they were after each change since the folder was flushed; the last is now.
        # A cut goes back to one of them, and never to a mixture: file systems journal names.
        self._names = [{}]

    def obey(self, command):
        with self._busy:
            match command.split():
                case ["cut"]:
                    self._cut()
                case ["stop", steps]:
                    self._steps_left = int(steps)
                case ["full" | "room"]:
                    self._full = command == "full"
                case ["readonly" | "writable"]:
                    self._read_only = command == "readonly"
                case _:
                    raise ValueError(command)

    def _cut(self):
        self._steps_left = math.inf
        self._names = [self._chance.choice(self._names)]
        for file in self._names[0].values():
            file.cut(self._chance)

    @contextmanager
    def _step(self):
        with self._busy:
            if self._steps_left == 0:
                raise OSError(errno.EIO, "stopped")
            self._steps_left -= 1
            yield

    @contextmanager
    def _changing(self, *, takes_room=False):
        with self._step():
            if self._read_only:
                raise OSError(errno.EROFS, "read-only")
            if takes_room and self._full:
                raise OSError(errno.ENOSPC, "full")
            yield

    def _file(self, path):
        try:
            return self._names[-1][path]
        except KeyError:
            raise OSError(errno.ENOENT, path) from None

    def getattr(self, path, fh=None):
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2, "st_ino": 1} | owner
        file = self._file(path)
        size = len(file.now)
        return {
            "st_mode": file.mode, "st_nlink": 1, "st_ino": file.number, "st_size": size,
        } | owner  # fmt: skip

    def readdir(self, path, fh):
        yield from (".", "..")
        for name, file in self._names[-1].items():
            yield name[1:], {"st_ino": file.number}, 0

    def create(self, path, mode):
        with self._changing(takes_room=True):
            self._made += 1
            file = File(self._made, stat.S_IFREG | stat.S_IMODE(mode))
            self._names.append(self._names[-1] | {path: file})
        return 0

    def open(self, path, flags):
        self._file(path)
        return 0

    def read(self, path, size, offset, fh):
        return bytes(self._file(path).now[offset : offset + size])

    def write(self, path, data, offset, fh):
        with self._changing(takes_room=True):
            self._file(path).write(data, offset)
        return len(data)

    def truncate(self, path, length, fh=None):
        with self._changing():
            self._file(path).resize(length)

    def fsync(self, path, datasync, fh):
        with self._step():
            self._file(path).flush()

    def fsyncdir(self, path, datasync, fh):
        with self._step():
            del self._names[:-1]

    def unlink(self, path):
        with self._changing():
            self._file(path)
            self._names.append({name: f for name, f in self._names[-1].items() if name != path})

    def rename(self, old, new):
        with self._changing():
            moved = self._file(old)
            others = {name: f for name, f in self._names[-1].items() if name != old}
            self._names.append(others | {new: moved})

    def chmod(self, path, mode):
        with self._changing():
            self._file(path).mode = stat.S_IFREG | stat.S_IMODE(mode)

    def chown(self, path, uid, gid):
        pass  # everything belongs to whoever mounted

    def utimens(self, path, times=None):
        pass  # there are no times

    def statfs(self, path):
        free = 0 if self._full else BLOCKS // 2
        return {
            "f_bsize": BLOCK_BYTES, "f_frsize": BLOCK_BYTES, "f_blocks": BLOCKS, "f_bfree": free,
            "f_bavail": free, "f_namemax": 255,
        }  # fmt: skip


def _listen(disk, control):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(control))
        listening.listen()
        while True:
            asking, _ = listening.accept()
            with asking:
                disk.obey(asking.recv(64).decode())
                asking.sendall(b"done")


def main(mount, control, seed):
    import mfusepy  # it looks for libfuse when it is imported

    disk = Disk(int(seed))
    threading.Thread(target=_listen, args=(disk, Path(control)), daemon=True).start()
    # The kernel is to remember nothing of a file: the cut happens behind its back.
    mfusepy.FUSE(
        disk, mount, foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0, use_ino=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
