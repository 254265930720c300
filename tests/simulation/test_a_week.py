"""The soak: a week of visitors and faults; the central has what was shown green, exactly."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from tests.simulation.week import FAULTS, Week

VISITS = int(os.environ.get("SOAK_VISITS", "5000"))
FAULT_COUNT = max(len(FAULTS), VISITS * 300 // 50_000)
SEED = int(os.environ.get("SOAK_SEED", "1"))


@pytest.fixture
def memory():
    """A folder in memory where there is one: the flushes of a week aren't what is asked here."""
    shm = Path("/dev/shm")  # noqa: S108  it is made for this
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name:
        yield Path(name)


def test_after_a_week_of_faults_the_central_has_what_was_shown_green_exactly(memory, capsys):
    began = time.monotonic()
    week = Week(SEED, memory, VISITS, FAULT_COUNT)
    try:
        week.run()
        there = week.at_central()
        assert there == week.appended
        assert week.sync_box.pending_count() == 0
        # A row without its green is one whose light a kill cut off, and no other.
        assert week.greens_shown <= len(there) <= week.greens_shown + week.killed_behind_commit
        how = week.every_time_is_as_sure_as_it_says()
        week.only_the_central_can_read_who_came()
    finally:
        week.close()
    assert set(week.kinds) == {fault.__name__ for fault in FAULTS}
    assert len(there) > 0.9 * VISITS
    with capsys.disabled():
        took = time.monotonic() - began
        print(
            f"\n{VISITS} visitors, {week.kinds.total()} faults of {len(week.kinds)} kinds, "
            f"{week.greens_shown} greens, {len(there)} at the central; times {dict(how)}; "
            f"{took:.0f} s"
        )
