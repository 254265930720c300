"""What a technician carries by hand: a backlog on a stick, and what is left of a damaged outbox."""

import random
import shutil

import pytest
from click.testing import CliRunner

from central.__main__ import main as central
from central.store import Store
from checkin import recovery, stick
from checkin.outbox import Anchor, Outbox
from checkin.stick import Head, StickError
from sync_daemon.__main__ import main as sync
from sync_daemon.topics import Receipt, Refusal, encode
from tests.made_up import BOOT, NOON, append

SETTINGS = """
seal = "off"
[kiosk]
id = "k1"
checkpoint = "cp"
data_dir = "{0}/data"
runtime_dir = "{0}/run"
"""


@pytest.fixture
def box(tmp_path):
    (tmp_path / "kiosk.toml").write_text(SETTINGS.format(tmp_path))
    opened = Outbox(tmp_path / "data" / "outbox.db")
    yield opened
    opened.close()


def run(program, folder, *words, code=0):
    before = ["--settings", str(folder / "kiosk.toml")] if program is sync else []
    ended = CliRunner().invoke(program, [*before, *map(str, words)])
    assert ended.exit_code == code, ended.output
    assert ended.exception is None or code
    return ended.output


def database(folder):
    return "--database", folder / "central.db"


def stored(folder):
    store = Store(folder / "central.db")
    kept = [(one.seq, one.body) for one in store.all_checkins()]
    store.close()
    return kept


def test_a_bus_that_never_meets_a_network_is_confirmed_by_stick(box, tmp_path):
    for n in range(1200):
        append(box, n)
    box.settle(5)
    box.note_anchor(Anchor(BOOT, 1.0, NOON, 0.4))
    file, receipt = tmp_path / "bus.vaora", tmp_path / "bus.receipt"
    assert "1195 check-ins written" in run(sync, tmp_path, "export", file)
    assert box.pending_count() == 1195
    said = run(central, tmp_path, "import", *database(tmp_path), file, "--receipt", receipt)
    assert "1195 new check-ins of k1 at cp" in said
    # The central never had 1 to 5: it may not confirm, and says so by how far it goes.
    assert "confirms check-ins up to 0" in said
    run(sync, tmp_path, "confirm", receipt)
    assert box.summary().confirmed == 5


def test_a_whole_backlog_by_stick_empties_the_outbox(box, tmp_path):
    for n in range(3):
        append(box, n)
    file, receipt = tmp_path / "f", tmp_path / "r"
    run(sync, tmp_path, "export", file)
    append(box, 3)  # after the export: still to be carried
    for _ in range(2):  # twice does no harm
        run(central, tmp_path, "import", *database(tmp_path), file, "--receipt", receipt)
    assert "confirmed 3 of 4; 1 wait" in run(sync, tmp_path, "confirm", receipt)
    assert [seq for seq, _ in stored(tmp_path)] == [1, 2, 3]
    assert box.pending(3, 9).seqs == [4]


def test_a_receipt_confirms_nothing_that_was_never_exported(box, tmp_path):
    append(box, 0)
    forged = tmp_path / "forged"
    forged.write_bytes(encode(Receipt(box.id, 1)))
    assert "only those up to 0 were ever exported" in run(sync, tmp_path, "confirm", forged, code=1)
    forged.write_bytes(encode(Receipt("another", 1)))
    assert "is for another outbox" in run(sync, tmp_path, "confirm", forged, code=1)
    forged.write_bytes(b"rubbish")
    assert "not a receipt" in run(sync, tmp_path, "confirm", forged, code=1)
    assert box.pending_count() == 1


def test_what_the_disk_spoilt_holds_up_no_stick_for_good(box, tmp_path):
    for n in range(1200):
        append(box, n)
    box._db.execute(
        "update checkins set body = zeroblob(9) where seq = 2 or seq between 501 and 1000"
    )
    file, receipt = tmp_path / "f", tmp_path / "r"
    assert "699 check-ins written" in run(sync, tmp_path, "export", file)
    assert len(box.set_aside()) == 501
    run(central, tmp_path, "import", *database(tmp_path), file, "--receipt", receipt)
    assert "confirmed 1200 of 1200; 0 wait" in run(sync, tmp_path, "confirm", receipt)


def test_a_receipt_sets_aside_nothing_that_is_still_to_come(box, tmp_path):
    append(box, 0)
    run(sync, tmp_path, "export", tmp_path / "f")
    forged = tmp_path / "forged"
    forged.write_bytes(encode(Receipt(box.id, 1, [Refusal(2, "x")])))
    run(sync, tmp_path, "confirm", forged)
    assert append(box, 1) == 2
    assert box.pending(1, 9).seqs == [2]


