"""A kiosk gets its certificate: whatever comes in between, and whenever the power goes.

The kiosk's end is real, its files too; so is who decides at the desk. The network is a list.
"""

import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkin import claim, first_boot, identity, whole
from checkin.claim import Token
from checkin.identity import Authority
from provisioning.enrolling import Enroller, Outcome, Standing
from provisioning.register import KnownToken
from provisioning.tokens import claim_credential
from sync_daemon import enrolment, topics
from sync_daemon.broker import BrokerError, Connected, Lost, Message, Received, TurnedDown
from sync_daemon.enrolment import Enrolment
from sync_daemon.identity import Identity, IdentityFolderError
from sync_daemon.topics import Address
from tests.made_up import NOON, FakeClock

HERE = Address("cp", "k1")
TOKEN = Token(bytes(range(16)))


@pytest.fixture(scope="session")
def fleet():
    return Authority.new("kiosks", NOON, 3650)


@pytest.fixture(scope="session")
def credential(fleet):
    return claim_credential(fleet, at=NOON, days=90)


class PowerCut(BaseException):
    """Nothing that comes after is done, and nobody may catch it."""


@dataclass
class Wire:
    """A link to a broker that may be away."""

    down: bool = False
    sent: list = field(default_factory=list)
    heard: list = field(default_factory=list)
    online: bool = False

    def connect(self):
        if self.down:
            raise BrokerError("nobody listens there")
        self.online = True
        self.heard.append(Connected(20, 2**20))

    def publish(self, message, content_type="", *, retain=False):
        assert (message.topic, content_type) == (topics.claim_request("k1"), topics.JSON_TYPE)
        assert not retain
        assert b"PRIVATE" not in message.body
        assert TOKEN.text.encode() not in message.body
        self.sent.append(message.body)
        return len(self.sent)

    def wait(self, _timeout_s):
        heard, self.heard = self.heard, []
        return heard

    def close(self, *, with_will=False):
        self.online, self.heard = False, []

    def deliver(self, body):
        if self.online:
            self.heard.append(Received(Message(topics.claim_answer("k1"), body), 1))


class Desk:
    """Who answers, with the register in memory."""

    def __init__(self, fleet, clock):
        self.enroller, self.clock = Enroller(fleet, 365), clock
        self.used_for, self.used_at, self.issued = None, None, []
        self.expires_at = NOON + timedelta(days=90)

    def answer(self, body):
        shown = claim.read_claim(body)
        known = KnownToken(
            TOKEN.fingerprint, TOKEN.secret, "k1", "cp", NOON, self.expires_at, self.used_at
        )
        standing = Standing(known if shown.token == TOKEN.fingerprint else None, self.used_for)
        outcome = self.enroller.claimed(shown, standing, self.clock.at)
        if outcome.issued is not None:
            self.issued.append(outcome.issued)
            self.used_for, self.used_at = outcome.issued, self.clock.at
        return claim.encode(outcome.answer)


class Kiosk:
    """One kiosk: its folder outlives the power, its process doesn't."""

    def __init__(self, folder, fleet, credential):
        self.own = Identity(folder / "identity" / "kiosk.pem")
        self.run = folder / "run"
        self.own.file.parent.mkdir()
        self.run.mkdir()
        self.clock = FakeClock()
        self.desk = Desk(fleet, self.clock)
        self.wire = Wire()
        self.chance = random.Random(7)
        self.put_card_in(credential)
        self.begin()

    def put_card_in(self, credential, token=TOKEN):
        self.own.claim_file.write_bytes(credential)
        self.own.token_file.write_text(token.text + "\n")

    def begin(self):
        """As the daemon begins."""
        self.wire.close()
        self.claims = None
        if enrolment.is_wanted(self.own, "k1", self.clock.moment()):
            self.claims = Enrolment(
                self.own, HERE, link=self.wire, clock=self.clock, jitter=self.chance.random,
                runtime_dir=self.run,
            )  # fmt: skip

    def turn(self, seconds=1.0):
        if self.claims is not None:
            assert self.claims.wait(0) == []
        self.clock.pass_(seconds)

    def answer_all(self):
        for body in self.wire.sent:
            self.wire.deliver(self.desk.answer(body))
        self.wire.sent.clear()

    def until_enrolled(self, turns=2_000):
        for _ in range(turns):
            if self.claims is None or self.claims.done:
                return
            self.turn(10.0)
            self.answer_all()
        raise AssertionError(f"not enrolled: {self.claims.standing} {self.claims.trouble}")

    def names(self):
        return sorted(file.name for file in self.own.file.parent.iterdir())

    def is_enrolled_once(self):
        """Whole, for this kiosk, by the one certificate there is; nothing else is left."""
        assert self.own.trouble("k1", self.clock.at) == ""
        assert len(self.desk.issued) == 1
        assert self.own.certificate().serial == self.desk.issued[0].serial
        assert self.names() == ["kiosk.pem"]
        assert self.own.file.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def kiosk(tmp_path, fleet, credential):
    return Kiosk(tmp_path, fleet, credential)


