"""The programs, as a technician starts them."""

import csv
import json
import queue
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points

import pytest

from central.store import Store
from checkin.outbox import CHECKED_AT_START_BYTES, Outbox
from checkin.settings import Camera, Policy
from checkin.settings import Door as DoorSettings
from demo.people import person
from sync_daemon.broker import Broker, Connected, Options, Received
from sync_daemon.protocol import Receiver
from sync_daemon.topics import Address
from tests.contract_document import check_topic
from tests.made_up import NOON, body, entry
from tests.system.conftest import Door, code_frames, payload, wait_until

MODULES = {
    "vaora-kiosk": "kiosk.__main__",
    "vaora-sync": "sync_daemon.__main__",
    "vaora-central": "central.__main__",
    "vaora-pass": "provisioning.desk",
    "vaora-provision": "provisioning.__main__",
}


def run(program, *arguments, check=False):
    command = [sys.executable, "-m", MODULES[program], *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=check, timeout=60
    )


def run_at_once(*commands):
    """How each of the commands ended. All at once: what can't start shows so for five seconds."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: run(*command), commands))


def kiosks_ended(folder, texts, base):
    """How a kiosk ended for each of `texts`, followed by `base` with a folder of its own in it."""
    files = [folder / f"{number}" / "kiosk.toml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.parent.mkdir()
        own = f'[kiosk]\ndata_dir = "{file.parent}/data"\nruntime_dir = "{file.parent}/run"\n'
        file.write_text(text + base + own)
    ended = run_at_once(*(("vaora-kiosk", "--settings", file, "run") for file in files))
    return dict(zip(texts, ended, strict=True))


@pytest.mark.parametrize(
    ("program", "commands"),
    [
        ("vaora-kiosk", ["run", "settings", "decode", "read", "watch", "doctor"]),
        ("vaora-sync", ["run", "status", "replay", "export", "confirm", "recover"]),
        ("vaora-central", ["run", "list", "export", "import", "keygen", "report", "retire"]),
        ("vaora-provision", ["init", "enrol", "retire"]),
        ("vaora-pass", ["keygen", "issue", "trust", "revoke", "settings"]),
    ],
)
def test_help_names_every_command_and_each_explains_itself(program, commands):
    shown = run(program, "--help", check=True).stdout
    for command in commands:
        assert f"  {command} " in shown
        assert len(run(program, command, "--help", check=True).stdout.splitlines()) >= 4


def test_the_installed_commands_are_there():
    names = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    for program, module in MODULES.items():
        assert names[program] == f"{module}:main"


def test_the_settings_file_may_be_named_before_or_behind_the_command(tmp_path):
    file = tmp_path / "kiosk.toml"
    file.write_text('[door]\ndirection = "out"\n')
    before = run("vaora-kiosk", "--settings", file, "settings", check=True).stdout
    behind = run("vaora-kiosk", "settings", "--settings", file, check=True).stdout
    assert before == behind
    missing = run("vaora-sync", "status", "--settings", tmp_path / "none.toml")
    assert "none.toml: can't be read" in missing.stderr
    assert "/etc/vaora/kiosk.toml: can't be read" in run("vaora-sync", "status").stderr


def test_settings_prints_what_is_in_force(tmp_path):
    file = tmp_path / "kiosk.toml"
    file.write_text('[door]\ndirection = "out"\n')
    shown = run("vaora-kiosk", "--settings", file, "settings", check=True).stdout
    assert 'direction = "out"' in shown
    assert "hold_off_s = 10.0" in shown
    defaults = run("vaora-kiosk", "settings", "--defaults", check=True).stdout
    assert "# seconds out of sight that end a visit" in defaults


NO_CAMERA = """
seal = "off"
[camera]
source = "replay"
path = "/nowhere"
[panel]
kind = "terminal"
"""


CANNOT_START = {
    "[camra]\n": "'camra' is no setting; known here:",
    "": "seal is missing",
    'seal = "AAAA"\n': "a key is base64 of 32 bytes",
    NO_CAMERA: "/nowhere: no such folder",
    'seal = "off"\n': "the pins can't be had",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return kiosks_ended(tmp_path_factory.mktemp("cannot-start"), list(CANNOT_START), "")


@pytest.mark.parametrize(("text", "said"), CANNOT_START.items())
def test_a_kiosk_that_cannot_start_says_what_to_do(ended, text, said):
    assert ended[text].returncode == 1
    assert said in ended[text].stderr
    assert "Traceback" not in ended[text].stderr


def test_a_central_without_tls_has_to_be_told_so():
    ended = run("vaora-central", "run")
    assert ended.returncode == 2
    assert "--no-tls on a bench" in ended.stderr


def test_keygen_never_overwrites_a_key(tmp_path):
    file = tmp_path / "central.key"
    made = run("vaora-central", "keygen", file, check=True)
    assert made.stdout.startswith('seal = "')
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    again = run("vaora-central", "keygen", file)
    assert again.returncode == 1
    assert "not overwritten" in again.stderr
    assert file.read_text() == before


def said(door, text):
    """Everything a program said so far that has `text` in it."""
    lines = []
    while True:
        try:
            lines.append(door.said.get_nowait())
        except queue.Empty:
            return [line for line in lines if text in line.text]


@pytest.fixture
def door(tmp_path, broker, link):
    frames = code_frames(tmp_path / "frames", 12, blank=2)
    made = Door(
        tmp_path / "bench",
        broker.port,
        daemon_port=link.port,
        camera=Camera(source="replay", path=str(frames), fps=10),
        door=DoorSettings(hold_off_s=600),
    )
    made.prepare()
    return made


def test_the_whole_path(door, tmp_path):
    listener = Broker(Options("127.0.0.1", door.broker_port, "listener", ("vaora/#",)))
    listener.connect()
    heard = []
    wait_until(
        lambda: any(isinstance(one, Connected) for one in listener.wait(0.1)), 10, "connected"
    )
    central, sync = door.start_central(), door.start_sync()
    kiosk = door.start_kiosk()
    assert kiosk.wait(60) == 0
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    while more := listener.wait(1):
        heard += [one.message for one in more if isinstance(one, Received)]
    listener.close()
    assert {message.topic.rsplit("/", 1)[-1] for message in heard} == {
        "checkins", "state", "receipt",
    }  # fmt: skip
    for message in heard:
        check_topic(message.topic, message.body)
    status = run("vaora-sync", "--settings", door.settings_file, "status", check=True).stdout
    words = [line.split(maxsplit=1) for line in status.splitlines()]
    assert ["waiting", "0"] in words
    assert ["confirmed", "12 of 12"] in words
    assert ["broker", "online"] in words
    as_json = run("vaora-sync", "--settings", door.settings_file, "status", "--json", check=True)
    assert json.loads(as_json.stdout)["waiting"] == 0
    assert sync.stop() == 0
    assert central.stop() == 0

    listed = run(
        "vaora-central", "list", "--database", door.database, "--key-file", door.key_file,
        "--json", "--limit", 100, check=True,
    ).stdout  # fmt: skip
    rows = [json.loads(line) for line in listed.splitlines()]
    assert sorted(row["code"] for row in rows) == [f"N{n:05}" for n in range(12)]
    assert {row["verified"] for row in rows} == {False}

    out = tmp_path / "export.csv"
    run(
        "vaora-central", "export", "--database", door.database, "--key-file", door.key_file, out,
        check=True,
    )  # fmt: skip
    with out.open(encoding="utf-8", newline="") as file:
        exported = list(csv.DictReader(file))
    assert [row["code"] for row in exported] == [f"N{n:05}" for n in range(12)]
    assert out.stat().st_mode & 0o777 == 0o600

    run("vaora-central", "export", "--database", door.database, out, check=True)
    assert "N00001" not in out.read_text()
    assert "sealed" in out.read_text()


def people_frames(folder, count):
    """Cards of made-up visitors, one frame each, an empty one behind each."""
    for number in range(count):
        one = folder / f"{number}"
        code_frames(one, 1, blank=1, payloads=[person(number, seed=4).payload])
        for file in one.iterdir():
            file.rename(folder / f"{number:05}-{file.name}")
        one.rmdir()
    return folder


def personal(number):
    """What of a made-up visitor must be nowhere: number, name and address, as text and as bytes."""
    somebody = person(number, seed=4)
    place = somebody.payload.decode().split("|")[5]
    words = [somebody.id_number, somebody.name, place]
    return [form for word in words for form in (word.encode(), word.encode("utf-16-le"))]


def found_in(folder, said_, count):
    """Where anything personal lies: in files, their names, or what programs said."""
    wanted = [form for number in range(count) for form in personal(number)]
    for file in folder.rglob("*"):
        there = str(file).encode() + (file.read_bytes() if file.is_file() else b"")
        if any(form in there for form in wanted):
            yield str(file)
    for line in said_:
        if any(form in line.text.encode() for form in wanted):
            yield line.text


@pytest.mark.parametrize("sealed", [True, False])
def test_a_days_run_leaves_nothing_personal_that_can_be_read(tmp_path, broker, sealed):
    """Whatever it wrote: files, logs, state, file names, also where a program was killed hard.

    With `seal = "off"` the same search finds them, so it is known to look in the right places.
    """
    count = 8
    frames = people_frames(tmp_path / "frames", count)
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=10),
        policy=Policy(keep=("cccd.name", "cccd.dob", "cccd.id_number", "cccd.address")),
        broker={"state_every_s": 1.0},
    )
    door.prepare()
    if not sealed:
        text = door.settings_file.read_text(encoding="utf-8")
        key = door.settings.seal
        door.settings_file.write_text(text.replace(f'seal = "{key}"', 'seal = "off"'), "utf-8")
    central, sync = door.start_central(), door.start_sync()
    assert door.start_kiosk().wait(60) == 0
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    assert door.appended() == count
    for program in (sync, central):
        program.process.send_signal(signal.SIGABRT)  # asks for a core dump
        program.wait(10)
    lines = said(door, "")
    # The broker's own files are in the folder beside: it must not have them either.
    places = [*found_in(door.folder, lines, count), *found_in(broker.folder, [], count)]
    if sealed:
        assert places == []
    else:
        assert any(place.endswith("outbox.db") or "outbox.db-wal" in place for place in places)
    assert not list(door.folder.rglob("core*"))


CRASH = """
import sys
from checkin.command_line import leave_no_traces
leave_no_traces()
def read(text):
    try:
        int(text)
    except ValueError as error:
        raise RuntimeError(f"no number: {text}") from error
