"""When a kiosk asks for its certificate, and what it makes of the answers."""

from itertools import pairwise

import pytest

from checkin import claim
from checkin.claim import Answer, Token
from sync_daemon.claiming import (
    CLAIMS,
    CONNECT_S,
    Ask,
    Certified,
    Claiming,
    Connect,
    Ignored,
    Leave,
    Link,
    Refused,
    Waits,
    judge,
    judge_renewal,
)

TOKEN = Token(bytes(range(16)))
OTHER = Token(bytes(16))
ASKED = claim.claim(TOKEN, kiosk="k1", checkpoint="cp", request="PEM", nonce="ab" * 16)
STALE = claim.claim(TOKEN, kiosk="k1", checkpoint="cp", request="PEM", nonce="cd" * 16)


def answered(shown=ASKED, token=TOKEN, **how):
    return claim.encode(claim.answer(shown, token, **how))


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (answered(certificate="CERT"), Certified(b"CERT")),
        (answered(refused="used"), Refused("used", proven=True)),
        (answered(token=None, refused="unknown"), Refused("unknown", proven=False)),
        (answered(token=OTHER, refused="used"), Refused("used", proven=False)),
        (answered(token=OTHER, certificate="CERT"), Ignored("its proof isn't this token's")),
        (answered(token=None, certificate="CERT"), Ignored("its proof isn't this token's")),
        (answered(STALE, certificate="CERT"), Ignored("it answers another claim")),
        (answered(), Ignored("it holds no certificate")),
        (
            claim.encode(Answer("ab" * 16, "CERT", "", "0" * 64)),
            Ignored("its proof isn't this token's"),
        ),
    ],
)  # fmt: skip
def test_an_answer_counts_by_its_proof(body, verdict):
    assert judge(body, ASKED, TOKEN) == verdict


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b"{" * 100_000])
def test_what_is_no_answer_is_ignored(body):
    assert isinstance(judge(body, ASKED, TOKEN), Ignored)
    assert isinstance(judge_renewal(body, "ab" * 16), Ignored)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer("ab" * 16, "CERT"), Certified(b"CERT")),
        (Answer("ab" * 16, refused="retired"), Refused("retired", proven=True)),
        (Answer("cd" * 16, "CERT"), Ignored("it answers another renewal")),
        (Answer("ab" * 16), Ignored("it holds no certificate")),
    ],
)
def test_for_a_renewal_the_broker_vouches(answer, verdict):
    assert judge_renewal(claim.encode(answer), "ab" * 16) == verdict


def test_waits_double_up_to_the_longest_and_are_half_chance():
    for jitter, part in ((0.0, 0.5), (0.999, 1.0)):
        waits, tick, waited = Waits(CLAIMS, lambda jitter=jitter: jitter), 100.0, []
        for _ in range(40):
            assert waits.is_due(tick)
            waits.tried(tick)
            begin = tick
            while not waits.is_due(tick):
                tick += 0.5
            waited.append((tick - begin) / part)
        assert waited[:4] == pytest.approx([5, 10, 20, 40], abs=1.1)
        assert waited[-1] == pytest.approx(CLAIMS.max_s, abs=1.1)


@pytest.fixture
def asks():
    return Claiming(lambda: 0.5)


def online(asks, tick=0.0):
    assert asks.actions(tick) == [Connect()]
    asks.connected()
    assert asks.actions(tick) == [Ask()]


def test_it_connects_asks_and_asks_again_until_it_is_answered(asks):
    online(asks)
    asked = [tick for tick in range(1, 600) if asks.actions(float(tick)) == [Ask()]]
    assert asked[0] == 4
    assert len(asked) > 10
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 60


def test_a_broker_that_says_nothing_is_left(asks):
    assert asks.actions(0.0) == [Connect()]
    assert asks.actions(CONNECT_S - 0.1) == []
    assert asks.actions(CONNECT_S) == [Leave("the broker doesn't answer")]
    assert asks.link is Link.AWAY


def test_a_link_that_is_lost_is_opened_again_and_the_claim_goes_at_once(asks):
    online(asks)
    asks.lost(10.0)
    assert asks.actions(10.0) == []
    online(asks, 20.0)


def test_weeks_without_a_network_are_waited_in_steps_of_minutes(asks):
    tick, tries = 0.0, 0
    while tick < 14 * 86_400:
        if asks.actions(tick) == [Connect()]:
            tries += 1
            asks.lost(tick)
        tick += 10
    assert 4_000 < tries < 10_000


def test_a_refusal_by_who_knows_the_token_is_asked_again_within_the_hour_and_not_before(asks):
    online(asks)
    assert asks.refused(5.0, proven=True) == [Leave()]
    assert asks.actions(5.0 + 1_799) == []
    assert asks.actions(5.0 + 3_600) == [Connect()]


def test_a_refusal_by_who_does_not_is_no_reason_to_stop(asks):
    online(asks)
    assert asks.refused(1.0, proven=False) == []
    assert asks.actions(10.0) == [Ask()]


def test_a_patient_loss_waits_as_long_as_it_gets(asks):
    asks.actions(0.0)
    asks.lost(0.0, patient=True)
    assert asks.actions(149.0) == []
    assert asks.actions(300.0) == [Connect()]


def test_late_words_change_nothing(asks):
    asks.connected()
    assert asks.link is Link.AWAY
    asks.lost(0.0)
    assert asks.refused(0.0, proven=True) == []
    assert asks.actions(0.0) == [Connect()]
