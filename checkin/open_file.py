"""Whether an open SQLite file is still the one that lies in its folder.

A file that is moved or deleted under a running program goes on taking writes, which nobody will
ever find again. In WAL mode the newest rows lie in the file beside it, so both are watched.
"""

import os
from pathlib import Path


class OpenFile:
    """The inodes of a database and its write-ahead log, as they were first seen."""

    def __init__(self, path: Path) -> None:
        self._folder = str(path.parent)
        self._names = (path.name, path.name + "-wal")
        self._inodes: list[int | None] = [None, None]
        self.is_current()

    def is_current(self) -> bool:
        """Whether each part that was ever there still is, and is the same."""
        inodes = self._found()
        for number, inode in enumerate(inodes):
            known = self._inodes[number]
            if known is None:
                self._inodes[number] = inode  # SQLite makes the log with the first access
            elif inode != known:
                return False
        return self._inodes[0] is not None

    def _found(self) -> list[int | None]:
        """The inodes as the folder lists them.

        Not by `stat`: since Linux 6.13 the first write after a `stat` gets a finer time of change,
        and the flush of a check-in took half as long again (docs/performance.md).
        """
        inodes: list[int | None] = [None, None]
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name in self._names:
                        inodes[self._names.index(entry.name)] = entry.inode()
        except OSError:
            return [None, None]
        return inodes
