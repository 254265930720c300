"""Signed tokens: the parts that have no format of their own."""

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin import cose
from checkin.cose import CoseError, SigningKey

KEY = SigningKey(bytes(32))


def test_what_is_signed_is_verified_by_its_own_key_only():
    signed = cose.take_apart(KEY.sign(b"payload"))
    assert signed.payload == b"payload"
    assert signed.kid == KEY.kid == cose.kid_of(KEY.public)
    assert cose.is_signed_by(signed, cose.ed25519_key(KEY.public))
    assert not cose.is_signed_by(signed, cose.ed25519_key(SigningKey(b"x" * 32).public))


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_apart_or_refused(raw):
    with suppress(CoseError):
        cose.take_apart(raw)


@given(st.binary(max_size=100))
def test_base45_goes_there_and_back(raw):
    assert cose.from_base45(cose.to_base45(raw)) == raw


@pytest.mark.parametrize("text", ["~", "A", ":::", "ẫ", "a"])
def test_what_is_no_base45(text):
    with pytest.raises(CoseError):
        cose.from_base45(text)


def test_a_bomb_ends_at_the_bound():
    with pytest.raises(CoseError, match="too-long"):
        cose.inflate(zlib.compress(bytes(10_000_000)))


@pytest.mark.parametrize("text", ["YQ", "YQ==", "Y\nQ==", "YQ=", " YQ"])
def test_base64_however_it_was_written(text):
    assert cose.from_base64(text) == b"a"


@pytest.mark.parametrize("raw", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_none(raw):
    with pytest.raises(CoseError):
        SigningKey(raw)
    with pytest.raises(CoseError):
        cose.ed25519_key(raw)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), -1, 10**20])
def test_what_is_no_date(value):
    assert cose.seconds(value) is None


def test_a_certificate_that_is_none():
    with pytest.raises(CoseError):
        cose.certificate(b"rubbish")
