"""A kiosk is enrolled, renewed and retired: real mosquitto with the fleet's own configuration and
certificates, the real `vaora-provision enrol`, and a kiosk that is played by the test."""

import json
import secrets
import signal
import subprocess
import sys
from datetime import timedelta

import msgspec
import pytest

from checkin import claim, identity
from checkin.claim import Renewal, Token
from demo.programs import Program
from provisioning import inventory
from sync_daemon import topics
from sync_daemon.broker import (
    Broker,
    BrokerError,
    Connected,
    Lost,
    Message,
    Options,
    Received,
    Tls,
)
from sync_daemon.topics import Address
from tests import fleet as fleets
from tests.system.conftest import wait_until
from tests.system.test_programs import run

ASK_AGAIN = 10  # turns of a twentieth of a second


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = fleets.made_up(tmp_path_factory.mktemp("enrolment") / "fleet")
    with made.served() as broker:
        yield made, broker


def start_enrol(made):
    command = [sys.executable, "-m", "provisioning", "enrol", "--fleet", str(made.folder.root)]
    return Program("enrol", command)


@pytest.fixture(scope="module")
def desk(served):
    program = start_enrol(served[0])
    yield served
    assert program.stop() == 0


class Kiosk:
    """Asks and asks again, as a new kiosk does."""

    def __init__(self, served, name, tls, answers, **options):
        _, broker = served
        self.client_id = f"{name}-{secrets.token_hex(4)}"
        options = Options("127.0.0.1", broker.port, self.client_id, (answers,), tls=tls, **options)
        self.broker = Broker(options)
        self.broker.connect()

    def ask(self, topic, body):
        """The first answer."""
        found, turns = [], 0

        def answered():
            nonlocal turns
            heard = [one for one in self.broker.wait(0.05) if isinstance(one, Received)]
            found.extend(claim.read_answer(one.message.body) for one in heard)
            if turns % ASK_AGAIN == 1:
                self.broker.publish(Message(topic, body))
            turns += 1
            return found

        wait_until(answered, 15, f"an answer on {topic}")
        self.broker.close()
        return found[0]


def shown(token, kiosk="k1", key=None, **changes):
    fields = {
        "kiosk": kiosk,
        "checkpoint": "cp",
        "request": identity.request(key or identity.new_key(), kiosk).decode(),
        "nonce": secrets.token_hex(16),
    }
    return claim.claim(token, **(fields | changes))


def ask(served, one, tls):
    answers = topics.claim_answer(one.kiosk)
    kiosk = Kiosk(served, f"vaora-claim-{one.kiosk}", tls, answers)
    return kiosk.ask(topics.claim_request(one.kiosk), claim.encode(one))


def enrol(served, kiosk):
    """Claim as `kiosk`; what it connects with from then on."""
    made, _ = served
    token, card = made.card(kiosk)
    key = identity.new_key()
    one = shown(token, kiosk, key)
    answer = ask(served, one, card)
    assert claim.answers(answer, one, token), answer
    assert identity.fits(answer.certificate.encode(), key)
    file = made.folder.root / f"{kiosk}.pem"
    file.write_bytes(answer.certificate.encode() + key)
    return Tls(str(made.folder.ca), str(file), str(file)), (token, card, one, answer)


def connected(served, name, tls):
    """Whether the broker takes `name`."""
    broker = Broker(Options("127.0.0.1", served[1].port, name, tls=tls))
    heard = []

    def told():
        heard.extend(broker.wait(0.05))
        return any(isinstance(one, Connected | Lost) for one in heard)

    try:
        broker.connect()
    except BrokerError:
        return False
    wait_until(told, 10, "a word from the broker")
    broker.close()
    return any(isinstance(one, Connected) for one in heard)


def listed(made):
    said = run("vaora-provision", "enrol", "--list", "--json", "--fleet", made.folder.root)
    return {row["kiosk"]: row for row in json.loads(said.stdout)}


