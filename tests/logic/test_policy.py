"""What is taken at a checkpoint, when, and what is kept of it."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from checkin import settings
from checkin.cose import SigningKey
from checkin.passes import issue
from kiosk.logic import credentials
from kiosk.logic.credentials import KINDS, SIGNED_KINDS
from kiosk.logic.credentials.here import Here, Trust
from kiosk.logic.policy import (
    KEEP,
    KEEPABLE,
    Days,
    Hours,
    Policy,
    Terms,
    days_from,
    hours_from,
    keep_from,
)
from tests.made_up import CARD
from tests.signed import certificate, ec_key, hc1

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # ten in the morning in Viet Nam
DESK = SigningKey(bytes(range(32)))


def shown(text, trust=None, at=AT):
    return credentials.read(text.encode(), Here(at, trust=trust or Trust()))


def a_pass(*checkpoints, trusted=True, at=AT):
    text = issue(
        DESK,
        kind="visitor",
        pass_id=b"12345678",
        holder="Mẫu",
        not_before=AT - timedelta(hours=1),
        expires=AT + timedelta(hours=8),
        checkpoints=checkpoints,
    )
    return shown(text, Trust(pass_keys={DESK.kid: DESK.public} if trusted else {}), at)


def refusal(policy, credential, at=AT, *, synced=True):
    return policy.refusal(credential, at, synced=synced)


def test_a_card_is_taken_unverified_and_a_pass_only_verified():
    assert refusal(Policy(), shown(CARD)) is None
    assert refusal(Policy(), a_pass()) is None
    assert refusal(Policy(), a_pass(trusted=False)) == "unknown-signer"


def test_a_kind_that_isnt_taken():
    assert refusal(Policy(normal=Terms(accept=frozenset({"pass"}))), shown(CARD)) == (
        "kind-not-taken-here"
    )
    contact = shown("MECARD:N:A;;")
    assert refusal(Policy(), contact) == "kind-not-taken-here"
    assert refusal(Policy(normal=Terms(accept=frozenset(KINDS))), contact) is None


def test_a_vaccine_pass_may_have_to_be_verified():
    strict = Policy(normal=Terms(must_verify=frozenset({"hc1"})))
    assert refusal(Policy(), shown(hc1())) is None  # read, and recorded as unverified
    assert refusal(strict, shown(hc1())) == "unknown-signer"


def test_a_forgery_and_a_revoked_pass_are_never_taken():
    kid = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    lenient = Policy(normal=Terms(must_verify=frozenset()))
    forged = shown(hc1(ec_key(1)), Trust(signers={kid: (certificate(ec_key()),)}))
    assert refusal(lenient, forged) == "bad-signature"


@pytest.mark.parametrize(
    ("places", "said"),
    [((), None), (("0100123",), None), (("0100123", "9"), None), (("9",), "other-checkpoint")],
)
def test_a_pass_may_name_its_checkpoints(places, said):
    assert refusal(Policy(checkpoint="0100123"), a_pass(*places)) == said


@pytest.mark.parametrize(
    ("hours", "hour", "closed"),
    [
        ("06:00-22:00", 10, False),
        ("06:00-22:00", 22, True),
        ("06:00-22:00", 5, True),
        ("22:00-06:00", 23, False),
        ("22:00-06:00", 3, False),
        ("22:00-06:00", 12, True),
    ],
)
def test_opening_hours_are_local_and_may_go_over_midnight(hours, hour, closed):
    policy = Policy(hours=hours_from(hours))
    at = datetime(2026, 11, 22, hour, 0, tzinfo=UTC) - timedelta(hours=7)
    assert (refusal(policy, shown(CARD), at) == "closed") is closed


def test_an_event_begins_and_ends_by_the_local_day():
    policy = Policy(event_days=days_from("2026-11-22", "2026-11-23"))
    first = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)  # midnight in Viet Nam
    assert refusal(policy, shown(CARD), first) is None
    assert refusal(policy, shown(CARD), first - timedelta(seconds=1)) == "not-begun"
    assert refusal(policy, shown(CARD), first + timedelta(days=2)) == "over"


def test_a_clock_that_was_never_set_closes_no_door():
    policy = Policy(hours=hours_from("06:00-07:00"), event_days=days_from("2030-01-01", ""))
    assert refusal(policy, shown(CARD), synced=False) is None


def test_epidemic_terms_hold_on_their_days_and_no_longer():
    epidemic = Terms(accept=frozenset({"hc1"}), keep={"hc1": frozenset({"name"})})
    policy = Policy(epidemic=epidemic, epidemic_days=days_from("2026-11-22", "2026-11-30"))
    assert refusal(policy, shown(CARD)) == "kind-not-taken-here"
    assert refusal(policy, shown(CARD), AT + timedelta(days=9)) is None
    assert policy.kept(shown(hc1()), AT) == {"name": "NGUYỄN VĂN MẪU"}


def test_only_what_the_terms_keep_is_kept():
    assert Policy().kept(shown(CARD), AT) == {
        "name": "Nguyễn Văn Mẫu",
        "id_number": "010090999901",
        "dob": "1990-01-02",
    }
    only = Terms(keep=keep_from(("cccd.id_number",)))
    assert Policy(normal=only).kept(shown(CARD), AT) == {"id_number": "010090999901"}
    assert Policy(normal=only).kept(a_pass(), AT) == {}


def test_what_can_never_be_verified_cant_be_asked_to_be():
    with pytest.raises(ValueError, match="cccd: can't be verified"):
        Terms(must_verify=frozenset({"cccd"}))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: keep_from(("cccd.shoe_size",)), "cccd.shoe_size"),
        (lambda: keep_from(("passport.name",)), "known: none"),
        (lambda: days_from("2026-02-30", ""), "day"),
        (lambda: days_from("2026-02-03", "2026-02-02"), "before it begins"),
        (lambda: hours_from("25:00-26:00"), "hour"),
    ],
)
def test_rules_that_cant_be_say_what_is_wrong(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_open_days_and_hours():
    assert Days().holds(date(1990, 1, 1))
    assert hours_from("") is None
    assert Hours(time(6), time(6)).hold(AT)  # a whole day
    assert hours_from("06:00-24:00").closes == time(0)


def test_settings_and_policy_know_the_same_kinds():
    assert set(settings.Policy().accept) == Terms().accept
    assert set(settings.Policy().must_verify) == Terms().must_verify
    assert set(KEEP) == set(KEEPABLE) == set(KINDS)
    assert set(SIGNED_KINDS) < set(KINDS)
    keep_from(settings.Epidemic().keep)


def test_a_pass_that_is_over_is_refused_even_where_none_must_be_verified():
    lenient = Policy(normal=Terms(must_verify=frozenset()))
    assert refusal(lenient, a_pass(trusted=False)) is None
    late = AT + timedelta(hours=9)
    assert refusal(lenient, a_pass(at=late), late) == "expired"
