"""The kiosk's loop on a real outbox: what it does for one frame, and when things fail."""

import os
from base64 import b64encode
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from checkin import event, first_boot, health, passes, signed_list
from checkin.cose import SigningKey
from checkin.health import KioskHealth
from checkin.outbox import Outbox, OutboxError, OutboxLostError
from checkin.signed_list import Revocations, TrustList
from kiosk.devices.simulated_panel import RecordingPanel
from kiosk.logic.button import HOLD_S
from kiosk.logic.station import Rules, Station
from kiosk.loop import MOST_CODES, MOST_REFUSALS, MOST_RESTARTS, KioskLoop
from kiosk.memory import Memory
from kiosk.ports import Buttons, CameraEndedError, CameraError, Code, Effort, Frame, Optics
from kiosk.told import SettingsChangedError
from kiosk.trusted import Trusted
from kiosk.watch import WATCHER_FILE, Quality, Watch, drawn, read_seen
from tests.made_up import BOOT, CARD, KEY, FakeClock

AUTHORITY, DESK = SigningKey(bytes(32)), SigningKey(bytes(range(32)))
CONTACT = b"MECARD:N:Mau;;"
ANNA, BINH, MENU = b"VISITOR:ANNA", b"VISITOR:BINH", b"https://menu.example"


class Camera:
    """Shows what it is told to; fails when it is told to."""

    name = "made-up camera"

    def __init__(self, clock):
        self.clock, self.trouble, self.restarts, self.closed = clock, [], 0, False
        self.grey = 0

    @contextmanager
    def frame(self):
        if self.trouble:
            raise self.trouble.pop(0)
        yield Frame(np.full((1, 1), self.grey, dtype=np.uint8), self.clock.tick)

    def optics(self):
        return Optics(exposure_us=10_000, gain=2.0, lens_position=8.0)

    def restart(self):
        self.restarts += 1

    def close(self):
        self.closed = True


@pytest.fixture
def door(tmp_path):
    clock = FakeClock()
    trusted = Trusted(
        b64encode(AUTHORITY.public).decode(), str(tmp_path / "trust"), str(tmp_path / "revoked")
    )
    trust_nobody(tmp_path)
    watch = Watch(tmp_path, "made-up", Effort, lambda _: Quality(), wall=lambda: clock.tick)
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
        trusted=trusted,
        lamp_below=50,
        watch=watch,
    )

    def show(*payloads, frames=1, step_s=1 / 30):
        held[:] = payloads
        for _ in range(frames):
            loop.turn()
            clock.pass_(step_s)

    yield SimpleNamespace(
        loop=loop, clock=clock, camera=camera, panel=panel, outbox=outbox, show=show,
        health=tmp_path / "health.json", folder=tmp_path, watch=watch,
    )  # fmt: skip
    outbox.close()


def played(door):
    return [pattern.name for _, pattern in door.panel.played]


def resting(door):
    return door.panel.rested[-1][1].name


def events(door):
    return [event.decode(body) for body in door.outbox.pending(0, 100).bodies]


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


def test_who_stood_there_while_the_disk_stalled_is_not_counted_again(door):
    append = door.outbox.append

    def stalls(entry, encode):
        seq = append(entry, encode)
        door.clock.pass_(60)
        return seq

    door.outbox.append = stalls
    door.show(ANNA)
    door.outbox.append = append
    door.show(ANNA, frames=10)
    assert door.outbox.appended() == 1


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
    assert played(door) == ["accepted-in+fault"]
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


# ── policy, trust, buttons, the lamp, and who watches


def a_pass(kind="visitor", pass_id=b"12345678"):
    return passes.issue(
        DESK,
        kind=kind,
        pass_id=pass_id,
        holder="Phan Thị Mẫu",
        not_before=FakeClock().at - timedelta(hours=1),
        expires=FakeClock().at + timedelta(hours=8),
    ).encode()


def trust_nobody(folder):
    put(folder, "trust", TrustList(1, "2026-11-20T00:00:00Z"))
    put(folder, "revoked", Revocations(1, "2026-11-20T00:00:00Z"))


