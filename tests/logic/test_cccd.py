"""The citizen card of 2021 and of 2024."""

from datetime import UTC, date, datetime

import pytest

from kiosk.logic import credentials
from kiosk.logic.credentials.cccd import REGISTRIES, Cccd
from kiosk.logic.credentials.here import Here
from tests.made_up import CARD

AT = datetime(2026, 11, 22, tzinfo=UTC)


def read(text, at=AT):
    return credentials.read(text.encode(), Here(at))


def test_a_card_of_2021():
    assert read(CARD) == Cccd(
        card="cccd-2021",
        id_number="010090999901",
        old_id="",
        name="Nguyễn Văn Mẫu",
        dob=date(1990, 1, 2),
        sex="M",
        address="Thôn Mẫu, Phúc Khánh, Bảo Yên, Lào Cai",
        issued=date(2021, 5, 15),
        extra=0,
        warnings=(),
    )


def test_a_card_of_2024_has_four_fields_more_which_are_dropped():
    found = read(CARD + "|a|b|c|d")
    assert found.card == "cc-2024"
    assert not {"a", "b", "c", "d"} & set(found.person().values())


@pytest.mark.parametrize("ending", ["$", "\r\n", "\r"])
def test_what_a_reader_appends_is_dropped(ending):
    assert read(CARD + ending) == read(CARD)


def test_a_womans_card_with_an_old_number():
    found = read("064185999902|999999902|Trần Thị Thử|31121985|Nữ|Pleiku, Gia Lai|01072021")
    assert (found.sex, found.old_id) == ("F", "999999902")


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("010090999901", "01009099990", "cccd-bad-number"),
        ("010090999901", "0100909999011", "cccd-bad-number"),
        ("||", "|12345|", "cccd-bad-old-id"),
        ("Nguyễn Văn Mẫu", " ", "cccd-bad-name-or-address"),
        ("Nguyễn Văn Mẫu", "N" * 101, "cccd-bad-name-or-address"),
        ("Thôn Mẫu", "T" * 301, "cccd-bad-name-or-address"),
        ("02011990", "31021990", "cccd-bad-date"),
        ("02011990", "00000000", "cccd-bad-date"),
        ("15052021", "1505202", "cccd-bad-date"),
        ("02011990", "٠٢٠١١٩٩٠", "cccd-bad-date"),  # digits, but not ours
        ("|Nam|", "|nam|", "cccd-bad-sex"),
    ],
)
def test_a_misread_card_is_foreign_and_says_why(was, becomes, reason):
    assert read(CARD.replace(was, becomes, 1)).reason == reason


def test_a_reason_never_holds_a_part_of_the_payload():
    found = read(CARD.replace("02011990", "31021990"))
    assert "Nguyễn" not in found.reason
    assert "0100" not in found.reason


def test_nothing_of_the_person_is_in_a_repr():
    shown = repr(read(CARD)) + repr(read("VISITOR:ABC123"))
    for private in ("Nguyễn", "010090", "1990", "Lào Cai", "ABC123"):
        assert private not in shown


def test_a_card_is_read_and_never_verified():
    assert read(CARD).verified is False
    assert read("VISITOR:ABC123").verified is False


def test_what_a_card_tells_of_its_bearer():
    assert read(CARD).person() == {
        "name": "Nguyễn Văn Mẫu",
        "id_number": "010090999901",
        "dob": "1990-01-02",
        "sex": "M",
        "address": "Thôn Mẫu, Phúc Khánh, Bảo Yên, Lào Cai",
    }


def test_there_were_63_registries():
    assert len(REGISTRIES) == 63


@pytest.mark.parametrize(
    ("number", "dob", "sex", "warnings"),
    [
        ("010090999901", "02011990", "Nam", ()),
        ("010190999901", "02011990", "Nam", ("sex-mismatch",)),
        ("010090999901", "02011991", "Nam", ("birth-year-mismatch",)),
        ("999090999901", "02011990", "Nam", ("prefix-unknown",)),
        ("010210999901", "02012010", "Nam", ("minor",)),
        ("010208999901", "22112008", "Nam", ()),  # eighteen today
        ("010208999901", "23112008", "Nam", ("minor",)),
    ],
)
def test_what_the_number_says_otherwise_is_a_warning(number, dob, sex, warnings):
    found = read(f"{number}||Nguyễn Văn Mẫu|{dob}|{sex}|Lào Cai|15052021")
    assert found.warnings == warnings
