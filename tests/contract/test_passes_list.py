"""The list of passes: whole whatever happens, its owner's alone, and no longer than needed."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from datetime import timedelta

import msgspec
import pytest

from provisioning import issuing, passes_list
from provisioning.passes_list import PassesError, Row
from tests import printed
from tests.printed import AT, KEY


def row(number=1, **changes):
    told = {
        "pass_id": f"{number:016x}",
        "kind": "visitor",
        "holder": "Phan Thị Mẫu",
        "begins": AT,
        "ends": AT + timedelta(hours=8),
        "checkpoints": "0100123 cp-2",
        "form_number": "A-17",
        "issued_at": AT,
    }
    return Row(**(told | changes))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "passes.csv"


def test_what_was_added_is_read_back(file):
    passes_list.add(file, [row(1), row(2, holder='Ngô "Mẫu", A', checkpoints="")])
    passes_list.add(file, [row(3, kind="staff")])
    assert passes_list.read(file) == [
        row(1), row(2, holder='Ngô "Mẫu", A', checkpoints=""), row(3, kind="staff"),
    ]  # fmt: skip
    assert file.read_text("utf-8-sig").splitlines()[0] == ",".join(passes_list.HEADER)
    assert set(passes_list.HEADER) == {field.encode_name for field in msgspec.structs.fields(Row)}


def test_names_of_visitors_are_for_its_owner_alone(file):
    passes_list.add(file, [row()])
    assert {stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()} == {0o600}


def test_no_file_is_an_empty_list(file):
    assert passes_list.read(file) == []
    assert passes_list.revoked(file, AT) == []


def test_a_pass_that_is_called_back_is_told_to_kiosks_until_a_month_after_its_end(file):
    passes_list.add(file, [row(2), row(1), row(3)])
    ids = frozenset({row(1).pass_id, row(2).pass_id})
    passes_list.change(file, lambda rows: passes_list.called_back(rows, ids=ids, holder="", at=AT))
    assert passes_list.revoked(file, AT) == [row(1).pass_id, row(2).pass_id]
    assert passes_list.revoked(file, row().ends + timedelta(days=29)) != []
    assert passes_list.revoked(file, row().ends + timedelta(days=30)) == []


def test_who_was_called_back_stays_so_since_the_first_time(file):
    later = AT + timedelta(hours=1)
    once = passes_list.called_back([row()], ids=frozenset(), holder="Phan Thị Mẫu", at=AT)
    twice = passes_list.called_back(once, ids=frozenset({row().pass_id}), holder="", at=later)
    assert twice == once
    assert once[0].state(AT) == "called back"


@pytest.mark.parametrize(
    ("ids", "holder", "said"),
    [({"ffffffffffffffff"}, "", "'ffffffffffffffff': no pass"), (set(), "Ai", "'Ai': nobody")],
)
def test_who_isnt_on_the_list_is_said(ids, holder, said):
    with pytest.raises(PassesError, match=said):
        passes_list.called_back([row()], ids=frozenset(ids), holder=holder, at=AT)


def test_names_are_forgotten_once_the_pass_is_over():
    rows = [row(1), row(2, ends=AT + timedelta(hours=9))]
    at = AT + timedelta(hours=8)
    assert passes_list.without_names_of_the_past(rows, at) == [
        row(1, holder="", form_number=""), rows[1],
    ]  # fmt: skip


def test_a_pass_is_not_yet_then_valid_then_over():
    assert [row().state(AT + timedelta(hours=hours)) for hours in (-1, 0, 7, 8)] == [
        "not yet", "valid", "valid", "over",
    ]  # fmt: skip


def test_a_batch_is_what_was_issued_in_one_go():
    rows = [row(1), row(2), row(3, issued_at=AT + timedelta(seconds=1))]
    chosen = passes_list.chosen(rows, frozenset({row(2).pass_id}), batch=True)
    assert chosen == rows[:2]


def test_a_pass_that_is_on_the_list_is_signed_again_letter_for_letter(file):
    passes = printed.made({"holder": "Phan Thị Mẫu", "checkpoints": "0100123"}, {"holder": "Mẫu"})
    passes_list.add(file, [one.row for one in passes])
    again = [issuing.sign(one, KEY) for one in passes_list.read(file)]
    assert again == [one.text for one in passes]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is no table"),
        (b'pass_id,kind\n"', "is no table"),
        (b"x,y\n1,2\n", "line 2: Object missing required field"),
        (b"", None),
    ],
)
def test_a_list_that_was_spoilt_is_never_written_over(file, content, said):
    file.write_bytes(content)
    if said is None:
        assert passes_list.read(file) == []
        return
    with pytest.raises(PassesError, match=said):
        passes_list.add(file, [row()])
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (f"{2:016x}", "2", "pass_id"),
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00", "until"),
        ("2026-11-22T09:00:00Z", "22/11/2026 16:00", "until"),
        ("visitor", "king", "kind"),
    ],
)
def test_a_line_that_was_changed_by_hand_is_named(file, was, becomes, said):
    passes_list.add(file, [row(1, kind="staff", ends=AT + timedelta(1)), row(2)])
    file.write_text(file.read_text("utf-8").replace(was, becomes), "utf-8")
    with pytest.raises(PassesError, match=rf"line 3: .*{said}"):
        passes_list.read(file)


# Adds so many rows, one at a time, and says each that is on the list.
ADDING = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from provisioning import passes_list
    from provisioning.passes_list import Row

    file, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    at = datetime(2026, 11, 22, tzinfo=UTC)
    sys.stdin.readline()
    for number in range(first, first + count):
        new = Row(f"{number:016x}", "visitor", "Mẫu", at, at + timedelta(1), "", "", at)
        passes_list.add(file, [new])
        print(new.pass_id, flush=True)
"""


def adding(file, first, count):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ADDING), str(file), str(first), str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def test_two_desks_at_once_lose_nothing(file):
    desks = [adding(file, first, 60) for first in (0, 1000)]
    said = set()
    for desk in desks:
        desk.stdin.write("go\n")
        desk.stdin.flush()
    for desk in desks:
        said |= set(desk.communicate(timeout=60)[0].split())
        assert desk.returncode == 0
    assert len(said) == 120
    assert {one.pass_id for one in passes_list.read(file)} == said


def test_a_desk_that_is_killed_leaves_a_whole_list_with_all_that_it_said(file):
    for killed_after in (1, 4, 9):
        file.unlink(missing_ok=True)
        desk = adding(file, 0, 100_000)
        desk.stdin.write("go\n")
        desk.stdin.flush()
        said = [desk.stdout.readline().strip() for _ in range(killed_after)]
        desk.send_signal(signal.SIGKILL)
        said += desk.communicate(timeout=60)[0].split()
        whole_ids = [each for each in said if len(each) == 16]
        assert len(whole_ids) >= killed_after
        on_list = [one.pass_id for one in passes_list.read(file)]
        assert on_list[: len(whole_ids)] == whole_ids
        assert len(on_list) <= len(whole_ids) + 1
        passes_list.add(file, [row(99)])  # the lock went with it
        assert passes_list.read(file)[-1] == row(99)


def test_a_folder_that_cant_be_written_is_said(tmp_path):
    file = tmp_path / "not there" / "passes.csv"
    with pytest.raises(PassesError, match="can't be written"):
        passes_list.add(file, [row()])