def test_a_kiosk_claims_its_certificate_and_is_let_in_with_it(desk):
    tls, (token, *_) = enrol(desk, "k1")
    assert connected(desk, "k1", tls)
    row = listed(desk[0])["k1"]
    assert (row["standing"], row["token"]) == ("enrolled", token.fingerprint)


def test_the_same_claim_again_gets_the_same_certificate(desk):
    _, (token, card, one, answer) = enrol(desk, "again")
    again = msgspec.structs.replace(one)
    second = ask(desk, again, card)
    assert (second.certificate, second.proof) == (answer.certificate, answer.proof)
    assert claim.answers(second, one, token)


def test_what_is_no_right_claim_is_refused_with_its_reason(desk):
    made, _ = desk
    _, (used, card, *_) = enrol(desk, "used")
    stranger = Token(bytes(16))
    late, _ = made.card("late", at=fleets.now() - timedelta(days=91), days=90)
    mine, _ = made.card("mine")
    forged = msgspec.structs.replace(shown(stranger, "mine"), token=mine.fingerprint)
    for one, token, refused in (
        (shown(used, "used"), used, "used"),
        (shown(stranger, "nobody"), None, "unknown"),
        (forged, None, "forged"),
        (shown(late, "late"), late, "expired"),
        (shown(mine, "other"), mine, "wrong-name"),
        (shown(mine, "mine", request="no request"), mine, "unusable"),
    ):
        answer = ask(desk, one, card)
        assert (answer.refused, answer.certificate) == (refused, "")
        if token is not None:
            assert claim.answers(answer, one, token)
    assert listed(made)["mine"]["standing"] == "waiting"
    assert listed(made)["late"]["standing"] == "expired"


def test_a_kiosk_renews_its_certificate(desk):
    tls, (*_, first) = enrol(desk, "renews")
    here = Address("cp", "renews")
    key = identity.new_key()
    asked = Renewal(identity.request(key, "renews").decode(), secrets.token_hex(16))
    answer = Kiosk(desk, "renews", tls, here.certificate).ask(here.renewal, claim.encode(asked))
    assert answer.nonce == asked.nonce
    assert identity.fits(answer.certificate.encode(), key)
    assert answer.certificate != first.certificate


def test_a_second_desk_on_the_same_register_is_refused(desk):
    said = run("vaora-provision", "enrol", "--fleet", desk[0].folder.root)
    assert said.returncode == 1
    assert "another vaora-enrol runs" in said.stderr


DIES = """
import os, signal, sys
from pathlib import Path
from checkin.clock import SystemClock
from provisioning import fleet_broker
from provisioning.enrolling import Enroller
from provisioning.enrolment_desk import EnrolmentDesk
from provisioning.fleet_folder import kiosks_authority, open_fleet
from provisioning.register import Register
from sync_daemon.broker import Broker

class Dies(Broker):
    def publish(self, *arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)

folder, settings = open_fleet(Path(sys.argv[1]))
desk = EnrolmentDesk(register=Register(folder.register), clock=SystemClock(),
    enroller=Enroller(kiosks_authority(folder), 365),
    broker=Dies(fleet_broker.enrolment(folder, settings)))
while True:
    desk.turn()
"""


def test_a_desk_killed_between_register_and_answer_answers_when_it_is_back(tmp_path):
    """By the broker's memory: the kiosk has asked once, and is asked nothing again."""
    made = fleets.made_up(tmp_path / "fleet")
    with made.served() as broker:
        token, card = made.card("k1")
        one = shown(token)
        dies = subprocess.Popen([sys.executable, "-c", DIES, str(made.folder.root)])
        answers = topics.claim_answer("k1")
        kiosk = Kiosk((made, broker), "vaora-claim-k1", card, answers)
        turns = 0

        def died():
            nonlocal turns
            kiosk.broker.wait(0.05)
            if turns % ASK_AGAIN == 1:
                kiosk.broker.publish(Message(topics.claim_request("k1"), claim.encode(one)))
            turns += 1
            return dies.poll() is not None

        wait_until(died, 20, "the desk to die")
        assert dies.returncode == -signal.SIGKILL
        with made.register() as register:
            (issued,) = [each for each in register.certificates() if each.name == "k1"]
        back = start_enrol(made)
        heard = []

        def answered():
            heard.extend(each for each in kiosk.broker.wait(0.05) if isinstance(each, Received))
            return heard

        wait_until(answered, 15, "an answer")
        answer = claim.read_answer(heard[0].message.body)
        assert claim.answers(answer, one, token)
        assert identity.chain(answer.certificate.encode())[0] == issued.certificate
        kiosk.broker.close()
        assert back.stop() == 0
        with made.register() as register:
            assert [each for each in register.certificates() if each.name == "k1"] == [issued]


