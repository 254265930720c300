"""A doctor beside a running kiosk, and one that looks for itself: real files, a real outbox."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import segno
from click.testing import CliRunner

from checkin import health, lock
from checkin.clock import SystemClock
from checkin.health import KioskHealth, SyncHealth
from checkin.outbox import Outbox
from checkin.settings import load
from kiosk.__main__ import main
from kiosk.doctor import Doctor
from kiosk.logic import feedback
from kiosk.logic.examination import TEST_CODE, Sight
from tests.contract.test_kiosk_loop import door, played  # noqa: F401  a fixture
from tests.made_up import BOOT, append

SETTINGS = """
seal = "off"
[kiosk]
id = "k1"
data_dir = "{0}/data"
runtime_dir = "{0}/run"
[camera]
source = "replay"
path = "{0}/frames"
[panel]
kind = "terminal"
[broker]
tls = false
[outbox]
min_free_mb = 1
"""


@pytest.fixture
def kiosk(tmp_path):
    file = tmp_path / "kiosk.toml"
    file.write_text(SETTINGS.format(tmp_path))
    for name in ("data", "run", "frames"):
        (tmp_path / name).mkdir()
    show(tmp_path / "frames", TEST_CODE)
    return SimpleNamespace(folder=tmp_path, file=file, settings=load(file))


def show(folder, payload):
    code = segno.make(payload, micro=False)
    dark = np.array([[bool(module) for module in row] for row in code.matrix])
    grey = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
    for n in range(50):
        cv2.imwrite(str(folder / f"{n:02}.png"), np.kron(grey, np.ones((6, 6), np.uint8)) // 2 + 60)


def run(kiosk, *words):
    return CliRunner().invoke(main, ["doctor", "--settings", str(kiosk.file), *words])


def part(said, name):
    return next(
        one for one in json.loads(said.output.splitlines()[-1])["parts"] if one["part"] == name
    )


def test_without_a_running_kiosk_it_looks_for_itself(kiosk):
    outbox = Outbox(kiosk.settings.outbox_file)
    append(outbox, 1)
    outbox.close()
    said = run(kiosk, "--json")
    assert said.exit_code == 1, said.output  # no daemon here
    assert "test code read" in part(said, "camera")["told"]
    assert part(said, "lights")["well"] is True
    assert "sound, 1 check-ins wait" in part(said, "outbox")["told"]
    assert "MB free, a flush takes" in part(said, "disk")["told"]
    assert part(said, "broker")["told"] == "vaora-sync doesn't run"
    assert not list((kiosk.folder / "data").glob(".doctor*"))


def test_in_words_each_part_has_a_line_and_what_is_wrong_a_cure(kiosk):
    Outbox(kiosk.settings.outbox_file).close()
    said = run(kiosk).output
    assert "1  camera" in said
    assert " 7  broker        NOT WELL  vaora-sync doesn't run" in said
    assert "→ `systemctl status vaora-sync` says why" in said


@pytest.mark.parametrize("spoilt", ["magic", "page"])
def test_a_damaged_outbox_is_seen_and_left_as_it_is(kiosk, spoilt):
    outbox = Outbox(kiosk.settings.outbox_file)
    for n in range(300):
        append(outbox, n)
    outbox._db.execute("pragma wal_checkpoint(truncate)")
    outbox.close()
    raw = bytearray(kiosk.settings.outbox_file.read_bytes())
    if spoilt == "magic":
        raw[:16] = bytes(16)
    else:
        raw[3 * 8192 : 3 * 8192 + 200] = os.urandom(200)
    kiosk.settings.outbox_file.write_bytes(raw)
    found = part(run(kiosk, "--json"), "outbox")
    assert found["well"] is False
    assert "begun" in found["cure"]
    assert kiosk.settings.outbox_file.read_bytes() == raw


def test_a_disk_that_takes_no_writes_is_said(kiosk, monkeypatch):
    def refuse(*_arguments, **_more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    found = Doctor(kiosk.settings)._disk()
    assert found == {"disk_trouble": f"{kiosk.folder}/data: Read-only file system"}


def test_a_stopped_kiosk_is_a_finding_of_its_own(kiosk):
    found = part(run(kiosk, "--json"), "kiosk")
    assert (found["number"], found["well"]) == (10, False)
    assert "systemctl start vaora-kiosk" in found["cure"]


def test_devices_are_left_to_a_kiosk_that_is_starting(kiosk):
    held = lock.hold(kiosk.folder / "data" / "kiosk.lock", "vaora-kiosk")
    said = run(kiosk, "--json")
    os.close(held)
    assert "just starting" in part(said, "camera")["told"]
    assert "just starting" in part(said, "lights")["told"]


def test_who_may_not_look_is_told_so(kiosk, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _: not str(path).endswith("/run"))
    assert "run it with sudo" in run(kiosk).output


def test_a_camera_that_is_not_there_is_said_and_the_rest_is_looked_at(kiosk):
    for image in (kiosk.folder / "frames").iterdir():
        image.unlink()
    said = run(kiosk, "--json")
    assert "no images" in part(said, "camera")["told"]
    assert part(said, "disk")["well"] is True


def test_the_daemons_word_for_broker_certificate_and_central(kiosk):
    now = SystemClock().moment()
    mine = SyncHealth(
        now.boot, now.tick, "online", certificate_days=90, connected_s=9, first_receipt_s=0.25
    )
    health.write(kiosk.settings.sync_health_file, mine)
    found = {one.part: one for one in Doctor(kiosk.settings).thorough(now)}
    assert found["broker"].well
    assert found["central"].told == "first receipt 0.2 s after connecting"
    assert found["certificate"].told.startswith("none in use")


# ── inside the running kiosk


class Asked:
    """A doctor for the loop: answers what the test says."""

    def __init__(self, settings):
        self.real, self.asked = Doctor(settings), False

    def is_asked(self):
        asked, self.asked = self.asked, False
        return asked

    def quick(self, *about):
        return self.real.quick(*about)


@pytest.fixture
def examined(door, kiosk):  # noqa: F811
    door.loop._doctor = Asked(kiosk.settings)
    door.settings = kiosk.settings
    door.camera.grey = 120
    return door


def daemon_says(door, **how):  # noqa: F811
    mine = SyncHealth(BOOT, door.clock.tick, **how)
    health.write(door.settings.sync_health_file, mine)


def test_the_printed_test_code_makes_the_lights_count_what_is_wrong(examined):
    examined.show(TEST_CODE)
    # The daemon doesn't run, which the broker's number says.
    assert played(examined) == ["self-test+found-7"]
    assert examined.outbox.appended() == 0


def test_with_all_well_it_says_so(examined):
    daemon_says(examined, broker="online", connected_s=9, first_receipt_s=0.1)
    examined.show(TEST_CODE)
    assert played(examined) == ["self-test+well"]


def test_glued_before_the_camera_it_is_answered_once_and_again_when_it_was_away(examined):
    examined.show(TEST_CODE, frames=1500)
    assert len(played(examined)) == 1
    examined.show(frames=1)
    examined.clock.pass_(21)
    examined.show(TEST_CODE)
    assert len(played(examined)) == 2


def test_shown_behind_a_visitor_it_lets_their_green_be_seen_whole(examined):
    examined.show(b"VISITOR:ANNA")
    examined.show(TEST_CODE, frames=30)
    assert played(examined) == ["accepted-in"]


@pytest.mark.parametrize("what", ["pipe", "link", "folder"])
def test_what_is_no_health_file_is_not_waited_for(kiosk, what):
    file = kiosk.settings.kiosk_health_file
    match what:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
    now = SystemClock().moment()
    assert Doctor(kiosk.settings).kiosk_health(now) is None


def test_a_link_in_a_shared_folder_leads_nobody_astray(kiosk, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run_ = Path(kiosk.settings.kiosk.runtime_dir)
    for name in ("examine", "watching", "kiosk-health.json", "kiosk-health.new"):
        (run_ / name).symlink_to(precious)
    Doctor(kiosk.settings).ask()
    health.touch(run_ / "watching")
    health.write(kiosk.settings.kiosk_health_file, KioskHealth("b", 1.0, "c", 30.0))
    assert precious.read_text() == "mine"
    assert not (run_ / "examine").is_symlink()


def test_a_visitor_beside_the_test_code_is_served(examined):
    examined.show(TEST_CODE, b"VISITOR:ANNA")
    assert played(examined)[-1] == "accepted-in"
    assert examined.outbox.appended() == 1


def test_who_asks_from_outside_sees_every_light(examined):
    examined.loop._doctor.asked = True
    examined.show(frames=60)
    assert len(played(examined)) == 1
    assert played(examined)[0].startswith("self-test+")


def test_a_fault_of_the_kiosks_own_is_counted_too(examined):
    examined.loop._faults.add("camera")
    sight = Sight("made-up", 30, 30)
    found = examined.loop._doctor.quick(examined.clock.moment(), sight, {"camera"})
    assert next(one.number for one in found if one.well is False) == 1


def test_asking_is_noticed_once(kiosk):
    one = Doctor(kiosk.settings)
    assert one.is_asked() is False
    Doctor(kiosk.settings).ask()
    assert one.is_asked() is True
    assert one.is_asked() is False
    Path(kiosk.settings.kiosk.runtime_dir, "examine").unlink()
    assert one.is_asked() is False


@pytest.mark.parametrize("numbers", [[1], [7], [2, 3], [1, 4, 9, 5]])
def test_a_finding_is_as_many_red_flashes_with_low_beeps(numbers):
    counted = []
    for step in feedback.findings_pattern(numbers).steps:
        if step.level.red:
            assert step.level.tone_hz == feedback.LOW_HZ
            counted[-1] += 1
        elif step.seconds > 0.5:
            counted.append(0)
    assert counted == numbers[: feedback.MOST_FINDINGS]


def test_no_self_test_lights_green_alone():
    """Anybody may show the printed code; green alone is for what is on disk."""
    for found in ([], [1, 7]):
        pattern = feedback.after(feedback.SELF_TEST, feedback.findings_pattern(found))
        assert not any(step.level.green and not step.level.red for step in pattern.steps)
        assert any(step.level.green for step in pattern.steps)


def test_a_visitors_green_is_seen_whole_whoever_asks(examined):
    examined.show(b"VISITOR:ANNA")
    examined.loop._doctor.asked = True
    examined.show(frames=35)  # past the second in which it looks who asks
    assert played(examined) == ["accepted-in"]
    assert examined.loop._panel_tick is None
    examined.show(frames=30)
    assert played(examined)[1].startswith("self-test+")
    assert examined.loop._panel_tick is not None
