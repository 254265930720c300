"""The kiosk's loop on a real outbox: what it does for one frame, and when things fail."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from checkin import event, health
from checkin.health import KioskHealth
from checkin.outbox import Outbox, OutboxError, OutboxLostError
from kiosk.devices.simulated_panel import RecordingPanel
from kiosk.logic.station import Rules, Station
from kiosk.loop import MOST_CODES, MOST_RESTARTS, KioskLoop
from kiosk.memory import Memory
from kiosk.ports import CameraEndedError, CameraError, Code, Frame
from tests.made_up import BOOT, CARD, KEY, FakeClock

ANNA, BINH, MENU = b"VISITOR:ANNA", b"VISITOR:BINH", b"https://menu.example"


class Camera:
    """Shows what it is told to; fails when it is told to."""

    name = "made-up camera"

    def __init__(self, clock):
        self.clock, self.trouble, self.restarts, self.closed = clock, [], 0, False

    @contextmanager
    def frame(self):
        if self.trouble:
            raise self.trouble.pop(0)
        yield Frame(np.zeros((1, 1), dtype=np.uint8), self.clock.tick)

    def restart(self):
        self.restarts += 1

    def close(self):
        self.closed = True


@pytest.fixture
def door(tmp_path):
    clock = FakeClock()
    camera = Camera(clock)
    panel = RecordingPanel(tick=lambda: clock.tick)
    outbox = Outbox(tmp_path / "outbox.db")
    held = []
    loop = KioskLoop(
        checkpoint="cp",
        kiosk="k1",
        camera=camera,
        decoder=SimpleNamespace(
            read=lambda _grey: [Code(payload, "", ((0, 0),) * 4) for payload in held]
        ),
        station=Station(Rules(), KEY),
        outbox=outbox,
        panel=panel,
        clock=clock,
        seal=None,
        random=bytes,
        memory=Memory(tmp_path / "sightings.bin", clock.moment()),
        health_file=tmp_path / "health.json",
        not_synced_after_s=900,
    )

    def show(*payloads, frames=1, step_s=1 / 30):
        held[:] = payloads
        for _ in range(frames):
            loop.turn()
            clock.pass_(step_s)

    yield SimpleNamespace(
        loop=loop, clock=clock, camera=camera, panel=panel, outbox=outbox, show=show,
        health=tmp_path / "health.json",
    )  # fmt: skip
    outbox.close()


def played(door):
    return [pattern.name for _, pattern in door.panel.played]


def resting(door):
    return door.panel.rested[-1][1].name


def events(door):
    return [event.decode(row.body) for row in door.outbox.pending(0, 100)]


def test_it_says_starting_and_then_ready(door):
    assert resting(door) == "starting"
    door.show()
    assert resting(door) == "ready"


def test_a_card_becomes_a_row_and_then_a_light(door):
    door.show(CARD.encode(), frames=60)
    assert played(door) == ["accepted-in"]
    (checkin,) = events(door)
    assert checkin.data.person == {
        "name": "Nguyễn Văn Mẫu", "id_number": "010090999901", "dob": "1990-01-02",
    }  # fmt: skip
    assert checkin.data.credential == event.Shown("cccd", verified=False)
    assert (checkin.source, checkin.outbox, checkin.seq) == ("/vaora/cp/k1", door.outbox.id, 1)


def test_two_visitors_in_one_frame_are_two_rows_and_both_are_told(door):
    door.show(ANNA, BINH, MENU)
    assert played(door) == ["accepted-in+accepted-in"]
    assert len(events(door)) == 2


def test_one_code_that_is_found_twice_in_a_frame_is_one(door):
    door.show(ANNA, ANNA)
    assert len(events(door)) == 1


def test_two_codes_of_one_visitor_in_a_frame_are_one_visit(door):
    door.show(ANNA, ANNA + b"\n", CARD.encode(), (CARD + "||||").encode(), (CARD + "$").encode())
    assert len(events(door)) == 2
    assert played(door) == ["accepted-in+accepted-in"]


def test_a_poster_seen_a_moment_later_does_not_cut_off_a_green(door):
    door.show(ANNA)
    door.show(ANNA, MENU, frames=10)
    assert played(door) == ["accepted-in"]
    assert door.panel.level().green
    door.show(frames=60)
    assert played(door) == ["accepted-in", "foreign"]


def test_the_next_visitor_need_not_wait_for_the_last_ones_green(door):
    door.show(ANNA)
    door.show(BINH)
    assert played(door) == ["accepted-in", "accepted-in"]


def test_who_was_recorded_is_told_so_though_the_next_one_was_not(door, monkeypatch):
    real, tries = door.outbox.append, []

    def append(entry, encode):
        tries.append(entry.id)
        if len(tries) == 2:
            raise OutboxError("disk full")
        return real(entry, encode)

    monkeypatch.setattr(door.outbox, "append", append)
    door.show(ANNA, BINH, frames=15)
    assert played(door) == ["accepted-in"]
    door.show(ANNA, BINH, frames=60)
    assert played(door)[-1] == "accepted-in"
    assert len(events(door)) == 2


def test_a_disk_that_takes_nothing_stays_a_fault_until_it_does(door, monkeypatch):
    def bad(*_given):
        raise OutboxError("attempt to write a readonly database")

    monkeypatch.setattr(door.outbox, "append", bad)
    monkeypatch.setattr(door.outbox, "try_writing", bad)
    door.show(ANNA)
    door.show(frames=900)
    assert resting(door) == "out-of-order"
    monkeypatch.undo()
    door.show(frames=300)
    assert resting(door) == "ready"


def test_an_outbox_that_is_deleted_under_it_ends_the_process(door):
    door.show()
    door.outbox.path.unlink()
    with pytest.raises(OutboxLostError):
        door.show(ANNA)
    assert "accepted-in" not in played(door)
    with pytest.raises(OutboxLostError):
        door.show(frames=300)


def test_a_wall_of_codes_is_bounded(door):
    door.show(*(b"VISITOR:N%03d" % n for n in range(100)))
    assert len(events(door)) == MOST_CODES


def test_a_poster_in_the_background_is_told_once(door):
    door.show(MENU, frames=90)
    assert played(door) == ["foreign"]
    assert events(door) == []


def test_a_camera_that_comes_back_is_a_fault_that_ends(door):
    door.show()
    door.camera.trouble = [CameraError("no frame in 3 s")]
    door.show()
    assert resting(door) == "out-of-order"
    assert read_health(door).faults == ["camera"]
    door.show(ANNA)
    assert resting(door) == "ready"
    assert len(events(door)) == 1
    assert door.camera.restarts == 1


def test_a_camera_that_does_not_come_back_ends_the_process(door):
    door.camera.trouble = [CameraError("no frame in 3 s")] * 10
    with pytest.raises(CameraError):
        door.show(frames=10)
    assert door.camera.restarts == MOST_RESTARTS


def test_the_end_of_a_replay_is_no_fault(door):
    door.camera.trouble = [CameraEndedError("shown to its end")]
    with pytest.raises(CameraEndedError):
        door.show()
    assert resting(door) == "starting"


def read_health(door):
    return health.read(door.health, KioskHealth, boot=BOOT, tick=door.clock.tick)


def test_its_health_is_told(door):
    door.show(frames=300)
    told = read_health(door)
    assert told.camera == "made-up camera"
    assert told.frames_per_s == pytest.approx(30, abs=0.5)
    assert told.faults == []


def fail_once(door, monkeypatch):
    real, ids = door.outbox.append, []

    def append(entry, encode):
        ids.append(entry.id)
        if len(ids) == 1:
            raise OutboxError("disk full")
        return real(entry, encode)

    monkeypatch.setattr(door.outbox, "append", append)
    return ids


def test_a_write_that_failed_is_red_and_the_next_try_is_the_same_check_in(door, monkeypatch):
    ids = fail_once(door, monkeypatch)
    door.show(ANNA, frames=15)
    assert played(door) == ["fault"]
    assert len(ids) == 1, "a disk that refused is not asked thirty times a second"
    door.show(ANNA, frames=45)
    assert played(door)[-1] == "accepted-in"
    assert ids == [ids[0]] * 2
    assert [checkin.id for checkin in events(door)] == ids[:1]


def test_check_ins_that_wait_for_long_show_in_the_idle_lights(door):
    door.show(ANNA)
    door.show(frames=1000, step_s=1)
    assert resting(door) == "not-synced"
    door.outbox.settle(1)
    door.show(frames=10, step_s=1)
    assert resting(door) == "ready"


def test_an_empty_outbox_is_never_late(door):
    door.show(frames=2000, step_s=1)
    assert resting(door) == "ready"


def test_nothing_of_a_visitor_is_in_the_log(door, caplog):
    caplog.set_level("DEBUG")
    door.show(CARD.encode(), ANNA, MENU)
    door.show(CARD.replace("Nam", "nam").encode())
    assert "check-in 1 on disk: in, cccd" in caplog.text
    for private in ("Nguyễn", "010090", "ANNA", "menu.example"):
        assert private not in caplog.text


def test_stopping_lets_go_of_the_camera(door):
    door.loop.stop()
    assert door.camera.closed
