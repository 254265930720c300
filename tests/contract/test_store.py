"""The central's file, on real SQLite."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlite_utils import Database

from central.store import Store, StoreError, StoreLostError, migrations
from checkin import event
from sync_daemon.protocol import Ledger, Receiver, Refused
from sync_daemon.topics import Address
from tests.made_up import NOON, body, check_in

HERE = Address("cp", "k1")
FILES = Path(__file__).parent.parent / "files"


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "central.db")
    yield opened
    opened.close()


def delivery(*bodies, receiver=None):
    return (receiver or Receiver()).receive(HERE, b"[" + b",".join(bodies) + b"]")


def keep(store, *bodies):
    return store.keep([delivery(*bodies)], NOON)[0]


def test_what_is_kept_is_listed_newest_first(store):
    keep(store, body(1), body(2))
    listed = list(store.checkins(10))
    assert [kept.seq for kept in listed] == [2, 1]
    assert listed[0].body == body(2)
    data = listed[0].checkin.data
    assert (data.kiosk, data.direction, data.credential.kind) == ("k1", "in", "visitor")
    assert list(store.checkins(10, kiosk="other")) == []
    assert [kept.seq for kept in store.all_checkins()] == [1, 2]


def test_a_check_in_that_comes_again_is_kept_once_and_still_counts_as_kept(store):
    for _ in range(3):
        assert [(run.first, run.last) for run in keep(store, body(1)).runs] == [(1, 1)]
    assert store.count() == 1


def test_another_check_in_in_the_same_place_is_refused_and_said(store):
    keep(store, body(1))
    clone = body(1, id="somebody-elses")
    kept = keep(store, clone)
    assert kept.runs == ()
    reason = "another check-in is at 1 of this outbox already"
    assert kept.refused == (Refused("ob", 1, reason, clone),)
    # Nothing that came is thrown away: what can't be taken lies beside, as it came.
    assert store._db.execute("select seq, body from refused").fetchall() == [(1, clone)]
    assert store.count() == 1


def test_a_message_of_which_some_is_here_adds_the_rest(store):
    keep(store, body(2), body(3))
    keep(store, body(6))
    kept = keep(store, *(body(seq) for seq in range(1, 8)))
    assert [(run.first, run.last) for run in kept.runs] == [(seq, seq) for seq in range(1, 8)]
    assert [kept.seq for kept in store.all_checkins()] == [1, 2, 3, 4, 5, 6, 7]
    assert [kept.body for kept in store.all_checkins()] == [body(seq) for seq in range(1, 8)]


def test_a_clone_in_the_middle_of_a_message_is_refused_and_the_rest_is_kept(store):
    keep(store, body(1), body(2), body(3))
    kept = keep(store, body(2), body(3, id="another"), body(4))
    assert [run.first for run in kept.runs] == [2, 4]
    assert [one.seq for one in kept.refused] == [3]
    assert [kept.body for kept in store.all_checkins()] == [body(seq) for seq in range(1, 5)]


def test_sql_sees_a_row_for_each_check_in(store, tmp_path):
    keep(store, body(1), body(2))
    with closing(sqlite3.connect(tmp_path / "central.db")) as db:
        found = db.execute("select checkpoint, kiosk, seq, id, direction, synced from checkins")
        assert found.fetchall() == [
            ("cp", "k1", 1, "ob-1", "in", 1),
            ("cp", "k1", 2, "ob-2", "in", 1),
        ]


def test_a_restart_knows_what_is_here(tmp_path):
    store, receiver = Store(tmp_path / "c.db"), Receiver()
    (kept,) = store.keep([delivery(body(1), body(2), body(5))], NOON)
    receiver.kept(kept)
    store.note_gone(HERE, "ob", [(3, 3)], NOON)
    store.close()
    ledgers = Store(tmp_path / "c.db").ledgers()
    assert ledgers == {(HERE, "ob"): Ledger(through=3, beyond=[(5, 5)])}


def test_a_saved_ledger_is_brought_up_to_date_by_the_rows(tmp_path):
    store = Store(tmp_path / "c.db")
    keep(store, body(1), body(2))
    store.save({(HERE, "ob"): Ledger(through=2, known=9)})
    keep(store, body(3), body(5))
    assert store.ledgers() == {(HERE, "ob"): Ledger(through=3, beyond=[(5, 5)], known=9)}
    store.close()


def test_a_refusal_is_remembered(tmp_path):
    store = Store(tmp_path / "c.db")
    bad = body(2).replace(b'"direction":"in"', b'"direction":"up"')
    for _ in range(2):
        keep(store, body(1), bad)
    ledger = store.ledgers()[HERE, "ob"]
    assert ledger.through == 2
    assert list(ledger.refused) == [2]
    store.close()


def test_two_kiosks_are_counted_apart(store):
    keep(store, body(1))
    other = Address("cp", "k2")
    theirs = Receiver().receive(other, b"[" + body(1, "o2", kiosk="k2") + b"]")
    store.keep([theirs], NOON)
    assert {address.kiosk for address, _ in store.ledgers()} == {"k1", "k2"}


@pytest.mark.parametrize("part", ["c.db", "c.db-wal"])
def test_a_file_that_was_deleted_under_the_central_confirms_no_more(tmp_path, part):
    store = Store(tmp_path / "c.db")
    keep(store, body(1))
    (tmp_path / part).unlink()
    with pytest.raises(StoreLostError, match="moved or deleted"):
        keep(store, body(2))
    store.close()


def test_a_file_that_is_none_is_said(tmp_path):
    (tmp_path / "c.db").write_bytes(b"no database at all, but long enough to be looked at" * 9)
    with pytest.raises(StoreError, match=r"c\.db"):
        Store(tmp_path / "c.db")


def test_a_refusal_is_kept_with_its_reason_among_the_check_ins(store):
    refusal = msgspec.structs.replace(
        check_in(2, person=None, refused="other-checkpoint"), type=event.REFUSAL
    )
    keep(store, body(1), event.encode(refusal))
    assert [kept.checkin.data.refused for kept in store.all_checkins()] == ["", "other-checkpoint"]


@pytest.mark.parametrize("version", ["m001_begin", "m002_refusals"])
def test_an_empty_file_of_an_earlier_version_is_taken_over(tmp_path, version):
    file = tmp_path / "old.db"
    names = [one.name for one in migrations.pending(Database(memory=True))]
    with closing(sqlite3.connect(file)) as db:
        following = names[names.index(version) + 1]
        migrations.apply(Database(db), stop_before=following)
        db.commit()
    store = Store(file)
    keep(store, body(1))
    assert store.count() == 1
    store.close()


def test_a_file_of_an_earlier_version_keeps_what_is_in_it(tmp_path):
    file = tmp_path / "central.db"
    shutil.copy(FILES / "central-m002.db", file)
    store = Store(file)
    kept = list(store.all_checkins())
    assert [one.seq for one in kept] == [2, 4, 5, 6]
    assert {one.received_at for one in kept} == {NOON.isoformat()}
    outbox = kept[0].checkin.outbox
    ledger = store.ledgers()[HERE, outbox]
    assert (ledger.through, list(ledger.refused)) == (6, [3])
    again = keep(store, kept[0].body, body(7, outbox))
    assert [run.first for run in again.runs] == [2, 7]
    assert store.count() == 5
    store.close()
