"""Files that are there whole or not at all, whenever the power goes."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write(file: Path, content: bytes, mode: int = 0o640) -> None:
    """Put `content` in the place of `file`, on disk when this returns. Raises `OSError`.

    By a name that nobody knows before: in a folder that is shared, what lies under a known one
    might be a link to where only we may write.
    """
    beside = _beside(file, content, mode)
    try:
        beside.replace(file)
        flush_folder(file.parent)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_new(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Make `file`, which must not be there yet. Raises `FileExistsError`, `OSError`.

    For keys: one that is there is never written over.
    """
    beside = _beside(file, content, mode)
    try:
        os.link(beside, file)  # unlike a rename it fails where there is something
        flush_folder(file.parent)
    finally:
        beside.unlink(missing_ok=True)


def remove(file: Path) -> None:
    """Take `file` away, if it is there; gone from the disk when this returns. Raises `OSError`."""
    file.unlink(missing_ok=True)
    flush_folder(file.parent)


def flush_folder(folder: Path) -> None:
    """Return when the names in `folder` are on disk as they are now. Raises `OSError`."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def mark(file: Path) -> tuple[int, int] | None:
    """What changes when `file` is replaced; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _beside(file: Path, content: bytes, mode: int) -> Path:
    opened, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with open(opened, "wb") as out:  # noqa: PTH123  a descriptor
            out.write(content)
            out.flush()
            os.fchmod(opened, mode)
            os.fsync(opened)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)
