"""The outbox, on real SQLite."""

import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from checkin import event, outbox
from checkin.outbox import Anchor, Outbox, OutboxError, OutboxLostError, Summary, Visit
from tests.made_up import BOOT, NOON, append, body, entry

FILES = Path(__file__).parent.parent / "files"


@pytest.fixture
def box(tmp_path):
    opened = Outbox(tmp_path / "outbox.db")
    yield opened
    opened.close()


def seqs(found):
    return found.seqs


def test_check_ins_are_counted_from_one_without_a_gap(box):
    assert [append(box, n) for n in range(3)] == [1, 2, 3]
    assert box.appended() == 3


def test_pending_is_oldest_first_limited_and_the_very_bytes(box):
    for n in range(5):
        append(box, n)
    rows = box.pending(after=1, limit=3)
    assert seqs(rows) == [2, 3, 4]
    assert rows.bodies[0] == body(2, box.id, id="id-1")
    assert rows.damaged == []
    assert seqs(box.pending(after=0, limit=9, through=2)) == [1, 2]


def test_check_ins_survive_a_reopening(box):
    append(box, 0)
    again = Outbox(box.path)
    assert again.id == box.id
    assert seqs(again.pending(0, 9)) == [1]
    again.close()


def test_the_other_process_sees_a_check_in_at_once(box):
    other = Outbox(box.path, create=False)
    append(box, 0)
    assert seqs(other.pending(0, 9)) == [1]
    other.settle(1)
    assert box.pending_count() == 0
    other.close()


def test_settling_moves_one_watermark_and_never_back(box):
    for n in range(5):
        append(box, n)
    box.settle(3)
    box.settle(2)
    third, fifth = ((NOON + timedelta(seconds=after)).isoformat() for after in (3, 4))
    assert box.summary() == Summary(box.id, 5, 3, third, 0, last_at=fifth)
    assert box.summary().pending == 2


def test_settling_never_passes_the_last_row(box):
    append(box, 0)
    box.settle(900)
    assert append(box, 1) == 2
    assert box.pending_count() == 1


def test_refused_rows_are_set_aside_kept_and_not_sent_again(box):
    for n in range(3):
        append(box, n)
    box.settle(3, {2: "no such kiosk"})
    assert box.set_aside() == {2: "no such kiosk"}
    assert seqs(box.pending(0, 9)) == [1, 3]
    box.prune(None)
    assert box.summary().set_aside == 1
    with sqlite3.connect(box.path) as db:
        assert db.execute("select seq from checkins").fetchall() == [(2,)]


LATER = NOON + timedelta(hours=1)
MUCH_LATER = NOON + timedelta(hours=9)


def test_pruning_takes_only_what_is_confirmed_and_was_so_for_long(box):
    for n in range(4):
        append(box, n)
    box.settle(2, at=NOON)
    box.settle(3, at=LATER)
    assert box.prune(NOON) == 0
    assert box.prune(LATER) == 2
    assert seqs(box.pending(0, 9)) == [3, 4]
    assert box.prune(LATER) == 0
    assert box.prune(MUCH_LATER) == 1
    assert seqs(box.pending(0, 9)) == [4]


def test_pruning_does_not_go_by_when_a_check_in_was_made(box):
    """A Pi without a clock chip stamped it days ago; it was confirmed a minute ago."""
    append(box, 0, at=NOON - timedelta(days=9))
    box.settle(1, at=NOON)
    assert box.prune(NOON - timedelta(hours=72)) == 0


def test_what_was_confirmed_under_an_unknown_clock_goes_only_when_room_is_needed(box):
    append(box, 0)
    append(box, 1)
    box.settle(1)
    assert box.prune(MUCH_LATER) == 0
    assert box.prune(None) == 1
    assert seqs(box.pending(0, 9)) == [2]


def test_a_count_is_never_used_twice_even_after_pruning_everything(box):
    for n in range(3):
        append(box, n)
    box.settle(3)
    assert box.prune(None) == 3
    assert append(box, 9) == 4


