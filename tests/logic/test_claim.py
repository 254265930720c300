"""Claims, answers and their proofs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin import claim
from checkin.claim import Answer, ClaimError, Token

TOKEN, OTHER = Token(bytes(range(16))), Token(bytes(16))
NONCE = "ab" * 16


def made(token=TOKEN, **changes):
    told = {"kiosk": "k1", "checkpoint": "0100123", "request": "PEM", "nonce": NONCE}
    return claim.claim(token, **(told | changes))


def test_a_token_is_read_as_it_was_written():
    assert Token.read(TOKEN.text) == TOKEN
    assert Token.read(f"  {TOKEN.text.lower()}\n") == TOKEN
    assert TOKEN.text.startswith("VT1-")


@pytest.mark.parametrize("text", ["", "VT1-", "VT1-AAAAA", "VT1-!!!!!", TOKEN.text + "A" * 8])
def test_what_is_no_token_is_said(text):
    with pytest.raises(ClaimError, match="is no token"):
        Token.read(text)


def test_neither_fingerprint_nor_claim_tells_the_token():
    sent = claim.encode(made())
    assert TOKEN.text.encode() not in sent
    assert TOKEN.secret.hex().encode() not in sent
    assert repr(TOKEN) == "Token()"


def test_a_claim_proves_its_own_token_and_no_other():
    assert claim.proves(made(), TOKEN)
    assert not claim.proves(made(), OTHER)


@pytest.mark.parametrize("name", ["kiosk", "checkpoint", "request", "nonce"])
def test_a_claim_that_was_changed_on_the_way_proves_nothing(name):
    other = {"nonce": "cd" * 16}.get(name, "else")
    assert not claim.proves(msgspec.structs.replace(made(), **{name: other}), TOKEN)


def test_parts_dont_run_into_each_other():
    one, two = made(kiosk="k1", checkpoint="1"), made(kiosk="k11", checkpoint="")
    assert one.proof != two.proof


def test_an_answer_is_to_one_claim():
    shown = made()
    told = claim.answer(shown, TOKEN, certificate="CERT")
    assert claim.answers(told, shown, TOKEN)
    assert not claim.answers(told, made(nonce="cd" * 16), TOKEN)
    assert not claim.answers(told, made(request="another"), TOKEN)
    assert not claim.answers(told, shown, OTHER)
    assert not claim.answers(msgspec.structs.replace(told, certificate="X"), shown, TOKEN)
    assert not claim.answers(msgspec.structs.replace(told, refused="used"), shown, TOKEN)


def test_a_claims_own_proof_is_no_answers():
    shown = made()
    assert not claim.answers(Answer(NONCE, proof=shown.proof), shown, TOKEN)


def test_nobody_can_answer_for_an_unknown_token():
    told = claim.answer(made(), None, refused="unknown")
    assert told.proof == ""
    assert not claim.answers(told, made(), TOKEN)


def test_every_refusal_has_words():
    kinds = {kind for kind in claim.Refusal.__args__ if kind}
    assert set(claim.REFUSALS) == kinds


def test_messages_come_back_as_they_went():
    shown = made()
    assert claim.read_claim(claim.encode(shown)) == shown
    told = claim.answer(shown, TOKEN, certificate="CERT")
    assert claim.read_answer(claim.encode(told)) == told
    asked = claim.Renewal("PEM", NONCE)
    assert claim.read_renewal(claim.encode(asked)) == asked


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_claim_error(body):
    for read in (claim.read_claim, claim.read_answer, claim.read_renewal):
        with pytest.raises(ClaimError):
            read(body)


def test_a_message_that_is_too_long_is_not_read():
    with pytest.raises(ClaimError, match="of 70000 bytes"):
        claim.read_claim(b" " * 70_000)
