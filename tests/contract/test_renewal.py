"""A certificate is renewed at two thirds of its life, with a new key, whatever comes in between."""

from datetime import timedelta

import pytest

from checkin import claim, identity
from checkin.claim import Answer
from checkin.clock import Moment
from checkin.identity import Authority
from sync_daemon import certificate
from sync_daemon.broker import Acknowledged, Message, Received, Tls, TurnedDown
from sync_daemon.certificate import Certificate
from sync_daemon.identity import Identity
from sync_daemon.renewal import Renewing
from tests.contract.test_sync_loop import HERE, daemon  # noqa: F401  a fixture
from tests.made_up import BOOT, NOON

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def fleet():
    return Authority.new("kiosks", NOON - 400 * DAY, 3650)


@pytest.fixture
def own(tmp_path, fleet):
    """An identity that was made 244 days ago, for a year: two thirds are just over."""
    found = Identity(tmp_path / "identity" / "kiosk.pem")
    found.file.parent.mkdir()
    asked = found.asked(found.request_file, "k1")
    found.install(certify(fleet, asked.request, at=NOON - 244 * DAY), asked, NOON)
    found.tidy()
    return found


def certify(fleet, request, name="k1", at=NOON, days=365):
    return fleet.certify(request.encode(), name=name, at=at, days=days)


class Kiosk:
    def __init__(self, own, jitter=0.0):
        self.own, self.at, self.tick = own, NOON, 100.0
        self.tried, self.why = [], ""
        self.renewing = Renewing(own, "k1", lambda: jitter, self.try_)
        self.asked = []

    def try_(self, file):
        """The broker, which lets in who shows what lies in `file`, or says why not."""
        assert file.stat().st_mode & 0o777 == 0o600
        self.tried.append(file.read_bytes())
        return self.why

    def moment(self, *, synced=True):
        return Moment(self.at, self.tick, BOOT, synced)

    def turn(self, seconds=1.0, *, synced=True):
        found = self.own.certificate()
        told = (found.renew_from(), found.ends_at)
        if body := self.renewing.body(*told, self.moment(synced=synced)):
            self.asked.append(claim.read_renewal(body))
        self.tick += seconds
        self.at += timedelta(seconds=seconds)

    def hear(self, nonce, certificate_=b"", refused=""):
        body = claim.encode(Answer(nonce, certificate_.decode(), refused))
        return self.renewing.hear(body, self.moment())


@pytest.fixture
def kiosk(own):
    return Kiosk(own)


def test_it_is_asked_for_with_a_new_key_and_put_in_place_whole(kiosk, own, fleet):
    old = own.file.read_bytes()
    kiosk.turn()
    (asked,) = kiosk.asked
    new = certify(fleet, asked.request)
    assert not identity.fits(new, old)
    assert own.file.read_bytes() == old
    assert kiosk.hear(asked.nonce, new)
    assert own.trouble("k1", NOON) == ""
    assert own.certificate().ends_at == NOON + 365 * DAY
    assert not own.renewal_file.exists()
    assert own.file.stat().st_mode & 0o777 == 0o600
    assert kiosk.tried == [own.file.read_bytes()]
    assert [file.name for file in own.file.parent.iterdir()] == ["kiosk.pem"]
    for _ in range(100):
        kiosk.turn(3600)
    assert len(kiosk.asked) == 1


def test_before_it_is_time_nothing_is_asked(kiosk, own):
    kiosk.at = NOON - 2 * DAY
    for _ in range(24):
        kiosk.turn(3600)
    assert kiosk.asked == []
    assert not own.renewal_file.exists()


def test_a_clock_that_was_not_set_does_not_say_that_it_is_time(kiosk):
    for _ in range(24):
        kiosk.turn(3600, synced=False)
    assert kiosk.asked == []


def test_a_fleet_does_not_renew_as_one(own):
    late = Kiosk(own, jitter=0.999)
    for _ in range(60):
        late.turn(60)
    assert late.asked == []
    for _ in range(180):
        late.turn(60)
    assert late.asked


def test_the_same_is_asked_again_until_it_is_answered_after_a_restart_too(kiosk, own, fleet):
    for _ in range(600):
        kiosk.turn(6)
    later = Kiosk(own)
    later.turn()
    asked = {(one.request, one.nonce) for one in kiosk.asked + later.asked}
    assert len(asked) == 1
    assert 5 < len(kiosk.asked) < 30
    assert later.hear(later.asked[0].nonce, certify(fleet, later.asked[0].request))


def test_a_cut_between_certificate_and_tidying_asks_with_a_new_key_next_time(kiosk, own, fleet):
    kiosk.turn()
    left = own.renewal_file.read_bytes()
    kiosk.hear(kiosk.asked[0].nonce, certify(fleet, kiosk.asked[0].request))
    own.renewal_file.write_bytes(left)
    later = Kiosk(own)
    later.at = NOON + 250 * DAY
    later.turn()
    assert later.asked[0].request != kiosk.asked[0].request
    assert later.asked[0].nonce != kiosk.asked[0].nonce


