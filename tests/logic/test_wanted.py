"""What makes a pass, and each thing that makes none: its line, its column, its cure."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin import passes
from checkin.words import in_language
from provisioning import wanted
from provisioning.wanted import COLUMNS, Desk, UnfitError, Wanted

AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)  # eight in the morning in Viet Nam
DESK = Desk(AT, 7.0, frozenset({"0100123", "cp-2"}), lambda text: "ж" if "ж" in text else "")


@pytest.fixture(autouse=True)
def english():
    with in_language("en"):
        yield


def survey(text, desk=DESK):
    return wanted.survey(text.encode(), desk)


def test_a_name_alone_is_a_visitor_for_twelve_hours_everywhere():
    found = wanted.one({"holder": " Phan  Thị Mẫu "}, DESK)
    assert found == Wanted("Phan Thị Mẫu", "visitor", AT, AT + timedelta(hours=12))


def test_a_whole_row_says_what_it_says():
    text = (
        "holder,kind,from,until,checkpoints,form_number\n"
        "Nguyễn Văn Mẫu,staff,2026-12-01 07:30,2026-12-24,cp-2 0100123,A-17\n"
    )
    assert survey(text).wanted == (
        Wanted(
            "Nguyễn Văn Mẫu",
            "staff",
            datetime(2026, 12, 1, 0, 30, tzinfo=UTC),
            datetime(2026, 12, 24, 17, 0, tzinfo=UTC),  # to the end of the day, there
            ("cp-2", "0100123"),
            "A-17",
        ),
    )


def test_a_table_of_the_desk_in_vietnamese_with_semicolons_is_read():
    text = "\ufeffHọ và tên;Loại;Số giờ;Số phiếu\r\nTrần Mẫu;Thanh tra;1,5;\r\n\r\n"
    found = survey(text).wanted
    assert [(one.holder, one.kind, one.ends - one.begins) for one in found] == [
        ("Trần Mẫu", "inspector", timedelta(hours=1.5))
    ]


def test_a_list_of_names_alone_is_enough():
    found = survey("holder\nPhan Thị Mẫu\nTrần Mẫu\n").wanted
    assert [one.holder for one in found] == ["Phan Thị Mẫu", "Trần Mẫu"]


def test_a_header_alone_is_read_and_has_nobody_in_it():
    header = ",".join(COLUMNS) + "\r\n"
    mistakes = survey(header).mistakes
    assert [(one.line, one.why) for one in mistakes] == [(2, "nobody is on the list")]
    assert survey(header + "Mẫu,,,,,,\r\n").mistakes == ()


def test_names_are_composed_so_that_two_spellings_are_one():
    found = wanted.one({"holder": "Nguye\u0302\u0303n"}, DESK)
    assert found.holder == "Nguyễn"


WRONG = [
    ("holder", "", "nobody's name"),
    ("holder", "N" * 101, "101 characters"),
    ("holder", "Ng\u200bMẫu", "is no name"),
    ("holder", "=HYPERLINK(1)", "is no name"),
    ("holder", "ж", "'ж' can't be printed"),
    ("kind", "vua", "is no kind of pass"),
    ("from", "01/12/2026", "is no day and no time"),
    ("from", "2026-02-30", "is no day and no time"),
    ("from", "2026-12-01 25:00", "is no day and no time"),
    ("from", "9999-12-31", "is more than ten years away"),
    ("from", "2025-01-01", "is over already"),
    ("until", "2026-11-21", "ends before it begins"),
    ("until", "9999-12-31", "is no day and no time"),
    ("until", "2126-01-01", "lasts longer than ten years"),
    ("until", "46000", "is no day and no time"),
    ("hours", "x", "is no number of hours"),
    ("hours", "0", "is no number of hours"),
    ("hours", "-3", "is no number of hours"),
    ("hours", "nan", "is no number of hours"),
    ("hours", "1e99", "is no number of hours"),
    ("checkpoints", "0100124", "is no checkpoint of this fleet"),
    ("checkpoints", "cp-2 ngoài", "is no checkpoint of this fleet"),
    ("checkpoints", " ".join(f"c{n}" for n in range(17)), "more than 16 checkpoints"),
    ("form_number", "=1+1", "is no number of a form"),
    ("form_number", "9" * 21, "is no number of a form"),
]


@pytest.mark.parametrize(("column", "value", "why"), WRONG)
def test_each_mistake_is_said_with_its_line_its_column_and_the_cure(column, value, why):
    cells = {"holder": "Phan Thị Mẫu"} | {column: value}
    with pytest.raises(UnfitError) as one:
        wanted.one(cells, DESK)
    assert (one.value.column, one.value.why) == (column, why)
    assert one.value.cure
    header = ",".join(COLUMNS)
    row = ",".join(f'"{cells.get(name, "")}"' for name in COLUMNS)
    found = survey(f"{header}\nTrần Mẫu,,,,,,\n{row if any(cells.values()) else ',staff,,,,,'}\n")
    assert found.wanted == ()
    place = "ABCDEFG"[list(COLUMNS).index(column)]
    assert [(m.line, m.column, m.letter) for m in found.mistakes] == [(3, column, place)]
    assert found.mistakes[0].cure == one.value.cure


def test_all_mistakes_of_all_rows_are_said_at_once():
    text = "holder,kind,hours\n,vua,x\nMẫu,staff,8\nMẫu,vua,8\n"
    found = survey(text)
    assert [(m.line, m.column) for m in found.mistakes] == [
        (2, "holder"), (2, "kind"), (2, "hours"), (4, "kind"),
    ]  # fmt: skip
    assert found.wanted == ()


def test_an_end_and_hours_are_one_too_many():
    with pytest.raises(UnfitError, match="hours: '8': there is an end and a number of hours"):
        wanted.one({"holder": "Mẫu", "until": "2026-12-01", "hours": "8"}, DESK)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("name,kind", [("name", "is no column of this list"), ("holder", "is missing")]),
        ("holder,kind,Loại", [("Loại", "is there twice")]),
        ("holder,họ tên", [("họ tên", "is there twice")]),
    ],
)
def test_a_header_that_is_another_is_said(header, said):
    found = survey(f"{header}\nMẫu,staff\n")
    assert [(m.column, m.why) for m in found.mistakes] == said


def test_more_rows_than_a_days_worth_are_another_file():
    rows = "Mẫu,\n" * (wanted.MOST_PASSES + 1)
    found = survey(f"holder,kind\n{rows}")
    assert [m.why for m in found.mistakes] == [f"{wanted.MOST_PASSES + 1} passes in one file"]
    assert found.mistakes[0].line == wanted.MOST_PASSES + 2


@given(st.text(max_size=200), st.sampled_from([",", ";", "\t"]))
def test_any_file_is_either_wanted_or_wrong(text, separator):
    found = survey(f"holder{separator}kind\n{text}")
    assert bool(found.wanted) != bool(found.mistakes)
    for one in found.wanted:
        assert 0 < len(one.holder) <= passes.LONGEST_HOLDER
        assert one.begins < one.ends


@pytest.mark.parametrize("content", [b"", b"name\n" * 500_000, b"x," * 70])
def test_a_file_that_is_no_list_of_passes_is_not_taken_for_a_list_of_doors(content):
    (mistake,) = wanted.survey(content, Desk(AT)).mistakes
    assert not re.search("door|template|init", f"{mistake.why} {mistake.cure}")
