"""What the bench is made of, made once and kept in build/: the shims, lgpio, picamera2."""

import hashlib
import os
import sys
import sysconfig
import tomllib
from pathlib import Path

from tests.debian_root import (
    APPLIANCE_PACKAGES,
    BUILD,
    RootError,
    debian,
    kept,
    may_mount,
    pip,
    python_packages,
    run,
)

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MADE = BUILD / "real_libraries"

# On a Pi lgpio is Debian's and Raspberry Pi's python3-lgpio, of the same upstream version.
LGPIO = "lgpio==0.2.2.0"

# picamera2 and what it can't be imported without. What it wants besides (video codecs, a window
# system, HDR files) is for what the kiosk never asks of it.
PICAMERA2 = ("picamera2==0.3.38", "simplejpeg", "piexif", "videodev2")

# What a door runs of the project's own dependencies; the OS has numpy.
OF_THE_OS = ("numpy",)


def shared_object(source):
    """A C file of this folder, compiled."""
    code = (HERE / source).read_bytes()
    name = f"{Path(source).stem}-{hashlib.sha256(code).hexdigest()[:12]}"
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-pthread"]

    def make(folder):
        run(["gcc", *flags, "-o", str(folder / "it.so"), str(HERE / source), "-ldl"])

    return kept(MADE / name, make) / "it.so"


def lgpio():
    """A folder with the real lgpio for the Python that runs the tests.

    Some Pythons have a wheel on PyPI; for the others it is built, by swig and gcc.
    """

    def make(folder):
        # PYPI=1 takes the C library's own source along, which Debian 13 doesn't have otherwise.
        pip(["--no-deps", "--target", str(folder), LGPIO], {"PYPI": "1"})

    platform = sysconfig.get_platform()
    return kept(MADE / f"{LGPIO}-{sys.implementation.cache_tag}-{platform}", make)


def debian_root():
    if os.geteuid() != 0:
        raise RootError("the camera's bench mounts a Debian root: run it as root")
    if not may_mount():
        raise RootError("nobody may mount here, as in most containers")
    return debian("appliance", APPLIANCE_PACKAGES)


def picamera2():
    """A folder with the real picamera2 for the root's Python, and what it needs."""
    return python_packages("picamera2", PICAMERA2, along=False)


def dependencies():
    """A folder with what the project depends on, for the root's Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [word for word in project["dependencies"] if not word.startswith(OF_THE_OS)]
    return python_packages("dependencies", wanted)