def test_a_refusal_is_a_fault_said_once_and_asked_again_the_next_day(kiosk, fleet, caplog):
    kiosk.turn()
    nonce = kiosk.asked[0].nonce
    for _ in range(50):
        kiosk.hear(nonce, refused="retired")
    assert kiosk.renewing.refused == "retired"
    assert caplog.text.count("this kiosk was retired") == 1
    for _ in range(11):
        kiosk.turn(3600)
    assert len(kiosk.asked) == 1
    for _ in range(13):
        kiosk.turn(3600)
    assert len(kiosk.asked) > 1
    assert kiosk.hear(nonce, certify(fleet, kiosk.asked[-1].request, at=kiosk.at))
    assert kiosk.renewing.refused == ""


@pytest.mark.parametrize("what", ["nonce", "key", "name", "time", "form"])
def test_what_is_not_what_was_asked_for_changes_nothing(kiosk, own, fleet, what):
    before = own.file.read_bytes()
    kiosk.turn()
    nonce, request = kiosk.asked[0].nonce, kiosk.asked[0].request
    match what:
        case "nonce":
            assert not kiosk.hear("0" * 32, certify(fleet, request))
        case "key":
            other = identity.request(identity.new_key(), "k1").decode()
            assert not kiosk.hear(nonce, certify(fleet, other))
        case "name":
            assert not kiosk.hear(nonce, certify(fleet, request, name="k2"))
        case "time":
            assert not kiosk.hear(nonce, certify(fleet, request, at=NOON - 400 * DAY))
        case "form":
            assert not kiosk.hear(nonce, b"rubbish")
            assert not kiosk.renewing.hear(b"\xff", kiosk.moment())
    assert own.file.read_bytes() == before


def test_one_that_the_broker_does_not_take_leaves_the_old_in_its_place(kiosk, own, fleet, caplog):
    before = own.file.read_bytes()
    kiosk.why = "unknown ca"
    kiosk.turn()
    nonce, new = kiosk.asked[0].nonce, certify(fleet, kiosk.asked[0].request)
    for _ in range(3):
        assert not kiosk.hear(nonce, new)
    assert own.file.read_bytes() == before
    assert kiosk.renewing.refused == "not-taken"
    assert caplog.text.count("doesn't take the certificate that came: unknown ca") == 1
    kiosk.why = ""
    assert kiosk.hear(nonce, new)
    assert kiosk.renewing.refused == ""


def test_an_answer_that_nobody_asked_for_is_nothing(kiosk, fleet):
    assert not kiosk.hear("0" * 32, b"x")


def test_a_full_disk_asks_nothing_and_is_said(kiosk, own, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("checkin.whole.write", full)
    for _ in range(10):
        kiosk.turn(600)
    assert kiosk.asked == []
    assert caplog.text.count("the renewal of the certificate waits") == 1


# ── in the daemon's loop


@pytest.fixture
def loop(daemon, own):  # noqa: F811
    """The loop of a kiosk whose certificate is due."""
    tls = Tls(str(own.file), str(own.file), str(own.file))
    daemon.loop._certificate_files = lambda: certificate.files(tls)
    daemon.loop._look_at_certificate = lambda: certificate.look(tls, daemon.clock.at)
    daemon.loop._files_in_use = certificate.files(tls)
    daemon.loop._renewing = Renewing(own, "k1", lambda: 0.0, lambda _file: "")
    daemon.turn(seconds=61)
    daemon.turn()
    return daemon


def renewals(loop):
    return [
        (message, number)
        for number, (message, _, retained) in enumerate(loop.wire.published, 1)
        if message.topic == HERE.renewal and not retained
    ]


def test_the_loop_asks_takes_and_connects_anew(loop, fleet, own, caplog):
    ((message, number),) = renewals(loop)
    asked = claim.read_renewal(message.body)
    connects = loop.wire.connects
    made = certify(fleet, asked.request, at=loop.clock.at)
    answer = claim.encode(Answer(asked.nonce, made.decode()))
    loop.turn(Acknowledged(number), Received(Message(HERE.certificate, answer), 7))
    for _ in range(20):
        loop.turn()
    assert own.certificate().serial == identity.read(made).serial
    assert loop.wire.connects == connects + 1
    assert "the certificate was renewed; connecting with it" in caplog.text
    assert 364 < loop.states()[-1].certificate_days <= 365
    assert len(renewals(loop)) == 1


def test_a_broker_that_takes_no_renewals_takes_check_ins_all_the_same(loop, caplog):
    ((_, number),) = renewals(loop)
    loop.turn(TurnedDown(number, "not authorized (0x87)", False, True))
    loop.turn()
    assert loop.wire.closes == []
    assert "takes no request to renew the certificate: not authorized" in caplog.text


def test_a_refusal_is_in_the_state_and_for_the_doctor(loop):
    ((message, _),) = renewals(loop)
    asked = claim.read_renewal(message.body)
    answer = claim.encode(Answer(asked.nonce, refused="retired"))
    loop.turn(Received(Message(HERE.certificate, answer), 7), seconds=6)
    loop.turn()
    assert "renewal-refused" in loop.states()[-1].faults


def test_without_a_certificate_of_its_own_the_loop_asks_for_none(daemon):  # noqa: F811
    daemon.loop._look_at_certificate = lambda: Certificate(NOON + DAY, renew_at=NOON)
    daemon.turn(seconds=61)
    daemon.turn(Received(Message(HERE.certificate, b"x"), 1))
    assert all(message.topic != HERE.renewal for message, _, _ in daemon.wire.published)
