"""What one process leaves to the next: the hold-off's memory and the health files."""

import os
import stat
import threading
from pathlib import Path

import pytest

from checkin import first_boot, health
from checkin.health import KioskHealth, SyncHealth
from kiosk.memory import KEY_BYTES, Memory
from tests.made_up import BOOT, FakeClock

OPENED = Path("/proc/self/fd")


@pytest.fixture
def clock():
    return FakeClock()


def test_a_new_process_takes_over_key_and_sightings(tmp_path, clock):
    file = tmp_path / "run" / "sightings.bin"
    first = Memory(file, clock.moment())
    assert len(first.begin.key) == KEY_BYTES
    first.save([(b"a" * 16, 99.0)], clock.moment())
    second = Memory(file, clock.moment())
    assert second.begin.key == first.begin.key
    assert second.begin.sightings == [(b"a" * 16, 99.0)]
    assert second.begin.tick == clock.tick


def test_another_boot_begins_with_another_key_and_nobody(tmp_path, clock):
    file = tmp_path / "sightings.bin"
    first = Memory(file, clock.moment())
    first.save([(b"a" * 16, 99.0)], clock.moment())
    after = Memory(file, FakeClock(boot="another").moment())
    assert after.begin.key != first.begin.key
    assert after.begin.sightings == []


@pytest.mark.parametrize("damaged", [b"", b"\xff" * 40, os.urandom(200)])
def test_a_damaged_file_is_as_none(tmp_path, clock, damaged):
    file = tmp_path / "sightings.bin"
    file.write_bytes(damaged)
    assert Memory(file, clock.moment()).begin.sightings == []


def test_nobody_else_may_read_the_key(tmp_path, clock):
    file = tmp_path / "sightings.bin"
    Memory(file, clock.moment())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_that_another_user_put_there_is_not_taken(tmp_path, clock, monkeypatch):
    """The daemon shares the folder, and could tell from tags under a key of its own who came."""
    file = tmp_path / "sightings.bin"
    theirs = Memory(file, clock.moment()).begin.key
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert Memory(file, clock.moment()).begin.key != theirs


def test_no_file_that_another_user_made_is_written_into(tmp_path, clock):
    held = [(tmp_path / name).open("w+b") for name in ("sightings.new", "sightings.bin")]
    Memory(tmp_path / "sightings.bin", clock.moment())
    for one in held:
        assert one.read() == b""
        one.close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", ["sightings.bin", "sightings.new", "first-boot"])
def test_what_is_no_file_is_not_waited_for(tmp_path, clock, name, make):
    make(tmp_path / name)
    begun, opened = [], len(list(OPENED.iterdir()))

    def begin():
        begun.append(Memory(tmp_path / "sightings.bin", clock.moment()))
        begun.append(first_boot.failed(tmp_path))

    begins = threading.Thread(target=begin, daemon=True)
    begins.start()
    begins.join(5)
    assert len(begun) == 2
    assert len(list(OPENED.iterdir())) == opened


def test_who_is_there_is_noted_anew_though_nothing_changed(tmp_path, clock):
    """The time of the last note is where blindness begins."""
    file = tmp_path / "sightings.bin"
    memory = Memory(file, clock.moment())
    memory.save([(b"a" * 16, 99.0)], clock.moment())
    clock.pass_(5)
    memory.save([(b"a" * 16, 99.0)], clock.moment())
    assert Memory(file, clock.moment()).begin.tick == clock.tick
    clock.pass_(5)
    memory.save([], clock.moment())
    noted = Memory(file, clock.moment()).begin
    assert (noted.tick, noted.sightings) == (clock.tick, [])


def test_an_empty_door_writes_nothing(tmp_path, clock):
    file = tmp_path / "sightings.bin"
    memory = Memory(file, clock.moment())
    memory.save([], clock.moment())
    written = file.stat().st_mtime_ns, file.stat().st_ino
    memory.save([], clock.moment())
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == written


def test_a_door_without_a_place_for_its_memory_still_serves(tmp_path, clock, caplog):
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "sightings.bin", clock.moment())
    memory.save([(b"a" * 16, 1.0)], clock.moment())
    assert "could not be written" in caplog.text


def kiosk_health(clock):
    return KioskHealth(BOOT, clock.tick, "replay", 30.0, ["camera"])


def test_health_is_read_back(tmp_path, clock):
    file = tmp_path / "kiosk-health.json"
    health.write(file, kiosk_health(clock))
    assert health.read(file, KioskHealth, boot=BOOT, tick=clock.tick + 5) == kiosk_health(clock)


@pytest.mark.parametrize(
    ("boot", "later"), [("another", 0), (BOOT, health.STALE_S + 1), (BOOT, -10)]
)
def test_health_of_another_boot_or_of_long_ago_says_nothing(tmp_path, clock, boot, later):
    file = tmp_path / "kiosk-health.json"
    health.write(file, kiosk_health(clock))
    assert health.read(file, KioskHealth, boot=boot, tick=clock.tick + later) is None


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"boot":1}', b"\xff" * 99])
def test_no_health_and_damaged_health_say_nothing(tmp_path, content):
    file = tmp_path / "health.json"
    if content is not None:
        file.write_bytes(content)
    for kind in (KioskHealth, SyncHealth):
        assert health.read(file, kind, boot=BOOT, tick=0) is None
