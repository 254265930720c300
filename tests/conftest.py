"""Fixtures for every suite, and the rule that CI skips nothing in silence."""

import os
from pathlib import Path

import pytest

from tests.debian_root import may_mount

ROOT = Path(__file__).parent.parent
IMAGES = ROOT.parent / "shared" / "images"

# What may be skipped even where CI runs: a physical Pi, and what mounts where the kernel, as in
# most containers, lets nobody mount.
MAY_BE_SKIPPED = ("tests/hardware/",)
if not Path("/dev/fuse").exists():
    MAY_BE_SKIPPED += ("tests/power/",)
if os.geteuid() == 0 and not may_mount():
    MAY_BE_SKIPPED += ("tests/appliance/", "tests/power/", "tests/real_libraries/")

_skipped: list[str] = []


def pytest_runtest_logreport(report):
    if report.skipped and not report.nodeid.startswith(MAY_BE_SKIPPED):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session):
    if os.environ.get("CI") and _skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if os.environ.get("CI") and _skipped:
        terminalreporter.write_line(f"CI must not skip: {', '.join(_skipped)}", red=True)


@pytest.fixture(scope="session")
def images():
    if not IMAGES.is_dir():
        pytest.skip("the photographs by others aren't here (../shared/images)")
    return IMAGES
