"""What a visitor may show: which reader gets which payload, and what none of them may do."""

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk import reading
from kiosk.logic import credentials
from kiosk.logic.credentials.foreign import HINTS, Foreign
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.visitor import VisitorCode
from tests.made_up import CARD

SAMPLES = Path(__file__).parents[3] / "shared" / "samples.jsonl"
AT = datetime(2026, 11, 22, tzinfo=UTC)
HERE = Here(AT)


def read(text):
    return credentials.read(text.encode(), HERE)


def test_a_plain_visitor_code():
    assert read("VISITOR:K7-2026.a_b") == VisitorCode("K7-2026.a_b")


def test_the_prefix_is_the_sites_own():
    assert credentials.read(b"BV-LC/0042", Here(AT, visitor_prefix="BV-LC/")) == VisitorCode("0042")


@pytest.mark.parametrize("code", ["", "ab", "-abc", "a" * 33, "a b c", "abc;", "ábc"])
def test_a_bad_visitor_code_is_foreign(code):
    assert read("VISITOR:" + code) == Foreign("visitor", "bad-code")


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
    assert isinstance(credentials.read(payload, HERE), credentials.Credential | Foreign)


FIRSTS = st.sampled_from(["010090999901", "DN4010099999901", "9999999901", "X1"])


@given(FIRSTS, st.lists(st.text(max_size=20) | st.sampled_from("01-"), min_size=5, max_size=16))
def test_any_fields_are_a_credential_or_foreign(first, fields):
    payload = "|".join([first, *fields]).encode("utf-8", "replace")
    assert isinstance(credentials.read(payload, HERE), credentials.Credential | Foreign)


PREFIXES = ("HC1:", "shc:/", "VP1:", "BEGIN:VCARD\n", "MECARD:", "https://kbytcq.khambenh.gov.vn/")


@given(st.sampled_from(PREFIXES), st.text(max_size=300))
def test_any_text_behind_a_prefix_is_a_credential_or_foreign(prefix, text):
    found = credentials.read((prefix + text).encode("utf-8", "replace"), HERE)
    assert isinstance(found, credentials.Credential | Foreign)


@pytest.mark.parametrize(
    ("text", "type_", "error"),
    [
        ("00020101021138540010A000000727", "payment", "payment-code"),
        ("NZCOVIDTRACER:eyJ", "venue-poster", "venue-code-not-visitor"),
        ("https://example.com/visit?x=1", "url", "no-personal-data"),
        ("HTTP://EXAMPLE.COM", "url", "no-personal-data"),
        ("WIFI:T:WPA;S:Mau;P:khongthat;;", "other", "not-a-visitor-code"),
        ("HC1:not base45~", "hc1", "base45"),
        ("shc:/1", "shc", "odd-digits"),
        ("VP1:~", "pass", "base45"),
        ("010090999901|NGUYEN VAN MAU|1990-13-01|0|100000000000000001|", "qrqg", "bad-date"),
        ("", "other", "empty"),
        ("a\x07b", "other", "control-characters"),
        ("1" * 4297, "other", "too-long"),
    ],
)
def test_a_foreign_code_says_what_it_is_and_has_a_hint(text, type_, error):
    found = read(text)
    assert (found.type, found.error) == (type_, error)
    assert found.hint == HINTS[type_]


def test_bytes_that_are_no_utf_8_are_no_guess():
    assert credentials.read("Nguyễn".encode("utf-16"), HERE).error == "not-utf-8"


def test_a_pre_unicode_composition_is_one_name():
    decomposed = CARD.replace("ễ", "e\N{COMBINING CIRCUMFLEX ACCENT}\N{COMBINING TILDE}")
    assert read(decomposed) == read(CARD)


def test_a_prefix_rules_over_a_shape():
    assert read("VISITOR:ABC|1|2|3|4|5|6").type == "visitor"


def test_every_type_of_foreign_code_has_a_hint():
    known = {"cccd", "qrqg", "bhyt", "hc1", "shc", "pass", "vcard", "payment", "url", "other"}
    assert known <= set(HINTS)


def test_of_several_codes_the_one_that_is_a_credential_counts():
    assert credentials.read_parts([b"https://x.example", CARD.encode()], HERE).kind == "cccd"
    assert credentials.read_parts([b"https://x.example"], HERE).type == "url"
    assert credentials.read_parts([], HERE).error == "empty"


