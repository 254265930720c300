"""What was on a kiosk, from the central's data; and one that is retired there."""

import json

import pytest
from click.testing import CliRunner

from central import report
from central.__main__ import main
from central.loop import CentralLoop
from central.report import OutboxReport, Report
from central.store import Store
from checkin.event import Sealed
from sync_daemon import topics
from sync_daemon.protocol import Ledger, Receiver
from sync_daemon.topics import Address, OutboxState, State
from tests.contract.test_central import Wire
from tests.made_up import NOON, FakeClock, body

HERE = Address("cp", "k1")
SEALED = {"person": None, "sealed": Sealed(key="aabbccdd", box="AAAA")}
SOME_HOURS_AGO = NOON.isoformat()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "central.db"


@pytest.fixture
def store(file):
    opened = Store(file)
    yield opened
    opened.close()


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def central(store, wire):
    loop = CentralLoop(store=store, broker=wire, clock=FakeClock())
    loop.turn(0)
    return loop


def state(appended, confirmed, outbox="ob"):
    pending = appended - confirmed
    said = OutboxState(outbox, appended, confirmed, pending, SOME_HOURS_AGO if pending else None, 0)
    return topics.encode(State(online=True, outbox=said))


def deliver(wire, *bodies):
    wire.deliver(HERE.checkins, b"[" + b",".join(bodies) + b"]")


def test_a_stolen_kiosk_is_told_of_in_numbers_times_and_keys(central, store, wire):
    deliver(wire, *(body(seq, **SEALED) for seq in range(1, 5)))
    wire.deliver(HERE.state, state(appended=9, confirmed=2))
    central.turn(0)
    deliver(wire, body(6, **SEALED))  # came after the state
    central.turn(0)
    central.stop()
    store.retire("k1", NOON, "stolen")
    (one,) = report.report(store, "k1").outboxes
    assert (one.here, one.waiting, one.keys, one.readable) == (5, 4, ["aabbccdd"], False)
    assert (one.first_at, one.last_at) == (
        "2026-11-22T05:00:01+00:00",
        "2026-11-22T05:00:06+00:00",
    )
    assert one.waiting_from == SOME_HOURS_AGO
    said = "\n".join(report.in_words(report.report(store, "k1")))
    assert "k1 is retired since 2026-11-22" in said
    assert "5 check-ins are at the central" in said
    assert "4 check-ins were on the kiosk alone" in said
    assert "sealed to key aabbccdd" in said


def test_what_was_not_sealed_is_said_loudly(central, store, wire):
    deliver(wire, body(1, **SEALED), body(2))
    central.turn(0)
    assert report.report(store, "k1").outboxes[0].readable
    assert any(
        "NOT EVERYTHING WAS SEALED" in line for line in report.in_words(report.report(store, "k1"))
    )


def test_a_refusal_at_the_end_is_no_sign_that_nothing_is_sealed(central, store, wire):
    deliver(wire, body(1, **SEALED), body(2, person=None, refused="hours"))
    central.turn(0)
    (one,) = report.report(store, "k1").outboxes
    assert (one.keys, one.readable) == (["aabbccdd"], False)


def test_an_outbox_that_never_sent_anything_is_told_by_its_state(central, store, wire):
    wire.deliver(HERE.state, state(appended=3, confirmed=0))
    central.turn(0)
    central.stop()
    found = report.report(store, "k1")
    assert found.outboxes == [
        OutboxReport("cp", "ob", here=0, waiting=3, waiting_from=SOME_HOURS_AGO)
    ]
    assert any("3 check-ins were on the kiosk alone" in line for line in report.in_words(found))


def test_of_a_kiosk_nobody_knows_nothing_is_said(store):
    assert report.report(store, "k9") == Report("k9", "", "", "", [])
    assert "Nothing ever came from it" in report.in_words(report.report(store, "k9"))[-1]


@pytest.mark.parametrize(
    ("ledger", "confirmed", "appended", "expected"),
    [
        (Ledger(), 0, 0, 0),
        (Ledger(), 3, 10, 7),
        (Ledger(through=10), 3, 10, 0),
        (Ledger(through=4, beyond=[(6, 7), (9, 12)]), 0, 10, 2),
        (Ledger(through=2, beyond=[(4, 6)]), 5, 10, 4),
        (Ledger(through=20), 3, 10, 0),
    ],
)
def test_only_what_is_not_here_was_on_the_kiosk_alone(ledger, confirmed, appended, expected):
    place = (HERE, "ob")
    assert report.missing({place: ledger}, place, confirmed, appended) == expected


def test_of_a_retired_kiosk_nothing_is_kept_confirmed_or_refused(central, store, wire):
    store.retire("k1", NOON, "stolen")
    deliver(wire, body(1))
    wire.deliver(HERE.state, state(appended=1, confirmed=0))
    central.turn(0)
    central.stop()
    assert (store.count(), wire.published, store.state("k1")) == (0, [], None)
    assert wire.acknowledged == [1, 1]  # or the broker would keep it for us for ever


def test_what_was_retired_by_mistake_comes_once_that_is_undone(central, store, wire):
    store.retire("k1", NOON, "")
    deliver(wire, body(1))
    central.turn(0)
    store.take_again("k1")
    deliver(wire, body(1))  # a kiosk that isn't confirmed sends it again
    central.turn(0)
    assert store.count() == 1
    assert [receipt.through for _, receipt in wire.published] == [1]


def test_others_are_taken_meanwhile(central, store, wire):
    store.retire("k2", NOON, "")
    deliver(wire, body(1))
    central.turn(0)
    assert store.count() == 1


def test_the_commands_say_it_for_people_and_for_programs(file, store):
    store.keep([Receiver().receive(HERE, b"[" + body(1, **SEALED) + b"]")], NOON)
    runner = CliRunner()

    def ran(*arguments):
        done = runner.invoke(main, [*arguments, "--kiosk", "k1", "--database", str(file)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "Nothing of k1 is taken any more" in ran("retire", "--because", "stolen")
    assert json.loads(ran("report", "--json"))["because"] == "stolen"
    assert "1 check-in is at the central" in ran("report")
    assert "taken again" in ran("retire", "--undo")
    assert json.loads(ran("report", "--json"))["retired_at"] == ""
