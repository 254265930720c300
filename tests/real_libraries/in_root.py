"""Run a command inside a Debian root that nobody changes; `python -m tests.real_libraries.in_root`.

The root is the lower layer of an overlay whose upper one is memory, and all of it lies in a mount
namespace of its own: whatever the command writes is gone with it. This process becomes the
command, so that its id is the command's own.
"""

import argparse
import ctypes
import os
import sys
from pathlib import Path

# linux/mount.h and linux/sched.h; Python's own `os.unshare` came with 3.12, a mount never.
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CLONE_NEWNS = 0x00020000
PR_SET_PDEATHSIG = 1
SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("root", type=Path)
    said.add_argument("workshop", type=Path, help="an empty folder, for the mounts")
    for option, what in (("--show", "read-only"), ("--share", "writable")):
        said.add_argument(option, action="append", default=[], metavar="OURS:THEIRS", help=what)
    said.add_argument("command", nargs=argparse.REMAINDER)
    wanted = said.parse_args()
    _called(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl")
    _called(_libc.unshare(CLONE_NEWNS), "unshare")
    root = _overlay(wanted.root.resolve(), wanted.workshop.resolve())
    for pairs, flags in ((wanted.show, MS_RDONLY), (wanted.share, 0)):
        for pair in pairs:
            ours, _, theirs = pair.rpartition(":")
            _bind(Path(ours).resolve(), root / theirs.lstrip("/"), flags)
    os.chroot(root)
    os.chdir("/")
    os.execvp(wanted.command[0], wanted.command)  # noqa: S606  a list, and nobody else's


def _overlay(lower: Path, workshop: Path) -> Path:
    """Make `lower` seen at the folder returned, writable and forgetful."""
    # Nothing here may be seen outside. Inside a chroot that is no mount point this can't be said
    # of "/"; then it is said of the one mount that all others lie under, and that one stays.
    mount("", "/", "", MS_REC | MS_PRIVATE, "", must=False)
    mount("tmpfs", workshop, "tmpfs", 0, "mode=755")
    mount("", workshop, "", MS_PRIVATE, "")
    upper, work, root = (workshop / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")
    mount("proc", root / "proc", "proc", 0, "")
    return root


def _bind(ours: Path, theirs: Path, flags: int) -> None:
    """Make our folder or file seen in the root."""
    if ours.is_dir():
        theirs.mkdir(parents=True, exist_ok=True)
    else:
        theirs.parent.mkdir(parents=True, exist_ok=True)
        theirs.touch()
    mount(str(ours), theirs, "", MS_BIND, "")
    # Linux takes the flags of a bind mount in a second call only.
    mount("", theirs, "", MS_REMOUNT | MS_BIND | flags, "")


def mount(source: str, target: Path | str, kind: str, flags: int, data: str, *, must=True) -> None:
    words = (word.encode() for word in (source, str(target), kind))
    done = _libc.mount(*words, ctypes.c_ulong(flags), data.encode())
    if must:
        _called(done, f"mount {kind or source} at {target}")


def _called(done: int, what: str) -> None:
    if done:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main())