def put(folder, name, document, key=AUTHORITY):
    file = folder / f"{name}.new"
    file.write_bytes(signed_list.sign(document, key))
    file.replace(folder / name)


def trust(door, version=2, key=AUTHORITY):
    keys = [b64encode(DESK.public).decode()]
    put(door.folder, "trust", TrustList(version, "2026-11-20T00:00:00Z", pass_keys=keys), key)


def revoke(door, *ids, version=2):
    put(door.folder, "revoked", Revocations(version, "2026-11-20T00:00:00Z", list(ids)))


def faults(door):
    return health.read(door.health, KioskHealth, boot=BOOT, tick=door.clock.tick).faults


def test_a_refused_visitor_is_a_row_with_a_reason_and_nobody_in_it(door):
    door.show(CONTACT, frames=30)
    assert played(door) == ["refused"]
    (refusal,) = events(door)
    assert (refusal.type, refusal.data.refused) == (event.REFUSAL, "kind-not-taken-here")
    assert refusal.data.credential.kind == "vcard"
    assert b"Mau" not in event.encode(refusal)
    assert door.outbox.visits(BOOT, 10) == []


def test_a_stream_of_forged_codes_doesnt_fill_the_outbox(door):
    for number in range(MOST_REFUSALS * 3):
        door.show(b"MECARD:N:Mau %d;;" % number)
    assert door.outbox.summary().appended == MOST_REFUSALS
    door.clock.pass_(61)
    door.show(CONTACT)
    assert door.outbox.summary().appended == MOST_REFUSALS + 1


def test_a_refusal_that_cant_be_written_is_red_all_the_same_and_a_fault(door, monkeypatch):
    monkeypatch.setattr(door.outbox, "append", failing)
    monkeypatch.setattr(door.outbox, "try_writing", failing)
    door.show(CONTACT)
    assert played(door) == ["refused"]
    assert resting(door) == "out-of-order"


def failing(*_):
    raise OutboxError("no room")


def test_a_trust_list_put_there_counts_within_seconds(door):
    door.show(a_pass())
    assert played(door) == ["refused"]
    trust(door)
    door.show(frames=2, step_s=6)
    door.show(a_pass())
    assert played(door)[-1] == "accepted-in"


def test_a_revoked_pass_is_refused_and_an_older_list_changes_nothing(door):
    trust(door)
    revoke(door, b"12345678".hex(), version=3)
    door.show(frames=2, step_s=6)
    door.show(a_pass())
    assert events(door)[-1].data.refused == "revoked"
    revoke(door, version=2)
    door.show(frames=2, step_s=6)
    door.show(a_pass())
    assert events(door)[-1].data.refused == "revoked"
    assert "revocations" in faults(door)


class ToldLater:
    """Other settings, taken when the test says so."""

    changed, trouble, version = False, "", 7

    def refresh(self):
        changed, self.changed = self.changed, False
        return changed


def test_settings_that_were_taken_end_the_process_but_never_a_green_light(door):
    door.loop._told = told = ToldLater()
    door.show(frames=2, step_s=6)
    told.changed = True
    door.show(ANNA)
    door.clock.pass_(0.1)
    door.loop._health_due = 0
    door.show()
    assert played(door) == ["accepted-in"]
    door.clock.pass_(door.loop._green_until - door.clock.tick - 0.01)
    door.show()
    with pytest.raises(SettingsChangedError):
        door.show()
    assert len(events(door)) == 1


def test_why_something_is_not_taken_is_told(door):
    door.loop._told = told = ToldLater()
    told.trouble = "settings.arrived: is not signed by this kiosk's [policy] authority" + "." * 300
    door.show(frames=2, step_s=6)
    now = read_health(door)
    assert (now.settings_version, now.trust_version, now.revocations_version) == (7, 1, 1)
    assert now.not_taken == [told.trouble[:300]]
    assert now.faults == ["settings"]
    told.trouble = ""
    door.show(frames=2, step_s=6)
    assert (read_health(door).not_taken, read_health(door).faults) == ([], [])


