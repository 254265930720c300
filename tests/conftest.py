"""Fixtures for every suite, and the rule that CI skips nothing in silence."""

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

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


# Each boots machines, one on a host at a time: one worker takes them all, one after the other. The
# other two build the package and install it, which one worker does once.
BOOTS = tuple(
    f"tests/appliance/test_{name}.py"
    for name in ("appliance", "first_boot", "technician", "update", "whole")
)
PACKAGED = ("tests/appliance/test_package.py", "tests/power/test_installed.py")
# What takes longest begins first, so that both workers end at about the same time.
LONGEST = (
    *BOOTS,
    *PACKAGED,
    "tests/system/test_nothing_lost.py",
    "tests/contract/test_decoder.py",
    "tests/test_breakages.py",
    "tests/fuzz/",
    "tests/system/",
)


class Together(LoadFileScheduling):
    """A file to a worker, and all that boots to one."""

    def _split_scope(self, nodeid):
        together = [group[0] for group in (BOOTS, PACKAGED) if nodeid.startswith(group)]
        return together[0] if together else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)


def pytest_collection_modifyitems(config, items):
    if config.getoption("numprocesses", default=None) or hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item):
    starts = [item.nodeid.startswith(name) for name in LONGEST]
    return starts.index(True) if any(starts) else len(LONGEST)


@pytest.fixture(scope="session")
def images():
    if not IMAGES.is_dir():
        pytest.skip("the photographs by others aren't here (../shared/images)")
    return IMAGES
