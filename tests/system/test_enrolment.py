"""A kiosk's card becomes its certificate: the real daemon, the fleet's broker and its desk.

Processes are killed where they stand, and the desk's register says how often a card was used.
"""

import random
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from central.loop import CentralLoop
from central.store import Store
from checkin import identity, settings
from checkin.claim import Token
from checkin.clock import SystemClock
from checkin.outbox import Outbox
from checkin.settings import Broker as BrokerSettings
from checkin.settings import Kiosk as KioskSettings
from checkin.settings import Settings
from demo.programs import Program, free_port
from provisioning.fleet_folder import kiosks_authority
from provisioning.register import Issued
from sync_daemon import broker, enrolment_words
from sync_daemon.__main__ import make_loop
from sync_daemon.broker import Broker, Options, Tls
from sync_daemon.identity import Identity
from sync_daemon.renewal import Renewing
from sync_daemon.topics import ALL_CHECKINS, ALL_STATES
from tests import fleet
from tests.made_up import body, entry
from tests.system.conftest import wait_until

PATIENCE_S = 60

# Kills itself before the so-manieth change on its disk, with no word to anybody.
FUSED = """
import os, signal, sys
from checkin import whole
left = int(sys.argv.pop(1))
def guarded(change):
    def done(*given):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        change(*given)
    return done
whole.write, whole.remove = guarded(whole.write), guarded(whole.remove)
from sync_daemon.__main__ import main
main()
"""

# The request, the certificate, and what is removed after it: token, claim, request.
CHANGES = 5


@dataclass
class Place:
    """A fleet, its broker that runs, and a desk that answers."""

    made: fleet.MadeUpFleet
    port: int
    folder: Path
    desk: Program

    def kiosk(self, name, *, token=None, days=90.0):
        """A kiosk into which a card was put."""
        folder = self.folder / name
        (folder / "identity").mkdir(parents=True)
        file = str(folder / "identity" / "kiosk.pem")
        broker = BrokerSettings(
            host="127.0.0.1", port=self.port, ca_file=str(self.made.folder.ca),
            cert_file=file, key_file=file, wait_initial_s=0.2, wait_max_s=1.0,
        )  # fmt: skip
        about = KioskSettings(name, "cp", str(folder / "data"), str(folder / "run"))
        told = Settings(seal="off", kiosk=about, broker=broker)
        (folder / "kiosk.toml").write_text(settings.as_toml(told))
        at = fleet.now() - timedelta(days=max(0.0, -days))
        real, tls = self.made.card(name, "cp", at=at, days=abs(days))
        kiosk = Kiosk(folder, told)
        kiosk.own.claim_file.write_bytes(Path(tls.cert_file).read_bytes())
        kiosk.own.token_file.write_text((token or real).text)
        (folder / "data").mkdir()
        Outbox(told.outbox_file).close()
        return kiosk

    def certificates(self, name):
        with self.made.register() as register:
            return [one for one in register.certificates() if one.name == name]


@dataclass
class Kiosk:
    folder: Path
    settings: Settings
    program: Program | None = None

    @property
    def own(self):
        return Identity(self.folder / "identity" / "kiosk.pem")

    def start(self, *, cut=None):
        how = ["-m", "sync_daemon"] if cut is None else ["-c", FUSED, str(cut)]
        end = ["--settings", str(self.folder / "kiosk.toml"), "run"]
        self.program = Program("sync", [sys.executable, *how, *end])

    def stop(self):
        if self.program is not None:
            self.program.stop()

    def standing(self):
        moment = SystemClock(self.settings.clock_file).moment()
        return enrolment_words.look(self.settings, moment).standing

    def names(self):
        return sorted(file.name for file in self.own.file.parent.iterdir())

    def is_enrolled(self):
        return self.own.is_there and self.names() == ["kiosk.pem"]

    def waiting(self):
        outbox = Outbox(self.settings.outbox_file, create=False)
        try:
            return outbox.pending_count()
        finally:
            outbox.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("enrolment")
    made = fleet.made_up(folder / "fleet")
    with made.served() as broker:
        command = [sys.executable, "-m", "provisioning", "enrol", "--fleet", str(made.folder.root)]
        desk = Program("desk", command)
        yield Place(made, broker.port, folder / "kiosks", desk)
        desk.stop()


@pytest.fixture
def central(place, tmp_path):
    store = Store(tmp_path / "central.db")
    options = Options(
        "127.0.0.1", place.port, "vaora-central", (ALL_CHECKINS, ALL_STATES),
        tls=place.made.tls("vaora-central"), acknowledge_by_hand=True,
    )  # fmt: skip
    loop = CentralLoop(store=store, broker=Broker(options), clock=SystemClock())
    yield loop
    loop.stop()
    store.close()


def check_in(outbox, kiosk):
    outbox.append(entry(), lambda box, seq: body(seq, box, kiosk=kiosk))


def test_a_card_becomes_a_kiosk_whose_check_ins_are_confirmed(place, central):
    kiosk = place.kiosk("k1")
    outbox = Outbox(kiosk.settings.outbox_file)
    # Visitors come before there is a certificate.
    check_in(outbox, "k1")
    outbox.close()
    kiosk.start()

    def confirmed():
        central.turn(0.05)
        return kiosk.waiting() == 0

    try:
        wait_until(confirmed, PATIENCE_S, "the check-in confirmed")
        wait_until(lambda: kiosk.standing() == "enrolled", PATIENCE_S, "said")
    finally:
        kiosk.stop()
    assert kiosk.is_enrolled()
    assert len(place.certificates("k1")) == 1
    assert kiosk.own.trouble("k1", None) == ""