read("Nguyễn Văn Mẫu")
"""


def test_a_crash_says_where_and_not_with_what():
    ended = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert ended.returncode == 1
    assert "RuntimeError" in ended.stderr
    assert "ValueError" in ended.stderr
    assert "line 7, in read" in ended.stderr
    assert "Nguyễn" not in ended.stderr


def test_one_code_held_up_is_one_check_in_across_a_kill(tmp_path, broker):
    frames = code_frames(tmp_path / "frames", 1)
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=30, repeat=True),
        door=DoorSettings(hold_off_s=3),
    )
    door.prepare()
    for _ in range(3):
        kiosk = door.start_kiosk()
        wait_until(lambda: said(door, "panel ready"), 20, "the kiosk serves")
        time.sleep(0.5)  # noqa: TID251  the code stays before the camera
        kiosk.kill()
    assert door.appended() == 1


def test_a_kiosk_that_dies_between_disk_and_memory_still_counts_once(tmp_path, broker):
    """The row is on disk, the note of who was there isn't: the row itself remembers."""
    frames = code_frames(tmp_path / "frames", 1)
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=60, repeat=True),
        door=DoorSettings(hold_off_s=60),
    )
    door.prepare()
    kiosk = door.start_kiosk()
    wait_until(lambda: door.appended() == 1, 20, "the first check-in")
    kiosk.kill()
    kiosk = door.start_kiosk()
    said(door, "")
    wait_until(lambda: said(door, "panel ready"), 20, "the kiosk serves")
    time.sleep(0.5)  # noqa: TID251
    kiosk.stop()
    assert door.appended() == 1


