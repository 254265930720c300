"""Where package updates lie, and what root's updater says of them to the daemon.

The daemon downloads and judges nothing; root's updater judges and has no network. Between them are
two files that the daemon puts down in its own folder, and one that root puts down in its own.
"""

import os
import platform
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

# Root's folder: only root writes here, since what lies here is run.
ROOT_FOLDER = Path("/var/lib/vaora-updates")
TOLD = "told.json"

# The daemon's, inside `data_dir`: the signed release as it came, and the package when it is whole.
ARRIVED_FOLDER = "update"
RELEASE = "release"
PACKAGE = "package.deb"

LONGEST_RELEASE_BYTES = 16_384
LONGEST_TOLD_BYTES = 16_384

# What a state message has room for.
LONGEST_WORDS = 200

Words = Annotated[str, Meta(max_length=LONGEST_WORDS)]


# What Debian calls the machines that there are packages for (uname(1)).
ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}


class UpdateError(OSError):
    """An update's file can't be read or isn't what it should be; the message says why."""


class Told(msgspec.Struct, frozen=True):
    """What the daemon and a technician know of updates.

    `number` is that of the newest release that was taken or refused: no lower one is wanted any
    more. `running` is the version of the update in force, empty where it is the package's own.
    """

    number: int = 0
    running: Words = ""
    trial: Words = ""
    refused: Words = ""
    why: Words = ""

    def in_words(self) -> str:
        """For the state message; empty where nothing is going on."""
        if self.trial:
            return f"on trial {self.trial}"
        if self.refused:
            return f"refused {self.refused}: {self.why}"[:LONGEST_WORDS]
        return ""


def architecture() -> str:
    """What Debian names this machine; empty where there is no package for it."""
    return ARCHITECTURES.get(platform.machine(), "")


def read_told(folder: Path = ROOT_FOLDER) -> Told:
    """What root said last; of a file that isn't there or can't be read: nothing."""
    try:
        return msgspec.json.decode(read(folder / TOLD, LONGEST_TOLD_BYTES), type=Told)
    except (UpdateError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told()


def read(file: Path, most_bytes: int) -> bytes:
    """All of an ordinary file, never a link's target or a pipe's. Raises `UpdateError`."""
    with os.fdopen(descriptor(file), "rb") as opened:
        found = opened.read(most_bytes + 1)
    if len(found) > most_bytes:
        raise UpdateError(f"{file}: longer than {most_bytes} bytes")
    return found


def descriptor(file: Path) -> int:
    """`file`, opened to be read: an ordinary file and nothing that leads elsewhere.

    Whoever may write in its folder might have put a link or a pipe there. Raises `UpdateError`.
    """
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UpdateError(f"{file}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise UpdateError(f"{file}: no ordinary file")
    return opened
