"""Whether an open SQLite file is still the one that lies in its folder.

A file that is moved or deleted under a running program goes on taking writes, which nobody will
ever find again. In WAL mode the newest rows lie in the file beside it, so both are watched.
"""

from pathlib import Path


class OpenFile:
    """The inodes of a database and its write-ahead log, as they were first seen."""

    def __init__(self, path: Path) -> None:
        self._parts = (path, path.with_name(path.name + "-wal"))
        self._inodes: list[int | None] = [None, None]
        self.is_current()

    def is_current(self) -> bool:
        """Whether each part that was ever there still is, and is the same."""
        for number, part in enumerate(self._parts):
            try:
                inode = part.stat().st_ino
            except OSError:
                inode = None
            known = self._inodes[number]
            if known is None:
                self._inodes[number] = inode  # SQLite makes the log with the first access
            elif inode != known:
                return False
        return self._inodes[0] is not None
