"""Our own pass, from the desk to the door."""

from datetime import UTC, datetime, timedelta

import cbor2
import pytest
import segno

from checkin import cose, passes
from checkin.cose import SigningKey
from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here, Trust

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DESK = SigningKey(bytes(range(32)))
TRUST = Trust(pass_keys={DESK.kid: DESK.public})
HOLDER = "Phan Thị Mẫu"


def made(key=DESK, **changes):
    told = {
        "kind": "visitor",
        "pass_id": bytes(range(8)),
        "holder": HOLDER,
        "not_before": AT,
        "expires": AT + timedelta(hours=8),
        "checkpoints": ("0100123",),
    }
    return passes.issue(key, **(told | changes))


def read(text, at=AT, trust=TRUST, **here):
    return credentials.read(text.encode(), Here(at, trust=trust, **here))


def test_a_pass_comes_back_as_it_was_made():
    found = read(made())
    assert found.verified
    assert found.reading() == {
        "ok": True,
        "type": "pass",
        "pass_kind": "visitor",
        "pass_id": "0001020304050607",
        "holder": HOLDER,
        "not_before": "2026-11-22T03:00:00+00:00",
        "expires": "2026-11-22T11:00:00+00:00",
        "checkpoints": ["0100123"],
        "verified": True,
        "reason": None,
        "signed": True,
    }
    assert HOLDER not in repr(found)


def test_a_pass_fits_the_symbol_that_the_documents_promise():
    text = made()
    assert len(text) <= 250
    assert segno.make(text, error="q", boost_error=False).version <= 11


@pytest.mark.parametrize(
    ("text", "here", "reason"),
    [
        (made(), {"trust": Trust()}, "unknown-signer"),
        (made(SigningKey(bytes(32))), {}, "unknown-signer"),
        (made(), {"at": AT + timedelta(hours=9)}, "expired"),
        (made(), {"at": AT - timedelta(hours=1)}, "not-yet-valid"),
        (made(), {"at": AT - timedelta(hours=1), "synced": False}, None),
        (made(), {"at": AT + timedelta(hours=9), "synced": False}, "expired"),
        (made(), {"at": AT + timedelta(hours=8, seconds=30)}, None),
    ],
)
def test_why_a_pass_isnt_verified(text, here, reason):
    assert read(text, **here).reason == reason


def test_a_revoked_pass_is_revoked_and_others_arent():
    revoked = Trust(TRUST.signers, (), TRUST.pass_keys, frozenset({"0001020304050607"}))
    assert read(made(), trust=revoked).reason == "revoked"
    assert read(made(pass_id=b"another!"), trust=revoked).reason is None


def test_a_changed_pass_is_a_forgery():
    raw = cose.from_base45(made().removeprefix("VP1:"))
    forged = raw.replace(HOLDER.encode(), HOLDER.upper().encode())
    assert forged != raw
    assert read("VP1:" + cose.to_base45(forged)).reason == "bad-signature"
    stolen_kid = SigningKey(bytes(32))
    claims = cose.take_apart(raw).payload
    other = cose.take_apart(stolen_kid.sign(claims))
    swapped = [cose.take_apart(raw).protected, {}, claims, other.signature]
    assert read("VP1:" + cose.to_base45(cbor2.dumps(swapped))).reason == "bad-signature"


@pytest.mark.parametrize(
    "changes",
    [
        {passes.KIND: "king"},
        {passes.KIND: None},
        {passes.CTI: b"short"},
        {passes.CTI: "text"},
        {passes.HOLDER: ""},
        {passes.HOLDER: 7},
        {passes.NBF: None},
        {passes.EXP: float("inf")},
        {passes.EXP: -1},
        {passes.EXP: 10**15},
        {passes.CHECKPOINTS: "0100123"},
        {passes.CHECKPOINTS: [7]},
        {passes.CHECKPOINTS: ["x"] * 17},
    ],
)
def test_a_signed_token_that_is_no_pass_is_foreign(changes):
    claims = cose.from_cbor(cose.take_apart(cose.from_base45(made()[4:])).payload) | changes
    text = "VP1:" + cose.to_base45(DESK.sign(cose.to_cbor(claims)))
    assert (read(text).type, read(text).error) == ("pass", "claims")


@pytest.mark.parametrize(
    "changes",
    [
        {"holder": " "},
        {"holder": "N" * 101},
        {"holder": "a\nb"},
        {"expires": AT},
        {"pass_id": b"1"},
        {"checkpoints": ("x",) * 17},
    ],
)
def test_the_desk_makes_no_pass_that_no_kiosk_would_read(changes):
    with pytest.raises(ValueError, match=r".+"):
        made(**changes)