def test_a_damaged_outbox_is_set_aside_and_the_door_goes_on(door):
    door.start_kiosk().wait(60)
    file = door.settings.outbox_file
    first = door.summary().outbox
    with file.open("r+b") as opened:
        opened.write(b"rubbish" * 20)
    sync, central = door.start_sync(), door.start_central()
    wait_until(lambda: said(door, "waiting for the kiosk"), 20, "the daemon waits for a sound file")
    door.start_kiosk().wait(60)
    assert said(door, "is set aside as")
    assert (file.parent / "outbox.db.damaged-1").read_bytes().startswith(b"rubbish")
    assert door.summary().outbox != first
    wait_until(lambda: door.summary().pending == 0, 30, "the new outbox is carried")
    sync.stop()
    central.stop()


def test_a_bad_page_deep_in_a_large_outbox_is_no_dead_door(door):
    """Too large to be read through at each start: found when it is met, and set aside then."""
    file = door.settings.outbox_file
    outbox = Outbox(file)
    outbox._db.execute("pragma synchronous = off")
    padding = b" " * 4000
    for n in range(5000):
        outbox.append(entry(n), lambda _box, seq: body(seq, outbox.id) + padding)
    outbox.close()
    assert file.stat().st_size > CHECKED_AT_START_BYTES
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size - 40 * 4096)
        opened.write(b"rubbish!" * 512 * 39)
    assert door.start_kiosk().wait(60) in (0, 1)
    assert door.start_kiosk().wait(60) == 0
    assert said(door, "is set aside as")
    assert door.appended() == 12