def test_nothing_else_is_written_over(box, tmp_path):
    append(box, 0)
    before = box.path.read_bytes()
    other = "is there already and is something else"
    assert other in run(sync, tmp_path, "export", box.path, code=1)
    assert other in run(sync, tmp_path, "recover", box.path, box.path, code=1)
    run(sync, tmp_path, "export", tmp_path / "f")
    file = tmp_path / "f"
    run(central, tmp_path, "import", *database(tmp_path), file)
    base = tmp_path / "central.db"
    assert other in run(central, tmp_path, "export", *database(tmp_path), base, code=1)
    assert other in run(
        central, tmp_path, "import", *database(tmp_path), file, "--receipt", base, code=1
    )
    assert box.path.read_bytes() == before
    assert [seq for seq, _ in stored(tmp_path)] == [1]
    run(central, tmp_path, "export", *database(tmp_path), tmp_path / "out.csv")
    run(central, tmp_path, "export", *database(tmp_path), tmp_path / "out.csv")
    run(sync, tmp_path, "export", file)


def test_status_goes_by_the_limits_of_the_settings(box, tmp_path):
    settings = tmp_path / "kiosk.toml"
    settings.write_text(settings.read_text() + "[outbox]\nlimit_rows = 10\n")
    for n in range(10):
        append(box, n)
    assert "outbox-full: no room for another check-in" in run(sync, tmp_path, "status")


def test_a_list_of_none_is_no_traceback(tmp_path):
    run(central, tmp_path, "list", *database(tmp_path), "--limit", "-5", code=2)


@pytest.mark.parametrize("spoil", ["cut", "letter", "line", "nul", "foot"])
def test_of_a_file_that_broke_off_or_was_changed_nothing_is_taken(box, tmp_path, spoil):
    for n in range(50):
        append(box, n)
    file, receipt = tmp_path / "f", tmp_path / "r"
    run(sync, tmp_path, "export", file)
    lines = file.read_bytes().splitlines(keepends=True)
    match spoil:
        case "cut":
            lines[40:] = [lines[40][:100]]
        case "letter":
            lines[3] = lines[3].replace(b'"in"', b'"ix"')
        case "line":
            del lines[2]
        case "nul":
            lines[5] = b"\0" + lines[5][1:]
        case "foot":
            del lines[-1]
    file.write_bytes(b"".join(lines))
    words = ("import", *database(tmp_path), file, "--receipt", receipt)
    assert "breaks off, or was changed on the way" in run(central, tmp_path, *words, code=1)
    assert stored(tmp_path) == []
    assert not receipt.exists()
    file.unlink()
    run(sync, tmp_path, "export", file)
    assert "50 new" in run(central, tmp_path, *words)