def test_killed_at_each_step_it_is_enrolled_once(place):
    kiosks = [place.kiosk(f"cut{number}") for number in range(CHANGES)]
    try:
        for number, kiosk in enumerate(kiosks):
            kiosk.start(cut=number)
        for kiosk in kiosks:
            assert kiosk.program.wait(PATIENCE_S) == -9
        left = [kiosk.names() for kiosk in kiosks]
        assert left == [
            ["claim.pem", "claim.token"],
            ["claim.pem", "claim.token", "request.json"],
            ["claim.pem", "claim.token", "kiosk.pem", "request.json"],
            ["claim.pem", "kiosk.pem", "request.json"],
            ["kiosk.pem", "request.json"],
        ]
        Path(kiosks[0].settings.outbox_file).unlink()  # the daemon is first, the door comes later
        for kiosk in kiosks:
            kiosk.start()
        for kiosk in kiosks:
            wait_until(kiosk.is_enrolled, PATIENCE_S, kiosk.folder.name)
    finally:
        for kiosk in kiosks:
            kiosk.stop()
    for kiosk in kiosks:
        (issued,) = place.certificates(kiosk.folder.name)
        assert kiosk.own.certificate().serial == issued.serial
        assert kiosk.own.trouble(kiosk.folder.name, None) == ""


def test_a_used_a_forged_and_an_expired_card_are_refused_and_said(place):
    used = place.kiosk("used")
    claimed = used.own.asked(used.own.request_file, "used")
    used.own.request_file.unlink()
    with place.made.register() as register:  # somebody was there before, with a copy of the card
        certify(place, register, "used", claimed.request, token=used.own.token().fingerprint)
    kiosks = {
        "used": used,
        "unknown": place.kiosk("forged", token=Token(random.randbytes(16))),
        "expired": place.kiosk("expired", days=-2.0),
    }
    # The credential of an expired card has ended too: the broker lets it in no more.
    fresh = place.kiosk("fresh")
    kiosks["expired"].own.claim_file.write_bytes(fresh.own.claim_file.read_bytes())
    try:
        for kiosk in kiosks.values():
            kiosk.start()
        for reason, kiosk in kiosks.items():
            wait_until(
                lambda kiosk=kiosk, reason=reason: kiosk.standing() == f"refused: {reason}",
                PATIENCE_S,
                reason,
            )
    finally:
        for kiosk in kiosks.values():
            kiosk.stop()
    for reason, kiosk in kiosks.items():
        assert not kiosk.own.is_there
        moment = SystemClock(kiosk.settings.clock_file).moment()
        said = "\n".join(enrolment_words.in_words(enrolment_words.look(kiosk.settings, moment)))
        assert f"refused: {enrolment_words.claim.REFUSALS[reason]}" in said
        assert "to do" in said


def certify(place, register, name, request, *, token="", left=timedelta(days=365)):
    """Make a certificate past the desk, and write it down there."""
    at = fleet.now()
    days = left / timedelta(days=1)
    made = kiosks_authority(place.made.folder).certify(
        request.encode(), name=name, at=at, days=days
    )
    found = identity.read(made)
    with register.change():
        if token:
            register.use_token(token, at)
        register.add_certificate(
            Issued(found.serial, name, "cp", name, token, at, found.ends_at, made)
        )
    return made


def test_a_certificate_is_renewed_over_its_own_connection_and_used(place, central, tmp_path):
    kiosk = place.kiosk("renews")
    own = kiosk.own
    asked = own.asked(own.request_file, "renews")
    with place.made.register() as register:
        # Made to count from an hour ago: with 20 minutes left, two thirds are over.
        made = certify(place, register, "renews", asked.request, left=timedelta(minutes=20))
    own.install(made, asked, None)
    own.tidy()
    before = own.certificate()
    synchronized = tmp_path / "synchronized"
    synchronized.touch()
    outbox = Outbox(kiosk.settings.outbox_file)
    loop = make_loop(kiosk.settings, outbox)
    loop._clock = SystemClock(synchronized=synchronized)
    assert isinstance(loop._renewing, Renewing)

    def turn():
        loop.turn(0.02)
        central.turn(0.02)

    def renewed():
        turn()
        return own.certificate().serial != before.serial

    def confirmed():
        turn()
        return outbox.pending_count() == 0 and loop._online

    try:
        wait_until(renewed, PATIENCE_S, "renewed")
        check_in(outbox, "renews")
        wait_until(confirmed, PATIENCE_S, "a check-in confirmed over the new connection")
        assert loop._certificate.ends_at == own.certificate().ends_at
        assert not loop._renewing.refused
    finally:
        loop.stop()
        outbox.close()
    assert len(place.certificates("renews")) == 2
    assert own.certificate().ends_at > before.ends_at + timedelta(days=300)
    assert kiosk.names() == ["kiosk.pem"]


def test_a_certificate_of_an_authority_that_the_broker_does_not_know_is_not_taken(place, tmp_path):
    """Nor one that the broker isn't there to judge."""
    other = identity.Authority.new("kiosks", fleet.now(), 365)
    tls = place.made.tls("tries")
    right = Path(tls.cert_file).read_bytes() + Path(tls.key_file).read_bytes()
    key = identity.new_key()
    asked = identity.request(key, "tries")
    wrong = other.certify(asked, name="tries", at=fleet.now(), days=365) + key

    def tried(both, port=place.port):
        file = tmp_path / "trial.pem"
        file.write_bytes(both)
        tls_ = Tls(tls.ca_file, str(file), str(file))
        return broker.tried(Options("127.0.0.1", port, "vaora-cp-tries-tried", tls=tls_))

    assert tried(right) == ""
    assert tried(wrong)
    assert tried(right, free_port()).endswith("is the broker running, and the port right?")