def test_pruning_is_done_in_pieces(box, monkeypatch):
    monkeypatch.setattr(outbox, "PRUNED_AT_ONCE", 2)
    for n in range(5):
        append(box, n)
    box.settle(5)
    assert [box.prune(None) for _ in range(4)] == [2, 2, 1, 0]


def test_a_failed_check_in_leaves_nothing_and_the_next_takes_its_count(box):
    def fail(_box, _seq):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        box.append(entry(0), fail)
    assert append(box, 1) == 1


def test_a_row_that_the_disk_spoilt_is_known(box):
    append(box, 0)
    with sqlite3.connect(box.path) as db:
        db.execute("update checkins set body = replace(body, 'ABC', 'ABD')")
    append(box, 1)
    found = box.pending(0, 9)
    assert (found.seqs, found.damaged) == ([2], [1])


def test_a_file_of_an_earlier_version_keeps_what_is_in_it(tmp_path):
    path = tmp_path / "outbox.db"
    shutil.copy(FILES / "outbox-m001.db", path)
    with pytest.raises(OutboxError, match="older version; vaora-kiosk brings it up to date"):
        Outbox(path, create=False)
    box = Outbox(path)
    assert box.id == "00ac3fddb1a742d8e90ce98d6bd82f3d"
    found = box.summary()
    assert (found.appended, found.confirmed, found.set_aside) == (6, 3, 1)
    assert box.pending(3, 9).seqs == [4, 5, 6]
    assert box.pending(0, 9).damaged == []
    assert box.set_aside() == {3: "no such checkpoint"}
    assert append(box, 7) == 7
    box.close()


def test_a_file_of_a_later_version_is_left_alone(box):
    with sqlite3.connect(box.path) as db:
        db.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at)"
            " values ('vaora-outbox', 'm999_later', '')"
        )
    for create in (True, False):
        with pytest.raises(OutboxError, match="newer version; install that one again"):
            Outbox(box.path, create=create)


def test_a_seq_is_never_given_twice_though_all_is_pruned(box):
    for n in range(3):
        append(box, n)
    box.settle(3)
    assert box.prune(None) == 3
    assert append(box, 3) == 4


def test_what_is_known_of_the_clock_stays_as_long_as_its_check_ins(box):
    first = Anchor("boot-1", 10.0, NOON, 0.4)
    box.note_anchor(first)
    box.note_anchor(Anchor(BOOT, 5.0, NOON + timedelta(days=1), 0.4))
    later = Anchor(BOOT, 9.0, NOON + timedelta(days=2), 0.4)
    box.note_anchor(later)
    assert box.anchors(9) == [first, later]
    assert box.anchors(1) == [later]
    append(box, 0)
    assert box.prune(None) == 0
    assert box.anchors(9) == [later]


def test_a_start_makes_neither_the_file_nor_its_log_longer(tmp_path):
    path = tmp_path / "outbox.db"
    box = Outbox(path)
    for n in range(6000):
        append(box, n)
    box.settle(6000)
    while box.prune(None):
        pass
    box.close()
    sizes = set()
    for _ in range(5):
        box = Outbox(path)
        assert path.with_name("outbox.db-wal").stat().st_size < 3_000_000
        box.close()
        sizes.add(path.stat().st_size)
    assert len(sizes) == 1


def test_what_a_power_cut_left_of_a_start_is_cleared_away(box):
    with sqlite3.connect(box.path) as db:
        db.execute("create table room (filler blob)")
        db.execute("insert into room values (zeroblob(3000000))")
    again = Outbox(box.path)
    assert not again._db.execute("select 1 from sqlite_master where name = 'room'").fetchone()
    append(again, 0)
    again.close()


def test_a_disk_without_room_for_a_long_log_still_starts(box, monkeypatch):
    append(box, 0)
    disk = SimpleNamespace(f_bavail=100, f_frsize=4096)
    monkeypatch.setattr(outbox.os, "statvfs", lambda _path: disk)
    again = Outbox(box.path)
    append(again, 1)
    again.close()


def test_a_full_outbox_refuses_and_says_what_to_do(tmp_path):
    box = Outbox(tmp_path / "outbox.db", limit_rows=10)
    for n in range(9):
        append(box, n)
    assert box.room() == "near"
    append(box, 9)
    assert box.room() == "full"
    with pytest.raises(OutboxError, match="10 check-ins are waiting.*Bring back the network"):
        append(box, 10)
    box.settle(5)
    append(box, 10)
    box.close()