def test_a_stick_that_takes_no_writes_is_said(box, tmp_path, monkeypatch):
    append(box, 0)

    def refuse(*_arguments, **_more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    said = run(sync, tmp_path, "export", tmp_path / "missing" / "f", code=1)
    assert "is the stick full or write-protected?" in said


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\n", b"[" * 9000, b'{"format":"other"}\n'])
def test_what_is_no_backlog_is_said(tmp_path, content):
    file = tmp_path / "f"
    file.write_bytes(content)
    with pytest.raises(StickError, match="neither `vaora-sync export`"):
        stick.Reader(file)
    run(central, tmp_path, "import", *database(tmp_path), file, code=1)


def test_a_stick_that_is_full_leaves_no_half_file(tmp_path):
    with pytest.raises(StickError, match="is the stick full or write-protected"):
        stick.write(tmp_path / "missing" / "f", Head("cp", "k1", "ob"), [b"{}"])
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kiosk_cannot_speak_for_it(box, tmp_path):
    append(box, 0)
    file = tmp_path / "f"
    stick.write(file, Head("cp", "k2", box.id), box.pending(0, 9).bodies)
    said = run(central, tmp_path, "import", *database(tmp_path), file)
    assert "0 new check-ins" in said
    assert "refused: check-in 1: names /vaora/cp/k1" in said


def test_status_says_in_words_and_in_json_how_the_backlog_is(box, tmp_path):
    append(box, 0)
    box.settle(0, {1: "no such \x1b[2Jplace"})
    (tmp_path / "data" / "outbox.db.damaged-1").write_bytes(b"")
    said = run(sync, tmp_path, "status")
    assert "waiting        1" in said
    assert "fault          kiosk-silent: vaora-kiosk isn't running" in said
    assert "vaora-sync recover" in said
    assert "\x1b" not in said
    assert '"damaged_files":["' in run(sync, tmp_path, "status", "--json")


def test_status_without_an_outbox_says_what_makes_one(tmp_path):
    (tmp_path / "kiosk.toml").write_text(SETTINGS.format(tmp_path))
    assert "no outbox yet; vaora-kiosk makes it" in run(sync, tmp_path, "status", code=1)


def test_a_replay_is_asked_for_only_of_what_is_confirmed_and_kept(box, tmp_path):
    for n in range(5):
        append(box, n)
    assert "nothing to send again" in run(sync, tmp_path, "replay", code=1)
    box.settle(4)
    assert "check-ins 2 to 4 will be sent again" in run(sync, tmp_path, "replay", "--first", 2)
    assert box.asked_again() == [(2, 4)]
    box.prune(None)
    assert "not kept any more" in run(sync, tmp_path, "replay", code=1)


# ── recovery


def recovered(file, tmp_path):
    out = tmp_path / "recovered"
    run(sync, tmp_path, "recover", file, out)
    return list(stick.Reader(out).events())


def test_a_sound_file_is_recovered_whole(box, tmp_path):
    for n in range(300):
        append(box, n)
    copy = tmp_path / "copy.db"
    shutil.copy(box.path, copy)
    shutil.copy(f"{box.path}-wal", f"{copy}-wal")
    assert recovered(copy, tmp_path) == box.pending(0, 999).bodies


@pytest.mark.parametrize("seed", range(12))
def test_what_damage_left_whole_is_recovered_and_nothing_else(box, tmp_path, seed):
    chance = random.Random(seed)
    for n in range(400):
        append(box, n)
    bodies = set(box.pending(0, 999).bodies)
    box._db.execute("pragma wal_checkpoint(truncate)")
    copy = tmp_path / "copy.db"
    spoilt = bytearray(box.path.read_bytes())
    spoilt[:100] = bytes(100)  # the file's head: SQLite opens it no more
    for _ in range(30):
        at = chance.randrange(len(spoilt))
        spoilt[at] ^= 1 << chance.randrange(8)
    if seed % 2:
        del spoilt[int(len(spoilt) * 0.9) :]
    copy.write_bytes(spoilt)
    found = recovered(copy, tmp_path)
    assert set(found) <= bodies
    assert len(found) == len(set(found))
    # The newest pages lie last: a cut takes most of so small an outbox.
    assert len(found) > (30 if seed % 2 else 300)


def test_an_event_that_still_reads_but_was_changed_is_not_recovered(box, tmp_path):
    for n in range(40):
        append(box, n)
    bodies = box.pending(0, 999).bodies
    box._db.execute("pragma wal_checkpoint(truncate)")
    whole, there = box.path.read_bytes(), bodies[7]
    assert whole.count(there) == 1
    later = there.replace(b'"time":"20', b'"time":"21')
    assert later != there
    copy = tmp_path / "copy.db"
    copy.write_bytes(whole.replace(there, later))
    assert recovered(copy, tmp_path) == bodies[:7] + bodies[8:]


def test_what_is_found_is_imported_and_kept_once(box, tmp_path):
    for n in range(20):
        append(box, n)
    run(sync, tmp_path, "export", tmp_path / "f")
    run(central, tmp_path, "import", *database(tmp_path), tmp_path / "f")
    out = tmp_path / "recovered"
    run(sync, tmp_path, "recover", box.path, out)
    assert "0 new check-ins" in run(central, tmp_path, "import", *database(tmp_path), out)
    assert len(stored(tmp_path)) == 20


def test_events_on_the_border_of_two_pieces_are_found(box, tmp_path, monkeypatch):
    for n in range(60):
        append(box, n)
    monkeypatch.setattr(recovery, "PIECE_BYTES", 3000)
    assert len(recovery.recover(box.path).found) == 60


def test_a_file_without_any_check_in_is_said(tmp_path):
    (tmp_path / "kiosk.toml").write_text(SETTINGS.format(tmp_path))
    file = tmp_path / "x"
    file.write_bytes(random.Random(1).randbytes(100_000))
    said = run(sync, tmp_path, "recover", file, tmp_path / "out", code=1)
    assert "no check-in can be read" in said
