"""Whole days at the door, compressed: both processes and a central, on a virtual clock."""

from datetime import timedelta
from itertools import pairwise

import pytest

from checkin import event
from sync_daemon import topics
from sync_daemon.topics import Receipt
from tests.simulation.world import EPOCH, HERE, KEY, World

STEPS = 150


@pytest.fixture
def world(tmp_path, request):
    made = []

    def make(seed, **options):
        made.append(World(seed, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("seed", range(200))
def test_every_promise_holds_whatever_the_weather(world, seed):
    # Checking every message against the contract costs more than all the rest: one seed in ten.
    door = world(seed, direction=("in", "alternate")[seed % 2], contract=seed % 10 == 0)
    for _ in range(STEPS):
        door.step()
    door.calm(300)
    assert door.sync_box.pending_count() == 0
    assert door.store.count() == door.sync_box.appended() > 0
    door.only_the_central_can_read_who_came()
    door.every_time_is_as_sure_as_it_says()


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_the_brokers_word_alone_loses_nothing_before_the_broker_has_it(world, seed):
    door = world(seed, confirm="broker")
    for _ in range(STEPS):
        door.step()
    door.calm(300)
    assert door.sync_box.pending_count() == 0
    assert door.store.count() <= door.sync_box.appended()


def test_in_good_weather_every_visit_becomes_one_check_in(world):
    door = world(7)
    door.chance = lambda p: False
    for _ in range(400):
        door.step()
    door.calm(60)
    assert door.store.count() == len(door.visits) == door.greens_shown
    assert len(door.visits) > 10


def test_alternating_visitors_go_in_and_out(world):
    door = world(11, direction="alternate")
    door.chance = lambda p: False
    for _ in range(1500):
        door.step()
    door.calm(60)
    by_visitor = {}
    for kept in door.store.all_checkins():
        data = kept.checkin.data
        sealed = data.sealed
        code = event.open_person(KEY.open(event.sealed_bytes(sealed)))["code"]
        by_visitor.setdefault(code, []).append((data.direction, data.direction_by))
    for ways in by_visitor.values():
        assert ways[0] == ("in", "first-seen")
        for (before, _), (after, by) in pairwise(ways):
            assert before != after
            assert by == "alternating"
    assert any(len(ways) > 2 for ways in by_visitor.values())


def test_a_full_disk_is_a_red_fault_and_the_visit_counts_once_it_has_room(world):
    door = world(3)
    door.chance = lambda p: False
    door.weather = lambda: None
    door.disk_full = True
    for _ in range(8):
        door.step()
    names = [pattern.name for _, pattern in door.panel.played]
    assert names
    assert set(names) == {"fault"}
    assert door.panel.rested[-1][1].name == "out-of-order"
    assert door.sync_box.appended() == 0
    door.disk_full = False
    visits = len(door.visits)
    for _ in range(20):
        door.step()
    assert door.panel.played[-1][1].name == "accepted-in"
    assert 1 <= door.sync_box.appended() <= len(door.visits)
    assert visits >= 1


def test_a_central_that_lost_its_file_gets_back_what_is_still_kept(world):
    door = world(5)
    door.chance = lambda p: False
    door.clock.synced = False  # so that nothing is pruned
    door.weather = lambda: None
    for _ in range(300):
        door.step()
    before = door.store.count()
    assert before > 5
    door.store.close()
    for file in door.folder.glob("central.db*"):
        file.unlink()
    door.net.clients.remove(door.central_client)
    door.check = lambda: None  # for once the central may have less than the watermark says
    door.start_central()
    for _ in range(100):
        door.step()
    assert door.store.count() >= before
    assert door.store.count() == door.sync_box.appended()


def test_a_row_that_the_disk_spoilt_holds_up_none_and_is_said(world):
    door = world(6)
    door.chance = lambda p: False
    door.network = False
    door.weather = lambda: None
    while door.sync_box.appended() < 6:
        door.step()
    door.kiosk_box._db.execute("update checkins set body = zeroblob(500) where seq = 3")
    door.network = True
    for _ in range(60):
        door.step()
    assert door.sync_box.set_aside() == {3: "damaged on disk"}
    kept = {kept.seq for kept in door.store.all_checkins()}
    assert 3 not in kept
    assert {1, 2, 4, 5, 6} <= kept
    assert door.sync_box.pending_count() == 0


def test_a_kiosk_that_boots_in_1970_is_right_about_every_time_once_its_clock_is_set(world):
    door = world(8)
    door.chance = lambda p: False
    door.weather = lambda: None
    door.clock.at, door.clock.synced = EPOCH, False
    door.network = False
    for _ in range(200):
        door.step()
    assert door.sync_box.appended() > 3
    door.clock.at, door.clock.synced = door.central_clock.at, True  # set in mid-scan, as it happens
    for _ in range(100):
        door.step()
    door.network = True
    door.calm(300)
    how = door.every_time_is_as_sure_as_it_says()
    assert how["bounded"] == 0
    assert how["corrected"] > 3
    assert how["synced"] > 1


def test_a_boot_that_never_knew_the_time_is_bounded_on_both_sides(world):
    door = world(9)
    door.chance = lambda p: False
    door.weather = lambda: None
    for hours in (5, 0, 7):
        for _ in range(150):
            door.step()
        door.pass_(3600 * hours)
        knows = not door.clock.synced
        door.cut_power()
        door.clock.synced = knows
        if knows:
            door.clock.at = door.central_clock.at
    door.calm(300)
    how = door.every_time_is_as_sure_as_it_says()
    assert how["bounded"] > 1
    assert how["corrected"] == 0
    bounded = [kept.known for kept in door.store.all_checkins() if kept.known.sure == "bounded"]
    for one in bounded:
        assert timedelta(0) < one.latest - one.earliest < timedelta(hours=6)


def test_a_forged_receipt_is_made_good_from_what_is_kept(world):
    """Somebody at the broker confirms what the central never had; it asks, and gets it."""
    door = world(12)
    door.chance = lambda p: False
    door.weather = lambda: None
    door.keep_confirmed_h = 72
    door.kill_sync()
    door.central_client.drop()
    door.central.turn = lambda _wait_s: None  # the central is away
    door.check = lambda: None  # for once the watermark is ahead of the central
    while door.sync_box.appended() < 5:
        door.step()
    forged = topics.encode(Receipt(door.sync_box.id, door.sync._sender._highest))
    door.sync_client.hear_message(HERE.receipt, forged)
    for _ in range(20):
        door.step()
    assert door.sync_box.summary().confirmed > 0
    assert door.store.count() == 0
    del door.central.turn
    for _ in range(200):
        door.step()
    door.calm(60)
    assert door.store.count() == door.sync_box.appended()
