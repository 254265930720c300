"""The enrolment desk, on a real register, with a broker that does as it is told."""

import logging

import pytest

from checkin import claim, identity
from checkin.claim import Renewal
from provisioning import enrolment_desk
from provisioning.enrolling import Enroller
from provisioning.enrolment_desk import MOST_SAID, SAY_AGAIN_S, EnrolmentDesk
from provisioning.fleet_folder import kiosks_authority
from sync_daemon import topics
from sync_daemon.broker import BrokerError, Connected, Lost, Message, Received
from sync_daemon.topics import Address
from tests import fleet
from tests.made_up import FakeClock

NONCE = "0f" * 16


class ScriptedBroker:
    """Hands out what is put into `heard`; keeps what it is told, in order."""

    def __init__(self):
        self.heard, self.done, self.broken = [], [], False

    def connect(self):
        self.done.append("connect")

    def close(self, *, with_will=False):
        self.done.append("close")

    def wait(self, timeout_s):
        heard, self.heard = self.heard, []
        return heard

    def publish(self, message, content_type="", *, retain=False):
        if self.broken:
            raise BrokerError("gone")
        assert (content_type, retain) == ("application/json", False)
        self.done.append(message)
        return 1

    def acknowledge(self, received):
        self.done.append(received.mid)

    @property
    def said(self):
        return [one for one in self.done if isinstance(one, Message)]


@pytest.fixture
def made(tmp_path):
    return fleet.made_up(tmp_path / "fleet")


@pytest.fixture
def broker():
    return ScriptedBroker()


@pytest.fixture
def desk(made, broker):
    with made.register() as register:
        opened = EnrolmentDesk(
            register=register,
            enroller=Enroller(kiosks_authority(made.folder), 365),
            broker=broker,
            clock=FakeClock(at=fleet.now()),
        )
        broker.heard = [Connected(20, 1000)]
        opened.turn()
        broker.done.clear()
        yield opened


def shown(token, kiosk="k1", key=None):
    request = identity.request(key or identity.new_key(), kiosk).decode()
    return claim.claim(token, kiosk=kiosk, checkpoint="cp", request=request, nonce=NONCE)


def received(topic, body, mid=7):
    return Received(Message(topic, body), mid)


def claims(one, mid=7):
    return received(topics.claim_request(one.kiosk), claim.encode(one), mid)


def test_the_register_is_written_before_the_answer_and_the_answer_before_the_acknowledgement(
    made, desk, broker
):
    token, _ = made.card("k1")
    one = shown(token)
    broker.broken = True
    broker.heard = [claims(one)]
    desk.turn()
    assert broker.done == ["close"]  # neither answered nor acknowledged: it comes again
    with made.register() as register:
        first = register.claimed_with(token.fingerprint)
        assert register.token(token.fingerprint).used_at is not None
    broker.broken = False
    broker.heard = [claims(one)]
    desk.turn()
    answer, acknowledged = broker.done[1:]
    assert (answer.topic, acknowledged) == (topics.claim_answer("k1"), 7)
    found = claim.read_answer(answer.body)
    assert claim.answers(found, one, token)
    assert identity.chain(found.certificate.encode())[0] == first.certificate
    with made.register() as register:
        assert len([one for one in register.certificates() if one.name == "k1"]) == 1


def test_when_the_register_fails_nothing_is_said(made, desk, broker):
    token, _ = made.card("k1")
    desk._register.close()
    broker.heard = [claims(shown(token))]
    desk.turn()
    assert broker.said == []
    assert 7 not in broker.done
    assert "register.db" in desk.why_lost


def test_a_claim_on_another_kiosks_topic_is_ignored(made, desk, broker):
    token, _ = made.card("k1")
    body = claim.encode(shown(token))
    broker.heard = [received(topics.claim_request("k2"), body)]
    desk.turn()
    assert broker.done == [7]


def enrol(made, desk, broker, kiosk="k1"):
    token, _ = made.card(kiosk)
    broker.heard = [claims(shown(token, kiosk))]
    desk.turn()
    broker.done.clear()


def test_a_renewal_is_answered_where_only_its_kiosk_reads(made, desk, broker):
    enrol(made, desk, broker)
    here = Address("cp", "k1")
    key = identity.new_key()
    asked = Renewal(identity.request(key, "x").decode(), NONCE)
    for _ in range(2):
        broker.heard = [received(here.renewal, claim.encode(asked))]
        desk.turn()
    first, _, second, _ = broker.done
    assert first == second
    assert first.topic == here.certificate
    pem = claim.read_answer(first.body).certificate.encode()
    assert identity.fits(pem, key)
    assert identity.read(pem).name == "k1"


def test_one_who_asks_for_ever_more_is_not_answered_any_more(made, desk, broker):
    enrol(made, desk, broker)
    for _ in range(20):
        asked = Renewal(identity.request(identity.new_key(), "x").decode(), NONCE)
        broker.heard.append(received(Address("cp", "k1").renewal, claim.encode(asked)))
    desk.turn()
    assert len(broker.said) == 9  # with the claim's ten
    assert broker.done.count(7) == 20


@pytest.mark.parametrize(
    "message",
    [
        (topics.claim_request("k1"), b"\xff"),
        (topics.claim_request("k1"), b"{}"),
        (topics.claim_request("k1"), b"x" * 70_000),
        (Address("cp", "k1").renewal, b"[]"),
        (Address("cp", "k1").state, b"{}"),
        ("vaora/v1/claim", b"{}"),
    ],
)
def test_what_cannot_be_read_is_acknowledged_and_forgotten(desk, broker, message):
    broker.heard = [received(*message)]
    desk.turn()
    assert broker.done == [7]


def test_a_flood_fills_neither_the_log_nor_the_memory(desk, broker, caplog):
    caplog.set_level(logging.INFO)
    for number in range(MOST_SAID + 500):
        topic = topics.claim_request(f"k{number}\x1b[2J")
        broker.heard += [received(topic, b"x"), received(topic, b"x")]
    desk.turn()
    assert len(caplog.records) == MOST_SAID + 1
    assert "no more of it" in caplog.records[-1].message
    assert "\x1b" not in caplog.text
    assert len(desk._said) == MOST_SAID + 1
    desk._clock.pass_(SAY_AGAIN_S + 1)
    broker.heard = [received(topics.claim_request("k1"), b"x")]
    desk.turn()
    assert len(desk._said) == 1


def test_a_broker_that_is_lost_is_tried_again(desk, broker):
    broker.heard = [Lost("gone")]
    desk.turn()
    assert (desk.is_online, desk.why_lost) == (False, "gone")
    desk._clock.pass_(enrolment_desk.CONNECT_AGAIN_S + 1)
    broker.heard = [Connected(20, 1000)]
    desk.turn()
    assert broker.done == ["close", "connect"]
    assert (desk.is_online, desk.why_lost) == (True, "")
