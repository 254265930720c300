"""Processes killed for real, connections cut for real: the promises under SIGKILL."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import backlog
from central.store import Store
from checkin.outbox import Outbox
from checkin.settings import Camera
from checkin.settings import Door as DoorSettings
from demo.programs import BrokerProgram, mosquitto_path
from tests.lengths import far
from tests.system.conftest import Door, code_frames, in_sheets, payload, wait_until

# A check-in a frame, so that a kill at any moment hits one in the making.
KILLS = far(60, 200)
# Doors at once, each killed its share of the times: a kiosk's start is half a second of a core.
DOORS = 2
FRAMES = 1000
CHECK_INS = 1000
PUBLISHED = re.compile(r"DEBUG published (\d+) check-ins")
FAULTS = 20


def greens(lines):
    return sum(line.text.startswith("panel accepted") for line in lines)


def drain(said):
    lines = []
    while not said.empty():
        lines.append(said.get())
    return lines


def test_green_means_on_disk_however_often_it_is_killed(tmp_path, capsys):
    """kill −9 at random moments while codes stream in: every green that was shown has its row."""
    frames = code_frames(tmp_path / "frames", FRAMES)
    doors = [_door(tmp_path / f"door{n}", frames) for n in range(DOORS)]
    with ThreadPoolExecutor(DOORS) as pool:
        kills = list(pool.map(_kill_often, doors, map(random.Random, range(DOORS))))
    shown = [greens for door in kills for greens in door]
    rows = [_all_rows(one) for one in doors]
    with capsys.disabled():
        print(f"\n{len(shown)} kills, {sum(shown)} greens shown, {sum(rows)} on disk, 0 lost")
    assert len(shown) == KILLS
    assert sum(greens > 0 for greens in shown) > KILLS * 0.9


def _door(folder, frames):
    door = Door(
        folder,
        broker_port=1,  # the kiosk has no network and needs none
        camera=Camera(source="replay", path=str(frames), fps=120, repeat=True),
        door=DoorSettings(hold_off_s=1),
    )
    door.prepare()
    return door


def _kill_often(door, chance):
    """This door's share of the kills; how many greens were shown before each."""
    shown, before = [], 0
    for number in range(KILLS // DOORS):
        kiosk = door.start_kiosk()
        lines = _wait_for_green(door, kiosk)
        time.sleep(chance.uniform(0, 0.25))  # noqa: TID251  a moment of chance is the point
        kiosk.kill()
        lines += drain(door.said)
        count, rows = greens(lines), door.appended()
        assert rows - before >= count, f"kill {number}: {count} greens, {rows} rows"
        # At most the one whose light was cut off; an accepted pattern never shows two here.
        assert rows - before <= count + 1
        before = rows
        shown.append(count)
    return shown


def _all_rows(door):
    """How many check-ins are on this door's disk: each number once, none damaged."""
    outbox = Outbox(door.settings.outbox_file)
    rows = outbox.pending(0, 10**6)
    outbox.close()
    assert rows.seqs == list(range(1, len(rows.seqs) + 1))
    assert rows.damaged == []
    return len(rows.seqs)


def _wait_for_green(door, kiosk):
    lines = []
    wait_until(
        lambda: lines.extend(drain(door.said)) or greens(lines) or not kiosk.is_running,
        30,
        "a green light",
    )
    assert kiosk.is_running, [line.text for line in lines]
    return lines


def test_a_thousand_check_ins_through_twenty_faults(tmp_path, broker, link, capsys):
    """The central holds exactly 1,000: nothing lost, nothing twice."""
    chance = random.Random(7)
    frames = code_frames(tmp_path / "frames", CHECK_INS)
    door = Door(
        tmp_path / "bench",
        broker.port,
        daemon_port=link.port,
        camera=Camera(source="replay", path=str(frames), fps=100, repeat=True),
        door=DoorSettings(hold_off_s=3600),
        broker={"batch_rows": 20},
    )
    door.prepare()
    programs = {
        "central": door.start_central(),
        "sync": door.start_sync(),
        "kiosk": door.start_kiosk(),
    }
    starts = {"central": door.start_central, "sync": door.start_sync}

    def kill(who):
        programs[who].kill()
        programs[who] = starts[who]()

    def kill_kiosk():
        programs["kiosk"].kill()
        in_sheets(frames, door.appended())
        programs["kiosk"] = door.start_kiosk()

    def restart_broker():
        broker.kill()  # without persistence: all it had is gone
        time.sleep(chance.uniform(0, 0.5))  # noqa: TID251
        broker.start()

    def cut():
        link.cut()
        time.sleep(chance.uniform(0, 0.5))  # noqa: TID251
        link.restore()

    def cut_in_mid_message():
        before = link.cuts
        link.cut_after(chance.randrange(1, 4000))
        try:
            wait_until(lambda: link.cuts > before, 5, "the cut")
        finally:
            link.restore()

    faults = [
        kill_kiosk, lambda: kill("sync"), lambda: kill("central"), restart_broker, cut,
        cut_in_mid_message,
    ]  # fmt: skip
    schedule = [faults[n % len(faults)] for n in range(FAULTS)]
    chance.shuffle(schedule)
    for number, fault in enumerate(schedule, start=1):
        # Each when its share of the check-ins is made, so that all fall into the work.
        due = number * CHECK_INS // (FAULTS + 1)
        wait_until(lambda due=due: door.appended() >= due, 60, f"{due} check-ins on disk")
        fault()
    wait_until(lambda: door.appended() >= CHECK_INS, 60, "all check-ins on disk")
    programs["kiosk"].stop()
    wait_until(lambda: door.summary().pending == 0, 60, "everything confirmed")
    for who in ("sync", "central"):
        assert programs[who].stop() == 0

    listed = subprocess.run(
        [sys.executable, "-m", "central", "list", "--database", door.database, "--key-file",
         door.key_file, "--json", "--limit", "100000"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [json.loads(line) for line in listed.splitlines()]
    codes = sorted(row["code"] for row in rows)
    assert codes == [payload(n).decode().removeprefix("VISITOR:") for n in range(CHECK_INS)]
    assert len({row["id"] for row in rows}) == CHECK_INS
    assert door.appended() == CHECK_INS
    with capsys.disabled():
        print(f"\n{FAULTS} faults, {CHECK_INS} check-ins, {len(rows)} at the central, each once")


def test_a_broker_that_acknowledges_and_then_drops_loses_nothing(tmp_path):
    """Its queue for a slow central is short and full: it says yes to the kiosk and forgets."""
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    count = 20_000
    broker = BrokerProgram(
        tmp_path / "broker", extra="max_queued_messages 100\nallow_anonymous true"
    )
    broker.start()
    door = Door(tmp_path / "bench", broker.port, broker={"state_every_s": 1.0})
    door.prepare()
    made = door.settings
    backlog.fill(made.outbox_file, count, checkpoint=made.kiosk.checkpoint, kiosk=made.kiosk.id)
    central = door.start_central()
    wait_until(lambda: any("broker there" in line.text for line in drain(door.said)), 20, "central")
    central.process.send_signal(signal.SIGSTOP)
    others = ["mosquitto_pub", "-p", str(broker.port), "-t", "vaora/v1/0100123/other/checkins"]
    subprocess.run([*others, "-q", "1", "--repeat", "300", "-m", "rubbish"], check=True)
    sync = door.start_sync()
    lines = []
    wait_until(
        lambda: lines.extend(drain(door.said)) or any("published" in one.text for one in lines),
        20,
        "a drain under way",
    )
    time.sleep(2)  # noqa: TID251  the broker's queue runs over
    assert door.summary().confirmed == 0
    central.process.send_signal(signal.SIGCONT)
    wait_until(lambda: door.summary().pending == 0, 120, "everything confirmed")
    sync.stop()
    central.stop()
    broker.stop()
    lines += drain(door.said)
    sent = [int(found[1]) for one in lines if (found := PUBLISHED.match(one.text))]
    assert sum(sent) > count, "the broker dropped nothing: the test saw nothing"
    store = Store(door.database)
    kept = store._db.execute("select first, last, received_at from runs order by first").fetchall()
    assert sum(last - first + 1 for first, last, _ in kept) == count == store.count()
    store.close()
