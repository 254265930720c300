"""The power goes at any moment: nothing that was lit green is lost, on a disk that forgets."""

import os
import random
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass

import pytest

from checkin.outbox import Outbox, set_aside_if_damaged
from demo.programs import Program
from tests.made_up import append
from tests.system.conftest import wait_until
from tests.system.test_nothing_lost import drain

CUTS = int(os.environ.get("POWER_CUTS", "30"))
CUTS_AT_NORMAL = max(10, CUTS // 10)
CUTS_WHILE_MADE = 4

# Every so often the cut comes while the outbox is being opened: its log is copied and made anew.
OPENING_EVERY = 6

LONGEST_S = 0.5  # from the first green to the cut
# Or so many writes and flushes later, which takes as long. By the clock most cuts find all
# flushed: a door spends its time in Python.
MOST_STEPS = 3000

PATIENCE_S = 30


@dataclass(frozen=True)
class Told:
    """What the door and its daemon said until the power went."""

    greens: list[int]
    settling: list[int]
    settled: list[int]


@dataclass(frozen=True)
class Found:
    """What the file holds after the power came back."""

    rows: set[int]
    appended: int
    confirmed: int


def cut_while_serving(disk, file, chance, *, synchronous="", after="green"):
    """Run a door on `file` and cut the power a while after it first said `after`."""
    at_a_step = chance.random() < 0.5
    command = [sys.executable, "-m", "tests.power.door", str(file), str(chance.getrandbits(32))]
    door = Program("door", command + (["--synchronous", synchronous] if synchronous else []))
    lines = []
    try:
        wait_until(
            lambda: (
                lines.extend(drain(door._said))
                or any(line.text.startswith(after) for line in lines)
                or not door.is_running
            ),
            PATIENCE_S,
            f"a door that says {after}",
        )
        if at_a_step:
            disk.tell(f"stop {chance.randint(1, MOST_STEPS)}")
            wait_until(lambda: not door.is_running, PATIENCE_S, "the end of a door without a disk")
        else:
            time.sleep(chance.uniform(LONGEST_S / 10, LONGEST_S))  # noqa: TID251  chance is the point
            assert door.is_running, drain(door._said)
    finally:
        door.kill()
    lines = [line.text for line in lines + drain(door._said)]
    if at_a_step:
        assert any("checkin.outbox.Outbox" in line for line in lines), lines  # its own error
    disk.cut()
    file.with_name(file.name + "-shm").unlink(missing_ok=True)  # memory, which a reboot empties
    said = {word: [] for word in ("opening", "green", "settling", "settled")}
    for line in lines:
        word, _, seq = line.partition(" ")
        if word in said:
            said[word].append(int(seq or 0))
        else:
            assert at_a_step, lines[-20:]  # it may complain of a disk that stopped
    return Told(said["green"], said["settling"], said["settled"])


def look(file):
    """Open the file as a kiosk does at its start, and see that it is sound and without a hole."""
    assert set_aside_if_damaged(file, thorough=True) is None
    with closing(Outbox(file, create=False)) as outbox:
        pending = outbox.pending(0, 2**40)
        aside = outbox.set_aside()
        summary = outbox.summary()
    assert pending.damaged == []
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    first = min([*pending.seqs, summary.confirmed + 1])
    kept = [*pending.seqs, *(seq for seq in aside if seq > first)]
    assert sorted(kept) == list(range(first, summary.appended + 1))
    return Found({*pending.seqs, *aside}, summary.appended, summary.confirmed)


def lost(told, found):
    return [seq for seq in told.greens if seq not in found.rows and seq > found.confirmed]


def test_no_cut_takes_a_green(disk, capsys):
    chance = random.Random(20261122)
    file = disk.mount / "outbox.db"
    shown = settled = settling = 0
    for number in range(CUTS):
        opening = number % OPENING_EVERY == OPENING_EVERY - 1
        told = cut_while_serving(disk, file, chance, after="opening" if opening else "green")
        found = look(file)
        assert lost(told, found) == [], f"cut {number}"
        assert found.appended >= shown, f"cut {number}"
        settled = max([settled, *told.settled])
        settling = max([settling, *told.settling])
        assert settled <= found.confirmed <= settling, f"cut {number}"
        shown = max([shown, *told.greens])
    with capsys.disabled():
        print(f"\n{CUTS} power cuts, {shown} greens shown, 0 lost")
    assert shown > 10 * CUTS


def test_the_disk_does_forget(disk, capsys):
    """With `synchronous = normal` greens are lost; were they not, the other tests saw nothing."""
    chance = random.Random(7)
    file = disk.mount / "outbox.db"
    shown = gone = 0
    for _ in range(CUTS_AT_NORMAL):
        told = cut_while_serving(disk, file, chance, synchronous="normal")
        gone += len(lost(told, look(file)))  # sound even so: NORMAL loses the end, not the file
        shown += len(told.greens)
    with capsys.disabled():
        print(f"\n{CUTS_AT_NORMAL} power cuts at NORMAL, {shown} greens shown, {gone} lost")
    assert gone > 0


@pytest.mark.parametrize("seed", range(CUTS_WHILE_MADE))
def test_a_file_that_was_being_made_is_made_at_the_next_start(disk, seed):
    file = disk.mount / "outbox.db"
    cut_while_serving(disk, file, random.Random(seed), after="opening")
    assert set_aside_if_damaged(file, thorough=True) is None
    with closing(Outbox(file)) as outbox:
        last = outbox.appended()
        assert append(outbox, last) == last + 1
