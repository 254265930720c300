"""What a kiosk that asks for a certificate is told, and what is written down with it."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from checkin import claim, identity
from checkin.claim import Renewal, Token
from checkin.identity import Authority
from provisioning.enrolling import MOST_A_DAY, Enroller, Standing
from provisioning.register import KnownToken
from tests.made_up import NOON

AUTHORITY = Authority.new("kiosks", NOON, 3650)
DESK = Enroller(AUTHORITY, days=365)
TOKEN = Token(bytes(range(16)))
KNOWN = KnownToken(TOKEN.fingerprint, TOKEN.secret, "k1", "cp", NOON, NOON + timedelta(days=90))
KEY, OTHER_KEY = identity.new_key(), identity.new_key()
NONCE = "0f" * 16
LATER = NOON + timedelta(hours=1)


def request(key=KEY, name="k1"):
    return identity.request(key, name).decode()


def shown(token=TOKEN, **changes):
    fields = {"kiosk": "k1", "checkpoint": "cp", "request": request(), "nonce": NONCE}
    return claim.claim(token, **(fields | changes))


def standing(**changes):
    return Standing(**({"token": KNOWN} | changes))


def enrolled():
    """What stands after the first claim."""
    issued = DESK.claimed(shown(), standing(), LATER).issued
    return standing(token=replace(KNOWN, used_at=LATER), certificate=issued)


def test_a_claim_with_its_token_gets_a_certificate_for_its_key_and_the_tokens_kiosk():
    one = shown(request=request(name="somebody-else"))
    outcome = DESK.claimed(one, standing(), LATER)
    assert claim.answers(outcome.answer, one, TOKEN)
    pem = outcome.answer.certificate.encode()
    found = identity.read(pem)
    assert (found.name, found.ends_at) == ("k1", LATER + timedelta(days=365))
    assert identity.fits(pem, KEY)
    assert identity.is_signed_by(pem, AUTHORITY.certificate)
    issued = outcome.issued
    assert (issued.certificate + AUTHORITY.certificate, issued.serial) == (pem, found.serial)
    assert (issued.kiosk, issued.checkpoint, issued.name) == ("k1", "cp", "k1")
    assert issued.token == TOKEN.fingerprint


@pytest.mark.parametrize(
    ("one", "changes", "at", "refused"),
    [
        (shown(), {"token": None}, LATER, "unknown"),
        (shown(), {"token": replace(KNOWN, secret=bytes(16))}, LATER, "forged"),
        (shown(kiosk="k2"), {}, LATER, "wrong-name"),
        (shown(checkpoint="cp2"), {}, LATER, "wrong-name"),
        (
            shown(kiosk="vaora-central"),
            {"token": replace(KNOWN, kiosk="vaora-central")},
            LATER,
            "wrong-name",
        ),
        (shown(), {"is_retired": True}, LATER, "retired"),
        (shown(request="no request"), {}, LATER, "unusable"),
        (shown(), {}, NOON + timedelta(days=90), "expired"),
        (shown(), {"token": replace(KNOWN, used_at=NOON)}, LATER, "used"),
    ],
)
def test_what_is_refused_says_why_and_nothing_is_written(one, changes, at, refused):
    outcome = DESK.claimed(one, standing(**changes), at)
    assert outcome.answer.refused == refused
    assert (outcome.answer.certificate, outcome.issued) == ("", None)


def test_a_refusal_is_proven_where_the_token_is_known():
    one = shown()
    refused = DESK.claimed(one, standing(is_retired=True), LATER).answer
    assert claim.answers(refused, one, TOKEN)
    unknown = DESK.claimed(one, standing(token=None), LATER).answer
    assert not claim.answers(unknown, one, TOKEN)


def test_who_has_not_the_token_learns_nothing_about_it():
    for state in (
        standing(is_retired=True),
        enrolled(),
        standing(token=replace(KNOWN, kiosk="k9")),
    ):
        foreign = Token(bytes(16))
        stolen_name = replace_token(shown(foreign))
        assert (
            DESK.claimed(stolen_name, state, NOON + timedelta(days=400)).answer.refused == "forged"
        )


def replace_token(one):
    """A claim that names our token and is proven by another."""
    return msgspec.structs.replace(one, token=TOKEN.fingerprint)


def test_a_claim_that_comes_again_for_the_same_key_gets_the_same_certificate():
    state = enrolled()
    for at in (LATER, NOON + timedelta(days=200)):  # the token's own time may be over meanwhile
        again = shown(nonce="ee" * 16, request=request())
        outcome = DESK.claimed(again, state, at)
        assert outcome.issued is None
        both = state.certificate.certificate + AUTHORITY.certificate
        assert outcome.answer.certificate.encode() == both
        assert claim.answers(outcome.answer, again, TOKEN)


def test_a_used_token_gets_nothing_for_another_key():
    outcome = DESK.claimed(shown(request=request(OTHER_KEY)), enrolled(), LATER)
    assert (outcome.answer.refused, outcome.issued) == ("used", None)


def renew(key=OTHER_KEY, *, checkpoint="cp", at=LATER, **changes):
    state = replace(enrolled(), **changes)
    asked = Renewal(request(key), NONCE)
    return state, DESK.renewed(asked, "k1", checkpoint, state, at)


def test_a_renewal_gets_a_certificate_for_the_new_key():
    at = NOON + timedelta(days=250)
    _, outcome = renew(at=at)
    pem = outcome.answer.certificate.encode()
    assert identity.fits(pem, OTHER_KEY)
    assert identity.read(pem).ends_at == at + timedelta(days=365)
    assert (outcome.issued.certificate, outcome.issued.token) == (pem, "")
    assert outcome.answer.nonce == NONCE


def test_a_renewal_that_comes_again_gets_the_same_certificate():
    state, outcome = renew(KEY)
    assert outcome.answer.certificate.encode() == state.certificate.certificate
    assert outcome.issued is None


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"is_retired": True}, "retired"),
        ({"certificate": None}, "unknown"),
        ({"checkpoint": "cp2"}, "wrong-name"),
    ],
)
def test_a_renewal_is_refused_with_its_reason(changes, refused):
    _, outcome = renew(**changes)
    assert (outcome.answer.refused, outcome.issued) == (refused, None)


def test_a_renewal_without_a_request_is_unusable():
    outcome = DESK.renewed(Renewal("x", NONCE), "k1", "cp", enrolled(), LATER)
    assert (outcome.answer.refused, outcome.issued) == ("unusable", None)


def test_a_kiosk_that_asks_for_ever_more_certificates_is_not_answered():
    _, outcome = renew(issued_lately=MOST_A_DAY)
    assert (outcome.answer, outcome.issued) == (None, None)
