"""Contact cards, health declarations, and what is none."""

from datetime import UTC, datetime

import pytest

from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here

AT = datetime(2026, 11, 22, tzinfo=UTC)


def read(text):
    return credentials.read(text.encode(), Here(AT))


@pytest.mark.parametrize(
    ("text", "name", "phone"),
    [
        ("BEGIN:VCARD\nFN:Nguyễn Văn Mẫu\nTEL;TYPE=CELL:0900\nEND:VCARD", "Nguyễn Văn Mẫu", "0900"),
        ("BEGIN:VCARD\r\nN:Mẫu;Nguyễn Văn;;;\r\nEND:VCARD", "Nguyễn Văn Mẫu", ""),
        ("BEGIN:VCARD\nitem1.FN;CHARSET=UTF-8:A\\, B\nEND:VCARD", "A, B", ""),
        ("BEGIN:VCARD\nFN:Nguyễn\n  Văn\nEND:VCARD", "Nguyễn Văn", ""),
        ("MECARD:N:Mẫu,Nguyễn Văn;TEL:0900;EMAIL:a@b.example;;", "Nguyễn Văn Mẫu", "0900"),
        ("MECARD:N:A\\;B;;", "A;B", ""),
    ],
)
def test_a_contact_card(text, name, phone):
    found = read(text)
    assert (found.kind, found.name, found.phone) == ("vcard", name, phone)
    assert found.reading()["warnings"] == ["self-asserted"]
    assert name not in repr(found)


@pytest.mark.parametrize("text", ["BEGIN:VCARD\nEND:VCARD", "MECARD:TEL:0900;;", "MECARD:"])
def test_a_card_without_a_name_is_foreign(text):
    assert (read(text).type, read(text).error) == ("vcard", "no-name")


SITE = "https://kbytcq.khambenh.gov.vn/#tokhai_yte/"


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        (SITE + "view?id=00000000-0000-4000-8000-000000000001", "health-declaration-url"),
        (SITE + "model?&o=1234&dd_id=5678", "venue-poster"),
        (SITE, "health-declaration-url"),
        ("https://khambenh.gov.vn.evil.example/view?id=1234", "url"),
        ("https://evil.example/khambenh.gov.vn/view?id=1234", "url"),
        ("https://kbytcq.khambenh.gov.vn@evil.example/view?id=1234", "url"),
    ],
)
def test_declarations_posters_and_who_only_look_like_them(text, type_):
    assert read(text).reading()["type"] == type_


def test_only_the_id_of_a_declaration_is_kept():
    assert read(SITE + "view?id=abcd-1234&name=Mau").person() == {"declaration": "abcd-1234"}
    assert read(SITE).error == "no-reference"
