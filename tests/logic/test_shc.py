"""The SMART Health Card."""

import pytest

from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here, ShcKey, Trust
from kiosk.logic.credentials.shc import PARTS_S, Parts, put_together
from tests.signed import AT, ec_key, point, shc

TRUST = Trust(shc_keys=(ShcKey("made-up", *point(ec_key())),))


def read(text, trust=TRUST):
    return credentials.read(text.encode(), Here(AT, trust=trust))


def test_a_card_is_read_and_verified():
    found = read(shc())
    assert (found.verified, found.holder, found.dob) == (True, "Nguyễn Văn Mẫu", "1990-01-02")
    assert found.reading()["issuer"] == "https://issuer.example"
    assert "Nguyễn" not in repr(found)


@pytest.mark.parametrize(
    ("text", "trust", "reason"),
    [
        (shc(), Trust(), "unknown-signer"),
        (shc(header={"kid": "other"}), TRUST, "unknown-signer"),
        (shc(ec_key(1)), TRUST, "bad-signature"),
        (shc(signature=b"short"), TRUST, "bad-signature"),
        (shc(claims={"exp": 1000}), TRUST, "expired"),
        (
            shc(),
            Trust(shc_keys=(ShcKey("made-up", *point(ec_key()), iss="https://else.example"),)),
            "unknown-signer",
        ),
        (shc(), Trust(shc_keys=(ShcKey("made-up", b"\0", b"\1"),)), "bad-signature"),
    ],
)
def test_a_card_that_isnt_verified_says_why(text, trust, reason):
    found = read(text, trust)
    assert (found.verified, found.reason) == (False, reason)
    assert (found.holder == "") == (reason == "bad-signature")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("shc:/", "bad-digits"),
        ("shc:/5", "odd-digits"),
        ("shc:/٥٥", "bad-digits"),
        ("shc:/5x", "bad-digits"),
        ("shc:/99", "bad-digits"),
        ("shc:/1/2/55", "part-missing"),
        (shc(header={"alg": "none"}), "jws-header"),
        (shc(header={"zip": None}), "jws-header"),
        (shc()[:-200], "jws"),
    ],
)
def test_what_cant_be_read_says_which_step_failed(text, error):
    found = read(text)
    assert (found.type, found.error) == ("shc", error)


@pytest.mark.parametrize("claims", [{"vc": None}, {"vc": {"credentialSubject": []}}, {"iss": 7}])
def test_a_card_without_a_patient_is_still_a_value(claims):
    assert read(shc(claims=claims)).kind == "shc"


def test_parts_in_any_order_are_one_card():
    digits = shc().removeprefix("shc:/")
    third = len(digits) // 3 // 2 * 2
    parts = [
        f"shc:/{number}/3/{digits[begin:end]}"
        for number, begin, end in ((1, 0, third), (2, third, 2 * third), (3, 2 * third, None))
    ]
    assert put_together(parts[::-1]) == shc()[:5] + digits
    found = credentials.read_parts([part.encode() for part in parts], Here(AT, trust=TRUST))
    assert found.verified
    assert put_together(parts[:2]) is None


def test_parts_shown_one_after_the_other_and_those_of_long_ago():
    parts = Parts()
    assert parts.add("shc:/1/2/12", 0) is None
    assert parts.add("shc:/2/2/34", 5) == "shc:/1234"
    assert parts.add("shc:/2/2/34", 6) is None  # begun anew
    assert parts.add("shc:/1/2/12", 7 + PARTS_S) is None
    for number in range(100):
        parts.add(f"shc:/3/9/{number:04}", 50)
    assert len(parts._seen) <= 9


def test_a_stray_part_doesnt_spoil_another_card():
    parts = Parts()
    assert parts.add("shc:/1/3/00", 0) is None
    assert parts.add("shc:/1/2/12", 1) is None
    assert parts.add("shc:/2/2/34", 2) == "shc:/1234"


def test_claims_that_are_no_utf_8_are_no_card():
    import zlib

    from tests.signed import b64u

    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b'{"iss": "\xff"}') + packer.flush()
    header = b64u(b'{"alg": "ES256", "zip": "DEF", "kid": "k"}')
    token = f"{header}.{b64u(packed)}.{b64u(bytes(64))}"
    assert read("shc:/" + "".join(f"{ord(c) - 45:02}" for c in token)).error == "json"


def test_one_card_signed_twice_is_one_card():
    assert read(shc()).identity == read(shc()).identity
    assert shc() != shc()