def test_a_card_becomes_a_certificate_and_leaves_nothing(kiosk):
    assert kiosk.names() == ["claim.pem", "claim.token"]
    kiosk.turn()
    kiosk.turn()
    assert kiosk.claims.standing == "waiting"
    assert kiosk.names() == ["claim.pem", "claim.token", "request.json"]
    kiosk.answer_all()
    kiosk.turn()
    assert kiosk.claims.done
    kiosk.is_enrolled_once()
    kiosk.begin()
    assert kiosk.claims is None


def test_the_desk_may_come_weeks_later(kiosk):
    for _ in range(300):
        kiosk.turn(6_000.0)
    assert len(set(kiosk.wire.sent)) == 1
    kiosk.clock.at = NOON + timedelta(days=20)
    kiosk.answer_all()
    kiosk.turn()
    kiosk.is_enrolled_once()


def test_without_a_broker_it_says_so_and_goes_on(kiosk, caplog):
    kiosk.wire.down = True
    for _ in range(500):
        kiosk.turn(10.0)
    assert (kiosk.claims.standing, kiosk.claims.trouble) == ("no-broker", "nobody listens there")
    assert caplog.text.count("nobody listens there") == 1
    kiosk.wire.down = False
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


@pytest.mark.parametrize("refusal", ["used", "expired", "forged", "unknown"])
def test_a_refusal_is_said_once_and_a_new_card_helps(kiosk, refusal, caplog, credential):
    match refusal:
        case "used":
            asked = claim.claim(
                TOKEN, kiosk="k1", checkpoint="cp", nonce="0" * 32,
                request=identity.request(identity.new_key(), "k1").decode(),
            )  # fmt: skip
            kiosk.desk.answer(claim.encode(asked))
            kiosk.desk.issued.clear()
        case "expired":
            kiosk.desk.expires_at = NOON
        case "forged":
            real = kiosk.desk.enroller
            kiosk.desk.enroller = Forging()
        case "unknown":
            kiosk.own.token_file.write_text(Token(bytes(16)).text)
    for _ in range(1_000):
        kiosk.turn(10.0)
        kiosk.answer_all()
    assert kiosk.claims.standing == f"refused: {refusal}"
    assert caplog.text.count(claim.REFUSALS[refusal]) == 1
    assert not kiosk.own.is_there
    assert first_boot.failed(kiosk.run) == "enrolment"
    # A new card: its files appear, and are taken up without a restart.
    kiosk.desk.used_for = kiosk.desk.used_at = None
    kiosk.desk.expires_at = NOON + timedelta(days=90)
    if refusal == "forged":
        kiosk.desk.enroller = real
    kiosk.put_card_in(credential)
    kiosk.until_enrolled(turns=60)
    kiosk.is_enrolled_once()
    assert first_boot.failed(kiosk.run) is None


class Forging:
    """Takes every claim for a forged one."""

    def claimed(self, shown, _standing, _at):
        return Outcome(claim.answer(shown, TOKEN, refused="forged"))


def test_a_card_that_lay_too_long_is_said_without_asking_and_a_new_one_helps(
    kiosk, fleet, credential
):
    kiosk.put_card_in(claim_credential(fleet, at=NOON - timedelta(days=91), days=90))
    kiosk.begin()
    for _ in range(100):
        kiosk.turn(10.0)
    assert kiosk.claims.standing == "refused: expired"
    assert kiosk.wire.sent == []
    kiosk.put_card_in(credential)
    kiosk.until_enrolled(turns=60)
    kiosk.is_enrolled_once()


