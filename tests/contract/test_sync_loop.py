"""The daemon's loop on a real outbox: what it says, when, and what it does when the disk fails."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from checkin import health
from checkin.health import KioskHealth, SyncHealth
from checkin.outbox import Outbox, OutboxError
from sync_daemon import topics
from sync_daemon.broker import Acknowledged, Connected, Lost, Message, Received, TurnedDown
from sync_daemon.loop import SyncLoop
from sync_daemon.protocol import Sender, Terms
from sync_daemon.topics import Address, Receipt, Refusal
from tests.made_up import BOOT, NOON, FakeClock, append

HERE = Address("cp", "k1")


class Wire:
    """A link that hears what it is given and keeps what it was told."""

    def __init__(self):
        self.heard, self.published, self.connects, self.closes = [], [], 0, []

    def connect(self):
        self.connects += 1
        self.heard.append(Connected(20, 2**20))

    def publish(self, message, content_type="", *, retain=False):
        self.published.append((message, content_type, retain))
        return len(self.published)

    def wait(self, _timeout_s):
        heard, self.heard = self.heard, []
        return heard

    def close(self, *, with_will=False):
        self.closes.append(with_will)


@pytest.fixture
def daemon(tmp_path):
    clock, wire = FakeClock(), Wire()
    outbox = Outbox(tmp_path / "outbox.db")
    loop = SyncLoop(
        address=HERE,
        outbox=outbox,
        sender=Sender(outbox.id, 0, Terms(answer_s=20, wait_initial_s=1), jitter=lambda: 0.5),
        broker=wire,
        clock=clock,
        kiosk_health=tmp_path / "kiosk-health.json",
        sync_health=tmp_path / "sync-health.json",
        state_every_s=60,
        keep_confirmed_h=1,
        machine=lambda: (51.5, True),
    )

    def turn(*heard, seconds=0.1):
        wire.heard += heard
        loop.turn(0)
        clock.pass_(seconds)

    def receipt(through, **more):
        body = topics.encode(Receipt(outbox.id, through, **more))
        return Received(Message(HERE.receipt, body), 0)

    def states():
        return [
            topics.read_state(message.body)
            for message, _, retained in wire.published
            if message.topic == HERE.state and retained
        ]

    def batches():
        return [message.body for message, _, _ in wire.published if message.topic == HERE.checkins]

    turn()
    turn()
    yield SimpleNamespace(
        loop=loop, clock=clock, wire=wire, outbox=outbox, turn=turn, receipt=receipt,
        states=states, batches=batches, folder=tmp_path,
    )  # fmt: skip
    outbox.close()


def test_it_connects_and_says_its_state_once(daemon):
    (state,) = daemon.states()
    assert state.online
    assert (state.boot, state.temperature_c, state.undervoltage) == (BOOT, 51.5, True)
    assert (state.outbox.appended, state.outbox.pending) == (0, 0)
    for _ in range(100):
        daemon.turn()
    assert len(daemon.states()) == 1


def test_a_state_comes_now_and_then_and_when_something_changes(daemon):
    daemon.turn(seconds=61)
    daemon.turn()
    assert len(daemon.states()) == 2
    well = KioskHealth(BOOT, daemon.clock.tick, "camera imx708", 30.0, ["camera"])
    health.write(daemon.folder / "kiosk-health.json", well)
    daemon.turn(seconds=1.1)
    daemon.turn()
    assert daemon.states()[-1].faults == ["camera"]
    assert daemon.states()[-1].camera == "camera imx708"


def test_what_was_taken_and_what_was_not_is_said_at_once(daemon):
    well = KioskHealth(
        BOOT, daemon.clock.tick, "camera imx708", 30.0, ["settings"],
        settings_version=3, trust_version=2, revocations_version=9, not_taken=["is version 2"],
    )  # fmt: skip
    health.write(daemon.folder / "kiosk-health.json", well)
    append(daemon.outbox, 1)
    daemon.turn(seconds=1.1)
    daemon.turn()
    state = daemon.states()[-1]
    assert (state.settings_version, state.trust_version, state.revocations_version) == (3, 2, 9)
    assert (state.not_taken, state.faults) == (["is version 2"], ["settings"])
    assert state.last_checkin_at == (NOON + timedelta(seconds=1)).isoformat()


def test_a_kiosk_that_is_silent_is_said(daemon):
    assert daemon.states()[0].faults == ["kiosk-silent"]


def test_a_check_in_goes_at_once_and_settles_with_its_receipt(daemon):
    append(daemon.outbox, 0)
    daemon.turn()
    assert len(daemon.batches()) == 1
    assert daemon.wire.published[-1][1] == topics.CHECKINS_TYPE
    daemon.turn(Acknowledged(len(daemon.wire.published)))
    assert daemon.outbox.pending_count() == 1
    daemon.turn(daemon.receipt(1))
    assert daemon.outbox.pending_count() == 0


def test_many_receipts_of_one_turn_are_one_commit(daemon, monkeypatch):
    for n in range(5):
        append(daemon.outbox, n)
        daemon.turn()
    settled, real = [], daemon.outbox.settle
    monkeypatch.setattr(
        daemon.outbox, "settle", lambda *given: settled.append(given) or real(*given)
    )
    daemon.turn(*(daemon.receipt(through) for through in range(1, 6)))
    assert [given[:2] for given in settled] == [(5, {})]


def test_a_refused_row_is_set_aside_and_said(daemon, caplog):
    append(daemon.outbox, 0)
    daemon.turn()
    daemon.turn(daemon.receipt(1, refused=[Refusal(1, "no such kiosk")]))
    assert daemon.outbox.set_aside() == {1: "no such kiosk"}
    assert "the central refused check-in 1: 'no such kiosk'" in caplog.text


def test_a_disk_that_is_full_is_tried_again_and_nothing_is_sent_twice(daemon, monkeypatch, caplog):
    def full(_through, _refused, _at):
        raise OutboxError("disk full")

    append(daemon.outbox, 0)
    daemon.turn()
    monkeypatch.setattr(daemon.outbox, "settle", full)
    daemon.turn(daemon.receipt(1))
    daemon.turn()
    assert daemon.outbox.pending_count() == 1
    assert "trying again" in caplog.text
    monkeypatch.undo()
    daemon.turn(seconds=2)
    daemon.turn()
    assert daemon.outbox.pending_count() == 0
    assert len(daemon.batches()) == 1


@pytest.mark.parametrize(
    "message",
    [
        Message(HERE.receipt, b"rubbish"),
        Message(HERE.receipt, b'{"outbox":"another","through":9}'),
        Message("vaora/v1/cp/k2/receipt", b'{"outbox":"x","through":9}'),
    ],
)
def test_what_is_no_receipt_of_ours_settles_nothing(daemon, message):
    append(daemon.outbox, 0)
    daemon.turn()
    daemon.turn(Received(message, 0))
    assert daemon.outbox.pending_count() == 1


def test_a_lost_link_is_said_once_and_its_return_with_what_waits(daemon, caplog):
    caplog.set_level("INFO")
    append(daemon.outbox, 0)
    daemon.turn(Lost("the cable is out"))
    for _ in range(30):
        daemon.turn()
    assert caplog.text.count("no broker: the cable is out") == 1
    assert "broker back after" in caplog.text
    assert "1 waiting" in caplog.text
    assert len(daemon.batches()) == 1


def test_a_message_that_is_turned_down_drops_the_link_and_stays(daemon, caplog):
    append(daemon.outbox, 0)
    daemon.turn()
    daemon.turn(TurnedDown(len(daemon.wire.published), "Not authorized", False))
    assert "it refuses a message (vaora/v1/cp/k1/checkins): Not authorized" in caplog.text
    assert daemon.wire.closes[-1] is True
    assert daemon.outbox.pending_count() == 1
    for _ in range(30):
        daemon.turn()
    assert len(daemon.batches()) == 2


def test_old_confirmed_check_ins_are_pruned_when_the_clock_is_known(daemon):
    for n in range(3):
        append(daemon.outbox, n)
    daemon.outbox.settle(2, at=daemon.clock.at)
    daemon.clock.at = daemon.clock.at.replace(year=2027)
    daemon.clock.synced = False
    daemon.turn(seconds=601)
    daemon.turn()
    assert len(daemon.outbox.pending(0, 9).seqs) == 3
    daemon.clock.synced = True
    daemon.turn(seconds=601)
    daemon.turn()
    assert daemon.outbox.pending(0, 9).seqs == [3]


def test_room_is_made_of_what_is_confirmed_when_it_gets_tight(daemon, monkeypatch):
    for n in range(2):
        append(daemon.outbox, n)
    daemon.outbox.settle(2)
    monkeypatch.setattr(daemon.outbox, "room", lambda: "near")
    daemon.turn(seconds=1.1)
    daemon.turn()
    assert daemon.states()[-1].faults == ["kiosk-silent", "outbox-near"]
    daemon.turn(seconds=601)
    daemon.turn()
    assert daemon.outbox.pending(0, 9).seqs == []


def test_a_disk_that_cannot_be_read_is_said_once_and_waited_for(daemon, monkeypatch, caplog):
    def bad(*_given):
        raise OutboxError("outbox.db: can't be read: disk I/O error")

    append(daemon.outbox, 0)
    monkeypatch.setattr(daemon.outbox, "pending", bad)
    for _ in range(50):
        daemon.turn()
    assert caplog.text.count("disk I/O error") == 1
    monkeypatch.undo()
    for _ in range(20):
        daemon.turn()
    assert len(daemon.batches()) == 1


def test_a_silent_central_is_said_and_its_return_too(daemon, caplog):
    caplog.set_level("INFO")
    append(daemon.outbox, 0)
    daemon.turn()
    daemon.turn(*(Acknowledged(mid) for mid in range(1, len(daemon.wire.published) + 1)))
    daemon.turn(seconds=21)
    daemon.turn()
    assert caplog.text.count("the broker answers, the central doesn't") == 1
    daemon.turn(daemon.receipt(1))
    assert "the central answers again" in caplog.text


def test_over_mqtt_3_nothing_is_sent_on_the_brokers_word_alone(daemon, caplog):
    daemon.loop._needs_refusals = True
    append(daemon.outbox, 0)
    before = len(daemon.batches())
    daemon.turn(Connected(20, 2**20, can_refuse=False))
    assert len(daemon.batches()) == before
    assert "acknowledges what it throws away" in caplog.text


def test_its_own_health_is_told(daemon):
    told = health.read(
        daemon.folder / "sync-health.json", SyncHealth, boot=BOOT, tick=daemon.clock.tick
    )
    assert told.broker == "online"
    assert told.last_settled_tick is None


def test_going_says_offline(daemon):
    daemon.loop.stop()
    assert daemon.wire.closes == [True]


def test_what_a_technician_wants_again_is_sent_once_and_then_forgotten(daemon, caplog):
    caplog.set_level("INFO")
    for n in range(4):
        append(daemon.outbox, n)
    daemon.turn()
    daemon.turn(daemon.receipt(4))
    sent = len(daemon.batches())
    daemon.outbox.ask_again(2, 3)
    for _ in range(30):
        daemon.turn()
        daemon.turn(Acknowledged(len(daemon.wire.published)))
    assert len(daemon.batches()) == sent + 1
    assert b'"sequence":"0000000000000000002"' in daemon.batches()[-1]
    assert daemon.outbox.asked_again() == []
    assert caplog.text.count("check-ins 2 to 3 were sent again") == 1


def test_a_drain_commits_once_for_each_receipt_at_the_most(daemon):
    settled = []
    settle = daemon.outbox.settle
    daemon.outbox.settle = lambda *a, **k: (settled.append(a), settle(*a, **k))
    for n in range(300):
        append(daemon.outbox, n)
    receipts = 0
    daemon.loop._sender._terms = Terms(answer_s=20, batch_rows=10, window=4)
    for _ in range(200):
        daemon.turn(seconds=0.01)
        through = daemon.loop._sender._sent
        if daemon.loop._sender.in_flight:
            daemon.turn(daemon.receipt(through), daemon.receipt(through), seconds=0.01)
            receipts += 2
    assert daemon.outbox.pending_count() == 0
    assert 0 < len(settled) <= receipts


def test_the_clock_is_written_down_once_a_boot_and_after_each_jump(daemon):
    for _ in range(50):
        daemon.turn()
    (first,) = daemon.outbox.anchors(9)
    assert (first.boot, first.error_s) == (BOOT, 0.4)
    assert first.at.timestamp() - first.tick == pytest.approx(
        daemon.clock.at.timestamp() - daemon.clock.tick
    )
    daemon.clock.at += timedelta(hours=3)
    daemon.turn()
    (second,) = daemon.outbox.anchors(9)
    assert second.at - first.at > timedelta(hours=3)
    daemon.turn(seconds=2)
    daemon.turn()
    assert [one.at for one in daemon.states()[-1].anchors] == [second.at]


def test_a_clock_that_was_never_set_is_no_anchor(daemon):
    daemon.clock.synced, daemon.clock.boot = False, "another-boot"
    daemon.turn()
    assert [one.boot for one in daemon.outbox.anchors(9)] == [BOOT]


def test_an_outbox_that_went_back_is_a_fault_and_says_what_to_do(daemon, caplog):
    append(daemon.outbox, 0)
    daemon.turn()
    daemon.turn(daemon.receipt(7), seconds=2)
    daemon.turn()
    assert "outbox-went-back" in daemon.states()[-1].faults
    assert caplog.text.count("check-ins of this outbox up to 7, which this file never had") == 1


def test_a_replay_that_was_cut_off_is_begun_again(daemon):
    for n in range(4):
        append(daemon.outbox, n)
    daemon.turn()
    daemon.turn(daemon.receipt(4))
    daemon.outbox.ask_again(1, 4)
    daemon.turn(seconds=2)
    daemon.turn()
    sent = len(daemon.batches())
    daemon.turn(Lost("the cable is out"))
    for _ in range(30):
        daemon.turn()
    assert len(daemon.batches()) > sent
    assert daemon.outbox.asked_again() == [(1, 4)]
    for _ in range(5):
        daemon.turn(Acknowledged(len(daemon.wire.published)), seconds=1)
    assert daemon.outbox.asked_again() == []


def test_a_replay_over_a_bad_link_goes_on_where_it_was(daemon):
    for n in range(40):
        append(daemon.outbox, n)
    daemon.turn()
    daemon.turn(daemon.receipt(40))
    daemon.loop._sender._terms = Terms(answer_s=20, batch_rows=10, wait_initial_s=1)
    daemon.outbox.ask_again(1, 40)
    begun = len(daemon.wire.published)
    daemon.turn(seconds=2)
    daemon.turn()
    first = list(range(begun + 1, len(daemon.wire.published) + 1))
    daemon.turn(*[Acknowledged(number) for number in first[:2]])
    daemon.turn(Lost("the cable is out"))
    for _ in range(3):
        daemon.turn()
    ((at, last),) = daemon.outbox.asked_again()
    assert (at > 1, last) == (True, 40)


def test_a_clock_that_could_not_be_written_down_is_tried_again(daemon):
    daemon.outbox._db.execute("delete from anchors")
    note, failed = daemon.outbox.note_anchor, []

    def full(anchor):
        failed.append(anchor)
        raise OutboxError("full")

    daemon.outbox.note_anchor, daemon.loop._anchor = full, None
    append(daemon.outbox, 0)
    daemon.turn(seconds=2)
    assert failed
    assert len(daemon.batches()) == 1  # and it holds up nothing
    daemon.outbox.note_anchor = note
    daemon.turn(seconds=2)
    daemon.turn(seconds=2)
    assert [one.boot for one in daemon.outbox.anchors(9)] == [BOOT]
