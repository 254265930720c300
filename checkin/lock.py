"""One process of a kind at a time: two kiosks on one outbox would record each visitor twice."""

import fcntl
import os
from pathlib import Path


class AlreadyRunningError(OSError):
    """Another process of the same kind holds the lock, or it can't be asked for."""


def hold(file: Path, program: str) -> int:
    """Hold the lock in `file` until this process ends, however it ends; return its descriptor."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        hint = "run it with sudo, or as a member of the group vaora"
        raise AlreadyRunningError(f"{file}: {error.strerror}; {hint}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AlreadyRunningError(
            f"another {program} runs with these settings; stop it first: systemctl stop {program}"
        ) from error
    return descriptor