def test_an_answer_by_who_has_not_the_token_changes_nothing(kiosk, fleet):
    kiosk.turn()
    kiosk.turn()
    shown = claim.read_claim(kiosk.wire.sent[0])
    right = fleet.certify(shown.request.encode(), name="k1", at=NOON, days=365).decode()
    for token in (None, Token(bytes(16))):
        kiosk.wire.deliver(claim.encode(claim.answer(shown, token, certificate=right)))
    kiosk.wire.deliver(b"rubbish")
    kiosk.turn()
    assert not kiosk.own.is_there
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


@pytest.mark.parametrize("what", ["key", "name", "time", "form"])
def test_a_proven_answer_that_is_not_what_was_asked_for_changes_nothing(kiosk, fleet, what):
    kiosk.turn()
    kiosk.turn()
    shown = claim.read_claim(kiosk.wire.sent[0])
    request = shown.request.encode()
    match what:
        case "key":
            request = identity.request(identity.new_key(), "k1")
            made = fleet.certify(request, name="k1", at=NOON, days=365)
        case "name":
            made = fleet.certify(request, name="k2", at=NOON, days=365)
        case "time":
            made = fleet.certify(request, name="k1", at=NOON - timedelta(days=400), days=365)
        case "form":
            made = b"no certificate"
    kiosk.wire.deliver(claim.encode(claim.answer(shown, TOKEN, certificate=made.decode())))
    kiosk.turn()
    assert not kiosk.own.is_there
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


def test_what_the_broker_turns_down_is_tried_again(kiosk):
    kiosk.turn()
    kiosk.wire.heard.append(TurnedDown(1, "not authorized", False))
    kiosk.turn()
    assert kiosk.claims.trouble == "it refuses the claim: not authorized"
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


@pytest.mark.parametrize("text", ["", "rubbish", "VT1-AAAA", "\x00" * 100])
def test_a_token_that_cannot_be_read_is_said(kiosk, text, caplog):
    kiosk.own.token_file.write_text(text)
    kiosk.begin()
    kiosk.turn()
    assert "claim.token: is no token" in kiosk.claims.trouble
    assert "write a new card" in caplog.text


def test_a_full_disk_is_waited_for_and_nothing_is_asked_before(kiosk, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whole, "write", full)
        for _ in range(20):
            kiosk.turn(60.0)
        assert "No space left on device" in kiosk.claims.trouble
        assert kiosk.wire.sent == []
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


def test_a_damaged_request_begins_anew(kiosk):
    kiosk.turn()
    kiosk.own.request_file.write_bytes(b"\0" * 300)
    kiosk.begin()
    kiosk.wire.sent.clear()  # the desk never saw the first
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


def test_a_kiosk_without_anything_says_what_it_misses_and_takes_a_card_that_comes(
    kiosk, credential
):
    kiosk.own.tidy()
    kiosk.begin()
    kiosk.turn()
    assert kiosk.claims.standing == "missing"
    kiosk.put_card_in(credential)
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()


def enrolled(kiosk, ends):
    """A certificate that somebody put there, for a key of the kiosk's."""
    asked = kiosk.own.asked(kiosk.own.request_file, "k1")
    made = kiosk.desk.enroller.authority.certify(
        asked.request.encode(), name="k1", at=ends - timedelta(days=365), days=365
    )
    kiosk.own.install(made, asked, None)
    kiosk.own.request_file.unlink()


def test_one_that_was_away_past_its_end_claims_anew_where_there_is_a_card(kiosk):
    enrolled(kiosk, ends=NOON - timedelta(days=1))
    before = kiosk.own.certificate().serial
    kiosk.begin()
    kiosk.until_enrolled()
    kiosk.is_enrolled_once()
    assert kiosk.own.certificate().serial != before


def test_before_the_clock_is_set_a_card_beside_a_certificate_is_kept(kiosk):
    enrolled(kiosk, ends=NOON - timedelta(days=1))
    kiosk.clock.synced = False
    kiosk.clock.at = NOON - timedelta(days=700)
    kiosk.begin()
    assert kiosk.claims is None
    assert kiosk.own.can_claim
    kiosk.clock.synced, kiosk.clock.at = True, NOON
    kiosk.begin()
    assert kiosk.claims is not None


def test_a_card_beside_a_good_certificate_is_of_no_use_and_removed(kiosk):
    enrolled(kiosk, ends=NOON + timedelta(days=300))
    kiosk.begin()
    assert kiosk.claims is None
    assert kiosk.names() == ["kiosk.pem"]