# ── vaora-kiosk read


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples aren't here (../shared)")
def test_every_made_up_sample_reads_as_expected():
    lines = SAMPLES.read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 34
    for line in lines:
        sample = json.loads(line)
        assert reading.answer(line.encode(), AT) == {"id": sample["id"], **sample["expected"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "malformed"),
        ("{}", "payload"),
        ('{"payload": 7}', "payload"),
        ('{"payload": "x", "clock": "yesterday"}', "yesterday"),
        ('{"payload": "x", "trust": [{"kid": 1}]}', "trust"),
        ("[" * 5000, "Expected"),
        ('{"payload": "x", "clock": "0001-01-01T00:00:00+14:00"}', "out of range"),
        ('{"payload": "x", "id": ' + "[" * 900 + "]" * 900 + "}", "id"),
    ],
)
def test_a_line_that_cant_be_read_says_so(line, said):
    assert said in reading.answer(line.encode(), AT)["error"]


def test_a_line_without_an_id_or_with_a_strange_key_is_read_all_the_same():
    line = {"payload": ["VISITOR:ABC"], "trust": [{"kid": "?", "cert_der_b64": "?"}], "more": 1}
    assert reading.answer(json.dumps(line).encode(), AT)["code"] == "ABC"


def test_an_answer_is_one_line_for_whoever_splits_it():
    lines = [b'{"payload": "VISITOR:ABC", "id": "a\xe2\x80\xa8b"}\r\n', b"\n", b"\x0c\n", b"\xff\n"]
    told = list(reading.answers(lines, AT))
    assert len(told) == 3
    assert all(len(one.splitlines()) == 1 for one in told)
    assert json.loads(told[0])["id"] == "a\u2028b"
    assert "error" in json.loads(told[2])


def test_a_key_set_with_other_kinds_of_keys_is_read():
    keys = {"keys": [{"kty": "RSA", "kid": "a", "n": "b", "e": "AQAB"}]}
    asked = json.dumps({"payload": "VISITOR:ABC", "jwks": keys, "trust": None}).encode()
    assert reading.answer(asked, AT)["ok"]


def test_the_first_and_the_last_moment_there_are():
    for clock in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        asked = json.dumps({"payload": CARD, "clock": clock}).encode()
        assert reading.answer(asked, AT)["ok"]


# ── hostile codes


def _bomb():
    from checkin import cose

    return "HC1:" + cose.to_base45(zlib.compress(b"\0" * 50_000_000)[:2800])


def _cbor(hexadecimal):
    from checkin import cose

    return "VP1:" + cose.to_base45(bytes.fromhex(hexadecimal))


def _nested_sets():
    level = "d81c80"
    for _ in range(40):
        level = f"d81c82d81d00{level}"
    return _cbor("d9010281" + level)


HOSTILE = {
    "a fraction of 20 million digits": lambda: _cbor("d81e816a" + b"1e20000000".hex()),
    "a decimal of a billion digits": lambda: _cbor("c4821a3b9aca0001"),
    "a pattern": lambda: _cbor("d823" + "79177a" + (b"(?i)" + b"[a-z]?" * 1001).hex()),
    "sets in sets": _nested_sets,
    "arrays in arrays": lambda: _cbor("9f" * 2000),
    "a length beyond everything": lambda: _cbor("5bffffffffffffffff"),
    "many small items": lambda: _cbor("99" + "0b00" + "00" * 2816),
    "many tags": lambda: _cbor("c1" * 2700 + "00"),
    "letters before a MECARD field": lambda: "MECARD:N:a,b;" + "A" * 4270,
    "a zip bomb": _bomb,
    "nothing but bars": lambda: "|" * 4296,
    "nothing but escapes": lambda: "MECARD:N:" + "\\;" * 1400,
    "nothing but fields": lambda: "MECARD:" + "N:;" * 1400,
    "many vCard lines": lambda: "BEGIN:VCARD\n" + "N:\n" * 1400,
    "digits of a health card": lambda: "shc:/" + "56" * 2140,
    "a long address": lambda: "https://" + "a" * 4280,
    "a long declaration": lambda: "https://kbytcq.khambenh.gov.vn/" + "?id=" * 1000,
    "combining marks": lambda: "a" + "\N{COMBINING TILDE}" * 2000,
    "the letters of base45": lambda: "HC1:" + "9" * 4290,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_code_is_foreign_within_a_frame_and_a_half(name):
    from time import thread_time

    payload = HOSTILE[name]().encode()
    credentials.read(payload, HERE)  # what is loaded once isn't counted
    began = thread_time()
    found = credentials.read(payload, HERE)
    assert thread_time() - began < 0.05
    assert isinstance(found, credentials.Credential | Foreign)


@pytest.mark.parametrize(
    "text",
    [
        "GD4010000000000|4120|99999999999/01/2000|1|-|01 - 001|01/01/2020|-|-|1|-|4|-|x|$",
        "GD4010000000000|4120|01/99999999999/2000|1|-|01 - 001|01/01/2020|-|-|1|-|4|-|x|$",
    ],
)
def test_a_day_that_no_calendar_knows_is_a_misread(text):
    assert read(text).error == "bad-date"