def test_once_answers_who_waits_and_ends(tmp_path):
    made = fleets.made_up(tmp_path / "fleet")
    arguments = ("enrol", "--once", "--wait", "1", "--fleet", made.folder.root)
    with made.served() as broker:
        first = run("vaora-provision", *arguments)  # the broker keeps for it from now on
        assert (first.returncode, first.stdout) == (0, "0 certificates were made.\n")
        token, card = made.card("k1")
        one = shown(token)
        kiosk = Kiosk((made, broker), "vaora-claim-k1", card, topics.claim_answer("k1"))
        wait_until(lambda: any(isinstance(e, Connected) for e in kiosk.broker.wait(0.05)), 5, "in")
        kiosk.broker.publish(Message(topics.claim_request("k1"), claim.encode(one)))
        kiosk.broker.wait(0.1)
        second = run("vaora-provision", *arguments)
        assert second.stdout == "1 certificate was made.\n"
        assert "k1 has claimed its certificate" in second.stderr
        kiosk.broker.close()


def test_a_retired_kiosk_is_let_in_no_more_nor_is_its_card(tmp_path):
    made = fleets.made_up(tmp_path / "fleet")
    with made.served() as broker:
        program = start_enrol(made)
        served = (made, broker)
        stolen, (_, card, *_) = enrol(served, "stolen")
        stays, _ = enrol(served, "stays")
        assert program.stop() == 0
        assert connected(served, "stolen", stolen)
        said = run("vaora-provision", "retire", "stolen", "--yes", "--fleet", made.folder.root)
        assert "systemctl restart mosquitto" in said.stdout
        assert "vaora-central retire --kiosk stolen" in said.stdout
        made.copy_to_broker(broker.folder.parent / "broker")
        broker.stop()
        broker.start()
        assert not connected(served, "stolen", stolen)
        assert not connected(served, "card", card)
        assert connected(served, "stays", stays)
    assert listed(made)["stolen"]["standing"] == "retired"
    again = run("vaora-provision", "retire", "unheard-of", "--yes", "--fleet", made.folder.root)
    assert again.returncode == 1
    assert "no card was ever made" in again.stderr


def test_retire_asks_once_more(tmp_path):
    made = fleets.made_up(tmp_path / "fleet")
    made.card("k1")
    said = run("vaora-provision", "retire", "k1", "--fleet", made.folder.root)
    assert said.returncode == 1
    with made.register() as register:
        assert register.all_retired() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["enrol", "--list"], "is no fleet's folder"),
        (["retire", "k1"], "is no fleet's folder"),
    ],
)
def test_a_mistake_ends_in_a_line_that_says_what_to_do(tmp_path, arguments, said):
    done = run("vaora-provision", *arguments, "--fleet", tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_init_founds_a_fleet_and_says_what_to_keep(tmp_path):
    folder = tmp_path / "fleet"
    arguments = ("init", "Bệnh viện Mẫu", "--broker", "127.0.0.1", "--language", "en", folder)
    said = run("vaora-provision", *arguments)
    assert said.returncode == 0, said.stderr
    assert "BACK UP THIS WHOLE FOLDER" in said.stdout
    assert (folder / "README.txt").read_text() in said.stdout
    assert (folder / "inventory.csv").read_bytes().decode() == inventory.template("en")
    again = run("vaora-provision", *arguments)
    assert again.returncode == 1
    assert "never written over" in again.stderr