def test_a_list_signed_by_somebody_else_is_a_fault_and_visitors_are_still_served(door):
    trust(door, key=DESK)
    door.show(frames=2, step_s=6)
    door.show(a_pass(), ANNA)
    assert played(door)[-1] == "accepted-in"
    assert events(door)[0].data.refused == "unknown-signer"
    assert faults(door) == ["trust"]
    assert resting(door) == "ready"


def test_a_stale_list_is_said_with_its_age(door):
    door.show(frames=2, step_s=6)
    door.clock.pass_(40 * 86_400)
    door.show()
    told = health.read(door.health, KioskHealth, boot=BOOT, tick=door.clock.tick)
    assert told.faults == ["revocations", "trust"]
    assert told.trust_days == pytest.approx(42.2, abs=0.1)


def test_an_inspector_is_let_in_and_shown_how_it_stands(door):
    trust(door)
    door.show(frames=2, step_s=6)
    door.show(ANNA)
    door.show(a_pass("inspector"))
    assert played(door)[-1].startswith("accepted-in+status-2")
    door.clock.pass_(5)
    door.show(a_pass("inspector"))
    assert played(door)[-1].startswith("repeated+status-2")


def press(door, frames, **down):
    door.panel.down = Buttons(**down)
    door.show(frames=frames)
    door.panel.down = Buttons()
    door.show()


def test_the_direction_button_turns_the_door_round(door):
    door.loop._station._rules = Rules(direction="button")
    press(door, 5, direction=True)
    door.show(ANNA)
    assert played(door) == ["direction-out", "accepted-out"]
    press(door, 5, direction=True)
    assert played(door)[-1] == "direction-in"
    assert events(door)[0].data.direction_by == "button"


def test_the_direction_button_of_a_mounted_reader_does_nothing(door):
    press(door, 5, direction=True)
    assert played(door) == []


def test_the_test_button_held_shows_every_light_and_then_what_was_found(door, monkeypatch):
    press(door, round(HOLD_S * 30) + 5, test=True)
    assert played(door) == ["self-test+well"]
    monkeypatch.setattr(door.outbox, "try_writing", failing)
    press(door, round(HOLD_S * 30) + 5, test=True)
    assert played(door)[-1] == "self-test+fault"


def test_the_lamp_goes_on_when_frames_stay_dark(door):
    door.show(frames=30 * 5)  # the made-up camera's frames are black
    assert door.panel.lamp_on


def test_who_watches_sees_what_the_kiosk_does_and_no_visitor(door):
    door.show(ANNA)
    assert read_seen(door.folder) is None
    (door.folder / WATCHER_FILE).touch()
    os.utime(door.folder / WATCHER_FILE, (door.clock.tick, door.clock.tick))
    door.show(CARD.encode(), CONTACT, MENU, frames=100)
    seen = read_seen(door.folder)
    assert seen.frames_per_s == pytest.approx(30, abs=1)
    assert [told.what.split(":")[0] for told in seen.verdicts] == [
        "accepted in", "accepted in", "refused", "foreign",
    ]  # fmt: skip
    screen = drawn(seen, door.clock.tick)
    assert max(map(len, screen.splitlines())) <= 110
    written = (door.folder / "watch.json").read_text(encoding="utf-8") + screen
    assert not any(private in written for private in ("Nguyễn", "ANNA", "Mau", "menu.example"))
    door.clock.pass_(60)
    door.show(frames=3, step_s=2)
    assert not door.watch.on


def test_a_step_of_first_boot_that_failed_is_shown_until_it_has_succeeded(door):
    door.show()
    assert resting(door) == "ready"
    first_boot.tell(door.folder, "read-only")
    door.show(step_s=6)
    door.show()
    assert resting(door) == "first-boot-6"
    door.show(b"VISITOR:ANNA")
    assert played(door) == ["accepted-in"]  # served all the same
    first_boot.forget(door.folder, "enrolment")  # another's, which stays told
    first_boot.forget(door.folder, "read-only")
    door.show(step_s=6)
    door.show()
    assert resting(door) == "ready"


@pytest.mark.parametrize("content", [b"", b"everything", b"\xff\xfe", b"seed" * 100_000])
def test_a_step_that_is_none_is_not_shown(door, content):
    (door.folder / first_boot.FILE).write_bytes(content)
    door.show()
    assert resting(door) == "ready"