def both(door):
    """How a kiosk and a daemon with this door's settings end that can't start."""
    programs = ("vaora-kiosk", "vaora-sync")
    return run_at_once(*((one, "--settings", door.settings_file, "run") for one in programs))


def test_a_kiosk_with_check_ins_waiting_is_not_renamed(door):
    door.start_kiosk().wait(60)
    renamed = door.settings_file.read_text().replace("cong-chinh", "cong-phu")
    door.settings_file.write_text(renamed)
    for ended in both(door):
        assert ended.returncode == 1
        assert "12 check-ins of kiosk cong-chinh" in ended.stderr
        assert 'Put `id = "cong-chinh"`' in ended.stderr


def test_the_daemon_notices_that_the_outbox_was_replaced_under_it(door):
    sync, central = door.start_sync(), door.start_central()
    door.start_kiosk().wait(60)
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    file = door.settings.outbox_file
    for ending in ("", "-wal", "-shm"):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(file.with_name("old.db" + ending))
    # Or everybody would be told that they are in already.
    door.settings.sightings_file.unlink()
    door.start_kiosk().wait(60)
    wait_until(lambda: door.summary().pending == 0, 30, "the new outbox is carried too")
    sync.stop()
    central.stop()


def test_a_second_kiosk_and_a_second_daemon_are_sent_away(tmp_path, broker):
    frames = code_frames(tmp_path / "frames", 1)
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=30, repeat=True),
    )
    door.prepare()
    kiosk, sync = door.start_kiosk(), door.start_sync()
    wait_until(lambda: said(door, "published"), 20, "both work")
    for program, ended in zip(("vaora-kiosk", "vaora-sync"), both(door), strict=True):
        assert ended.returncode == 1
        assert f"another {program} runs with these settings" in ended.stderr
    assert kiosk.stop() == 0
    assert sync.stop() == 0
    assert door.appended() == 1


def test_a_central_whose_file_is_taken_away_ends_and_loses_nothing(door):
    central, sync = door.start_central(), door.start_sync()
    door.start_kiosk().wait(60)
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    for file in door.folder.glob("central.db*"):
        file.unlink()
    door.settings.sightings_file.unlink()
    door.start_kiosk().wait(60)
    assert central.wait(60) == 1
    assert said(door, "was moved or deleted under the running central")
    central = door.start_central()
    wait_until(lambda: door.summary().pending == 0, 30, "everything confirmed again")
    wait_until(lambda: len(listed(door)) == 24, 30, "what was confirmed once is there again")
    central.stop()
    sync.stop()


def listed(door):
    shown = run("vaora-central", "list", "--database", door.database, "--json", "--limit", 100)
    return shown.stdout.splitlines()


def test_the_daemon_may_start_before_the_kiosk_ever_did(door):
    sync = door.start_sync()
    wait_until(lambda: said(door, "waiting for the kiosk"), 20, "it says so")
    kiosk, central = door.start_kiosk(), door.start_central()
    kiosk.wait(60)
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    sync.stop()
    central.stop()


def test_a_central_that_only_subscribes(tmp_path, broker):
    """`confirm = "broker"`: the PUBACK settles, no receipt is ever needed."""
    frames = code_frames(tmp_path / "frames", 5)
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=10),
        door=DoorSettings(hold_off_s=600),
        broker={"confirm": "broker"},
    )
    door.prepare()
    sync = door.start_sync()
    door.start_kiosk().wait(60)
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed by the broker")
    sync.stop()
    assert Outbox(door.settings.outbox_file).summary().confirmed == 5


def test_what_a_stranger_shows_steers_no_terminal_and_no_spreadsheet(tmp_path):
    store = Store(tmp_path / "c.db")
    tricks = [{"code": "\x1b[2J\x07BELL"}, {"code": "=HYPERLINK(1)"}]
    bodies = [body(seq, person=person) for seq, person in enumerate(tricks, start=1)]
    store.keep([Receiver().receive(Address("cp", "k1"), b"[" + b",".join(bodies) + b"]")], NOON)
    store.close()
    shown = run("vaora-central", "list", "--database", tmp_path / "c.db", check=True).stdout
    assert "\x1b" not in shown
    assert "BELL" in shown
    run("vaora-central", "export", "--database", tmp_path / "c.db", tmp_path / "o.csv", check=True)
    assert ",'=HYPERLINK(1)" in (tmp_path / "o.csv").read_text()


def test_payloads_are_distinct():
    assert len({payload(n) for n in range(2000)}) == 2000
