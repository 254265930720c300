"""The bytes of a QR code as text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.logic.payload import LONGEST_PAYLOAD_BYTES, Unreadable, as_text


def test_vietnamese_names_come_through_byte_for_byte():
    name = "Nguyễn Thị Phượng"
    assert as_text(name.encode()) == name


def test_decomposed_letters_are_composed():
    name = "Đỗ Hữu Lễ"
    assert as_text(unicodedata.normalize("NFD", name).encode()) == name


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n", "\n\n"])
def test_a_line_end_that_a_reader_appended_is_dropped(ending):
    assert as_text(("A" + ending).encode()) == "A"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"  \r\n", "empty"),
        (b"\xff\xfe", "not-utf-8"),
        ("Nguyễn".encode("utf-16"), "not-utf-8"),
        (b"\xc0\xaf", "not-utf-8"),  # an overlong slash
        (b"\xed\xa0\x80", "not-utf-8"),  # a lone surrogate
        (b"a\x00b", "control-characters"),
        (b"a\nb", "control-characters"),
        (b"a\x1b[31m", "control-characters"),
        ("a\x85b".encode(), "control-characters"),
        (b"1" * (LONGEST_PAYLOAD_BYTES + 1), "too-long"),
    ],
)
def test_what_is_no_text_says_why(payload, reason):
    assert as_text(payload) == Unreadable(reason)


def test_the_largest_qr_code_fits():
    assert as_text(b"1" * LONGEST_PAYLOAD_BYTES) == "1" * LONGEST_PAYLOAD_BYTES


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_reason(payload):
    found = as_text(payload)
    if isinstance(found, str):
        assert found.encode()
        assert not any(unicodedata.category(character) == "Cc" for character in found)
    else:
        assert found.reason
