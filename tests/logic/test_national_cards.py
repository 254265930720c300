"""The national personal code and the health insurance card."""

from datetime import UTC, datetime

import pytest

from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here

AT = datetime(2026, 11, 22, tzinfo=UTC)

QRQG = "010090999901|NGUYEN VAN MAU|1990-01-02|0|100000000000000001|<1<DN4010099999901<0900000001"
NAME = "Nguyễn Văn Mẫu".encode().hex()
OLD = (
    f"DN4010099999901|{NAME}|02/01/1990|1|{'Lào Cai'.encode().hex()}|10 - 001|01/01/2020|-|"
    "20/12/2019|01000099999901|-|4|01/01/2025|0123456789abcdef-7102|$"
)
NEW = (
    f"9999999901|{NAME}|02/01/1990|2|-|10 - 001|01/01/2022|-|05/01/2022|10059999999901|-|4|"
    f" 01/01/2027|fedcba9876543210-1202|4|{NAME}|$"
)


def read(text):
    return credentials.read(text.encode(), Here(AT))


def test_a_national_code_and_its_extension():
    found = read(QRQG)
    assert (found.qid, found.sex, found.phone) == ("100000000000000001", "M", "0900000001")
    assert found.identity == found.qid
    signed = read(QRQG + "<c2lnbmVk")
    assert (signed.esign, signed.verified) == ("c2lnbmVk", False)


def test_someone_who_declared_for_another():
    found = read("010090999901|TRAN THI THU|2015-01-02|1|100000000000000002|100000000000000001<2<<")
    assert (found.declared_by, found.proxy_qid, found.sex) == (
        "proxy",
        "100000000000000001",
        "F",
    )


@pytest.mark.parametrize(
    ("was", "becomes", "error"),
    [
        ("010090999901|", "0100 0999901|", "bad-number"),
        ("NGUYEN VAN MAU", " ", "bad-name"),
        ("1990-01-02", "1990-02-30", "bad-date"),
        ("1990-01-02", "90-01-02", "bad-date"),
        ("100000000000000001", "1e17", "bad-qid"),
        ("<1<", "<1<<<<<<", "bad-extension"),
    ],
)
def test_a_misread_national_code_says_why(was, becomes, error):
    found = read(QRQG.replace(was, becomes, 1))
    assert (found.type, found.error) == ("qrqg", error)


@pytest.mark.parametrize("ending", ["|$", "|", ""])
def test_an_insurance_card_with_and_without_its_end(ending):
    for card, variant in ((OLD, "15"), (NEW, "17")):
        found = read(card.removesuffix("|$") + ending)
        assert (found.variant, found.name) == (variant, "Nguyễn Văn Mẫu")
        assert found.valid_to is None
    assert read(OLD).address == "Lào Cai"
    assert read(NEW).address == ""


@pytest.mark.parametrize(
    ("printed", "dob"),
    [
        ("02/01/1990", "1990-01-02"),
        ("1990", "1990"),
        ("01/1990", "1990-01"),
        ("00/00/1990", "1990"),
    ],
)
def test_many_cards_know_only_a_year_of_birth(printed, dob):
    assert read(OLD.replace("02/01/1990", printed)).dob == dob


@pytest.mark.parametrize(
    ("was", "becomes", "error"),
    [
        (NAME, NAME[:-1], "bad-hex"),  # odd
        (NAME, "ff", "bad-hex"),  # no UTF-8
        (NAME, "zz", "bad-hex"),
        (NAME, "41410a", "bad-hex"),  # a control character
        (NAME, "", "bad-name-or-address"),
        ("|1|", "|3|", "bad-sex"),
        ("02/01/1990", "31/02/1990", "bad-date"),
        ("|01/01/2020|", "|-|", "bad-date"),
        ("20/12/2019", "20-12-2019", "bad-date"),
        ("10 - 001", "somewhere", "bad-facility"),
    ],
)
def test_a_misread_insurance_card_says_why(was, becomes, error):
    found = read(OLD.replace(was, becomes, 1))
    assert (found.type, found.error) == ("bhyt", error)


def test_an_insurance_card_that_ended_is_read_with_a_warning():
    found = read(OLD.replace("01/01/2020|-|", "01/01/2020|31/12/2020|"))
    assert found.warnings == ("expired",)
    later = read(NEW.replace("01/01/2022", "01/01/2027"))
    assert later.warnings == ("not-yet-valid",)


def test_nothing_of_the_person_is_in_a_repr():
    shown = repr(read(QRQG)) + repr(read(OLD))
    assert not any(private in shown for private in ("NGUYEN", "Nguyễn", "1000000", "DN401"))
