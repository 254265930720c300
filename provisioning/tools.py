"""The programs of other people that make images: looked for where they lie, and run.

None of them needs root or a block device: each is given a plain file. They belong to Debian and
Ubuntu; where one is missing the error names the package.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from checkin.words import _

# Most of them are the administrator's, whose folder isn't on everybody's path.
PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

# The package that brings each, for whoever misses it.
PACKAGES = {
    "sfdisk": "fdisk",
    "mcopy": "mtools",
    "mdel": "mtools",
    "mdir": "mtools",
    "mmd": "mtools",
    "minfo": "mtools",
    "debugfs": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "fsck.fat": "dosfstools",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}

# The longest is apt's download of a hundred packages over a slow line.
LONGEST_S = 1800

# Their last words, which say what went wrong; a whole log helps nobody.
LAST_WORDS = 600


class ToolError(OSError):
    """A program is missing or failed; the message has its last words, or the package to install.

    `output` is what it said beside its errors.
    """

    output = ""


def find(name: str) -> str | None:
    """Where the program `name` lies, if it is installed."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))


def run(name: str, *words: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What the program says. Raises `ToolError` where it is missing or ends with an error."""
    program = find(name)
    if program is None:
        package = PACKAGES.get(name, name)
        raise ToolError(
            _("{name} isn't installed; install it: sudo apt install {package}").format(
                name=name, package=package
            )
        )
    return _done([program, *words], given, {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})


def _done(command: Sequence[str], given: bytes, env: Mapping[str, str]) -> bytes:
    name = os.path.basename(command[0])  # noqa: PTH119  a word of a command, no path of ours
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, input=given, env=env, timeout=LONGEST_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{name}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        failed = ToolError(
            _("{name} ended with {returncode}: {said}").format(
                name=name, returncode=done.returncode, said=said[-LAST_WORDS:]
            )
        )
        failed.output = done.stdout.decode("utf-8", "replace")
        raise failed
    return done.stdout
