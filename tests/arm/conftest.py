"""The package for arm64, installed; and a virtual Pi's card with it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.arm import made
from tests.debian_root import RootError

ROOT = Path(__file__).parents[2]
NEEDED = {
    "qemu-aarch64-static": "qemu-user-static", "qemu-system-aarch64": "qemu-system-arm",
    "fdtput": "device-tree-compiler", "mke2fs": "e2fsprogs",
    "dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "lintian": "lintian",
}  # fmt: skip
BUILD_S = 300


@pytest.fixture(scope="session")
def package():
    """The package of these sources; or the one that VAORA_DEB names."""
    missing = [package for tool, package in NEEDED.items() if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"missing here: apt install {' '.join(missing)}")
    named = os.environ.get("VAORA_DEB")
    if named:
        return Path(named)
    done = subprocess.run(
        ["sh", "debian/build.sh", "arm64"],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.split()[-1]


@pytest.fixture(scope="session")
def installed(package):
    try:
        return made.installed(package)
    except RootError as error:
        pytest.skip(str(error))