def test_a_kiosk_of_another_name_does_not_take_its_predecessors(kiosk):
    enrolled(kiosk, ends=NOON + timedelta(days=300))
    assert enrolment.is_wanted(kiosk.own, "k2", kiosk.clock.moment())
    assert "is another kiosk's: k1" in kiosk.own.trouble("k2", None)


def test_a_key_of_another_certificate_is_seen(kiosk):
    enrolled(kiosk, ends=NOON + timedelta(days=300))
    certificate = kiosk.own.file.read_bytes().split(b"-----BEGIN PRIVATE")[0]
    kiosk.own.file.write_bytes(certificate + identity.new_key())
    assert "the key isn't the certificate's" in kiosk.own.trouble("k1", None)
    kiosk.own.file.write_bytes(certificate)
    assert "is no private key in PEM" in kiosk.own.trouble("k1", None)


def test_a_file_that_cannot_be_is_refused(kiosk):
    kiosk.own.token_file.write_bytes(b"A" * 100_000)
    with pytest.raises(IdentityFolderError, match="is longer than anything that belongs there"):
        kiosk.own.token()


@pytest.mark.parametrize("cut", range(3))
def test_what_is_left_of_the_claim_goes_before_the_clock_is_set_too(kiosk, cut):
    kiosk.clock.synced = False
    with pytest.MonkeyPatch.context() as patch:
        fuse = Fuse(patch)
        kiosk.turn()
        kiosk.turn()
        fuse.left, fuse.after = 1 + cut, True  # the certificate is written, and so much removed
        kiosk.answer_all()
        with pytest.raises(PowerCut):
            kiosk.turn()
        fuse.left = None
    kiosk.begin()
    kiosk.is_enrolled_once()


# ── any order


EVENTS = (
    "turn", "turn", "turn", "long", "answer", "late", "twice", "lost", "down", "up", "forged",
    "cut", "cut-in", "cut-in", "cut-after",
)  # fmt: skip


@given(
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 5)), max_size=40),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_of_cuts_answers_and_copies_ends_enrolled_once(
    tmp_path_factory, fleet, credential, events
):
    kiosk = Kiosk(tmp_path_factory.mktemp("kiosk"), fleet, credential)
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        fuse = Fuse(patch)
        for what, number in events:
            happen(kiosk, fuse, answers, what, number)
            if kiosk.own.is_there:
                assert kiosk.own.trouble("k1", kiosk.clock.at) == ""
            assert len(kiosk.desk.issued) <= 1
        fuse.left = None
    kiosk.wire.down = False
    kiosk.begin()
    kiosk.until_enrolled()
    kiosk.begin()
    kiosk.is_enrolled_once()


class Fuse:
    """Cuts the power before, or after, the so-manieth change on the disk."""

    def __init__(self, patch):
        self.left, self.after = None, False
        for name in ("write", "remove"):
            patch.setattr(whole, name, self._guarded(getattr(whole, name)))

    def _guarded(self, change):
        def guarded(*given):
            if self.left == 0 and not self.after:
                raise PowerCut
            change(*given)
            if self.left == 0:
                raise PowerCut
            if self.left is not None:
                self.left -= 1

        return guarded


def happen(kiosk, fuse, answers, what, number):
    if what in {"cut-in", "cut-after"}:
        fuse.left, fuse.after = number, what == "cut-after"
        return
    try:
        one_thing(kiosk, answers, what, number)
    except PowerCut:
        fuse.left = None
        what = "cut"
    if what == "cut":
        try:
            kiosk.begin()
        except PowerCut:
            fuse.left = None
            kiosk.begin()


def one_thing(kiosk, answers, what, number):
    wire = kiosk.wire
    match what:
        case "turn" | "long":
            kiosk.turn(3.0 if what == "turn" else 4_000.0)
        case "answer":
            answers += [kiosk.desk.answer(body) for body in wire.sent]
            wire.sent.clear()
            for body in answers[-1:]:
                wire.deliver(body)
        case "late" | "twice":
            for body in answers[:: number + 1] * 2:
                wire.deliver(body)
        case "lost":
            wire.heard.append(Lost("the cable is out"))
        case "down" | "up":
            wire.down = what == "down"
        case "forged" if wire.sent:
            shown = claim.read_claim(wire.sent[-1])
            said = ({"refused": "used"}, {"certificate": "x"})[number % 2]
            wire.deliver(claim.encode(claim.answer(shown, Token(bytes(16)), **said)))
