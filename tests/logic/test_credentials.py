"""What a visitor may show."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.logic import credentials
from kiosk.logic.credentials import Cccd, Foreign, VisitorCode
from tests.made_up import CARD

SAMPLES = Path(__file__).parents[3] / "shared" / "samples.jsonl"


def read(text):
    return credentials.read(text.encode(), "VISITOR:")


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
    assert read(CARD.replace(was, becomes, 1)) == Foreign(reason)


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


def test_the_fields_that_are_kept():
    assert read(CARD).person() == {
        "name": "Nguyễn Văn Mẫu",
        "id_number": "010090999901",
        "dob": "1990-01-02",
    }


def test_a_plain_visitor_code():
    assert read("VISITOR:K7-2026.a_b") == VisitorCode("K7-2026.a_b")


def test_the_prefix_is_the_sites_own():
    assert credentials.read(b"BV-LC/0042", "BV-LC/") == VisitorCode("0042")


@pytest.mark.parametrize("code", ["", "ab", "-abc", "a" * 33, "a b c", "abc;", "ábc"])
def test_a_bad_visitor_code_is_foreign(code):
    assert read("VISITOR:" + code) == Foreign("visitor-bad-code")


@pytest.mark.parametrize(
    "text",
    [
        "https://thucdon.example/bun-cha",
        "WIFI:T:WPA;S:x;P:y;;",
        "00020101021238",
        "BEGIN:VCARD\nEND:VCARD".replace("\n", " "),
        "a|b|c|d|e|f|g",
        "1|2|3",
        CARD + "|8",
        "|" * 6,
        "|" * 7000,
    ],
)
def test_a_strangers_code_is_foreign(text):
    assert isinstance(read(text), Foreign)


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_credential_or_foreign(payload):
    assert isinstance(credentials.read(payload, "VISITOR:"), Cccd | VisitorCode | Foreign)


@given(st.lists(st.text(max_size=20), min_size=7, max_size=11))
def test_any_fields_are_a_credential_or_foreign(fields):
    payload = "|".join(["010090999901", *fields[1:]]).encode("utf-8", "replace")
    assert isinstance(credentials.read(payload, "VISITOR:"), Cccd | Foreign)


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples aren't here (../shared)")
def test_the_made_up_cards_read_as_expected():
    cards = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    cards = [card for card in cards if card["kind"] == "cccd"]
    assert len(cards) >= 10
    for card in cards:
        found, expected = read(card["payload"]), card["expected"]
        if expected["ok"]:
            assert isinstance(found, Cccd), card["id"]
            fields = (found.card, found.id_number, found.name, found.sex, found.address)
            names = ("card", "id_number", "name", "sex", "address")
            assert fields == tuple(expected[name] for name in names), card["id"]
            assert found.dob.isoformat() == expected["dob"]
            assert found.issued.isoformat() == expected["issued"]
            assert (found.old_id or None) == expected["old_id"]
        else:
            assert found == Foreign(f"cccd-{expected['error']}"), card["id"]