def test_a_disk_without_room_refuses(tmp_path):
    box = Outbox(tmp_path / "outbox.db", min_free_bytes=2**60)
    with pytest.raises(OutboxError, match="make room on the disk"):
        append(box, 0)
    assert box.appended() == 0
    box.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
from checkin.outbox import Anchor, Outbox, OutboxError
from tests.made_up import append
box = Outbox(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
done = 0
try:
    for n in range(5000):
        append(box, n)
        done += 1
except OutboxError as error:
    print(done, box.appended(), str(error))
"""


def test_a_disk_that_fills_up_in_mid_write_loses_nothing_that_was_said(tmp_path):
    path = tmp_path / "outbox.db"
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    done, appended, said = ran.stdout.split(" ", 2)
    assert 10 < int(done) < 5000
    assert int(appended) == int(done)
    assert "a check-in could not be written" in said
    box = Outbox(path)
    assert len(box.pending(0, 10_000).seqs) == int(done)
    box.close()


def test_room_that_pruning_made_inside_the_file_is_room(tmp_path, monkeypatch):
    box = Outbox(tmp_path / "outbox.db", min_free_bytes=1_500_000)
    for n in range(2000):
        append(box, n)
    disk = SimpleNamespace(f_bavail=0, f_frsize=4096)
    monkeypatch.setattr(outbox.os, "statvfs", lambda _path: disk)
    with pytest.raises(OutboxError, match="make room"):
        append(box, 2000)
    box.settle(2000)
    while box.prune(None):
        pass
    append(box, 2000)
    box.close()


def test_a_file_that_was_deleted_under_the_kiosk_takes_no_more(box):
    append(box, 0)
    box.path.unlink()
    with pytest.raises(OutboxLostError, match="moved or deleted"):
        append(box, 1)


def test_a_log_that_was_deleted_under_the_kiosk_takes_no_more(box):
    """The newest rows lie in it: whoever deletes it deletes them, and no more may follow."""
    append(box, 0)
    box.path.with_name("outbox.db-wal").unlink()
    with pytest.raises(OutboxLostError, match="moved or deleted"):
        append(box, 1)


def test_a_lost_log_does_not_take_the_outbox_with_it(tmp_path):
    path = tmp_path / "outbox.db"
    box = Outbox(path)
    first = box.id
    append(box, 0)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).rename(tmp_path / f"lost{ending}")
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    box.close()
    again = Outbox(copy)
    assert again.id == first
    again.close()


def test_writing_can_be_tried(box):
    box.try_writing()
    assert box.summary().confirmed == 0
    box._db.execute("pragma query_only = on")
    with pytest.raises(OutboxError, match="can't be written"):
        box.try_writing()


def test_a_bad_page_deep_in_a_large_file_is_found_when_looked_for(tmp_path, monkeypatch):
    path = tmp_path / "outbox.db"
    box = Outbox(path)
    for n in range(400):
        append(box, n)
    box.close()
    monkeypatch.setattr(outbox, "CHECKED_AT_START_BYTES", 1000)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 9 * 4096)
        file.write(os.urandom(8 * 4096))
    assert outbox.set_aside_if_damaged(path) is None
    again = Outbox(path)
    with pytest.raises(OutboxLostError):
        again.pending(0, 1000)
    again.close()
    assert outbox.set_aside_if_damaged(path, thorough=True) is not None
    assert not path.exists()


def test_visits_of_this_boot_are_remembered_oldest_first(box):
    append(box, 0)
    append(box, 0, boot="another")
    for n in range(1, 4):
        append(box, n, direction="out")
    assert box.visits(BOOT, limit=2) == [Visit(bytes([n]) * 16, float(n), "out") for n in (2, 3)]


def test_an_event_says_its_place_in_the_outbox(box):
    append(box, 0)
    decoded = event.decode(box.pending(0, 1).bodies[0])
    assert (decoded.outbox, decoded.seq) == (box.id, 1)


def test_two_outboxes_have_two_names(tmp_path):
    boxes = [Outbox(tmp_path / name) for name in ("a.db", "b.db")]
    assert boxes[0].id != boxes[1].id
    for box in boxes:
        box.close()


def test_the_group_may_write_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        box = Outbox(tmp_path / "outbox.db")
        append(box, 0)
        for ending in ("", "-wal", "-shm"):
            mode = (tmp_path / f"outbox.db{ending}").stat().st_mode & 0o777
            assert mode == 0o660, ending
        box.close()
    finally:
        os.umask(before)


def test_looking_makes_no_file(tmp_path):
    with pytest.raises(OutboxError, match="vaora-kiosk makes it"):
        Outbox(tmp_path / "outbox.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_being_made_is_waited_for(tmp_path):
    sqlite3.connect(tmp_path / "outbox.db").execute("pragma journal_mode = wal")
    with pytest.raises(OutboxError, match="being made"):
        Outbox(tmp_path / "outbox.db", create=False)


def test_a_folder_that_cannot_be_written_is_an_outbox_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError):
        Outbox(tmp_path / "file" / "outbox.db")


def test_whoever_may_not_read_it_is_told_what_to_do(tmp_path):
    folder = tmp_path / "data"
    Outbox(folder / "outbox.db").close()
    folder.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)  # nobody: to root no folder is closed
    try:
        for act in (
            lambda: Outbox(folder / "outbox.db", create=False),
            lambda: outbox.set_aside_if_damaged(folder / "outbox.db"),
        ):
            with pytest.raises(OutboxError, match="run it with sudo, or as a member of the group"):
                act()
    finally:
        os.seteuid(was)
        folder.chmod(0o700)


def test_it_is_durable_as_the_promise_needs(box):
    assert box._db.execute("pragma journal_mode").fetchone() == ("wal",)
    assert box._db.execute("pragma synchronous").fetchone() == (2,)  # FULL


def test_a_sound_file_is_left_where_it_is(box):
    append(box, 0)
    assert outbox.set_aside_if_damaged(box.path) is None
    assert box.is_current()


def damage_header(path):
    with path.open("r+b") as file:
        file.write(b"not a database, by any means")


def damage_pages(path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2 + 100)


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut_off])
def test_a_damaged_file_is_set_aside_whole_and_another_begins(tmp_path, damage):
    path = tmp_path / "outbox.db"
    box = Outbox(path)
    for n in range(200):
        append(box, n)
    first = box.id
    box.close()
    damage(path)
    damaged = path.read_bytes()
    aside = outbox.set_aside_if_damaged(path)
    assert aside is not None
    assert aside.read_bytes() == damaged
    again = Outbox(path)
    assert again.id != first
    assert append(again, 0) == 1
    again.close()
    damage_header(path)
    assert outbox.set_aside_if_damaged(path).name == "outbox.db.damaged-2"


def test_an_outbox_that_was_replaced_is_noticed(box):
    assert box.is_current()
    box.path.rename(box.path.with_suffix(".gone"))
    assert not box.is_current()
    Outbox(box.path).close()
    assert not box.is_current()


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_cut_while_a_damaged_file_is_set_aside_leaves_file_and_log_together(
    tmp_path, monkeypatch, steps
):
    path = tmp_path / "outbox.db"
    box = Outbox(path)
    for n in range(5):
        append(box, n)
    names = ["outbox.db", "outbox.db-wal", "outbox.db-shm"]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    unlink, done = Path.unlink, []

    def cut(self, **how):
        if len(done) == steps:
            raise OSError(5, "the power went")
        done.append(self)
        unlink(self, **how)

    monkeypatch.setattr("checkin.outbox._is_sound", lambda *_, **__: False)
    monkeypatch.setattr("pathlib.Path.unlink", cut)
    with pytest.raises(OutboxError):
        outbox.set_aside_if_damaged(path)
    for name, content in before.items():
        aside = tmp_path / name.replace("outbox.db", "outbox.db.damaged-1")
        assert aside.read_bytes() == content
    # A log is never left without its file but for SQLite to throw away.
    assert path.exists() or steps > 0
    box.close()
