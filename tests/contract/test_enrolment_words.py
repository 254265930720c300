"""What `vaora-sync enrolment` and `status` say of a kiosk's certificate, and what to do."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from checkin import health, settings
from checkin.clock import SystemClock
from checkin.health import SyncHealth
from checkin.identity import Authority
from checkin.outbox import Outbox
from checkin.settings import Broker, Kiosk, Settings
from checkin.words import in_language
from provisioning.tokens import claim_credential
from sync_daemon import enrolment_words, status
from sync_daemon.__main__ import main
from sync_daemon.identity import Identity
from tests.made_up import BOOT, NOON, FakeClock


@pytest.fixture(scope="module")
def fleet():
    return Authority.new("kiosks", NOON, 3650)


@pytest.fixture
def loaded(tmp_path):
    file = str(tmp_path / "identity" / "kiosk.pem")
    (tmp_path / "identity").mkdir()
    told = Settings(
        seal="off",
        kiosk=Kiosk("k1", "cp", str(tmp_path), str(tmp_path / "run")),
        broker=Broker(cert_file=file, key_file=file),
    )
    (tmp_path / "kiosk.toml").write_text(settings.as_toml(told))
    return told


def says(loaded, **how):
    mine = SyncHealth(BOOT, 100.0, how.pop("broker", "offline"), **how)
    health.write(loaded.sync_health_file, mine)


def look(loaded, **clock):
    return enrolment_words.look(loaded, FakeClock(**clock).moment())


def words(loaded):
    return "\n".join(enrolment_words.in_words(look(loaded)))


def enrol(loaded, fleet, at=NOON, days=365, name="k1"):
    own = Identity(settings.Path(loaded.broker.cert_file))
    asked = own.asked(own.request_file, name)
    own.install(fleet.certify(asked.request.encode(), name=name, at=at, days=days), asked, None)
    own.tidy()
    return own


@pytest.mark.parametrize(
    ("standing", "trouble", "said", "cure"),
    [
        ("missing", "", "nothing to claim one with", "put a new claim.pem and claim.token into"),
        ("no-broker", "nobody listens", "broker isn't reached: nobody listens", "[broker] host"),
        ("waiting", "", "nobody has answered the claim", "`vaora-provision enrol`"),
        ("refused: used", "", "refused: the token was used already", "write this kiosk a new card"),
        ("refused: unknown", "", "refused: the fleet doesn't know", "the right fleet's folder"),
        ("refused: retired", "", "refused: this kiosk was retired", "a new name in the inventory"),
        ("refused: strange", "", "refused: strange", "write this kiosk a new card"),
    ],
)
def test_each_standing_is_said_with_what_to_do(loaded, standing, trouble, said, cure):
    says(loaded, enrolment=standing, enrolment_trouble=trouble)
    told = words(loaded)
    assert said in told
    assert cure in told
    assert "{" not in told


def test_a_kiosk_that_is_enrolled_says_until_when_and_from_when_it_renews(loaded, fleet):
    enrol(loaded, fleet)
    says(loaded, broker="online", enrolment="enrolled")
    found = look(loaded)
    assert (found.standing, found.name, round(found.days)) == ("enrolled", "k1", 365)
    assert "good for 365 days" in words(loaded)
    assert "from 2027-07-23" in words(loaded)
    assert "to do" not in words(loaded)
    assert look(loaded, synced=False).days is None


def test_a_renewal_that_is_refused_is_said(loaded, fleet):
    enrol(loaded, fleet)
    says(loaded, broker="online", enrolment="enrolled", renewal_refused="retired")
    assert "refused: this kiosk was retired" in words(loaded)
    assert "ask who runs the fleet" in words(loaded)


def test_without_a_daemon_the_files_are_asked(loaded, fleet):
    assert look(loaded).standing == "missing"
    assert "vaora-sync" in words(loaded)
    own = Identity(settings.Path(loaded.broker.cert_file))
    own.claim_file.write_bytes(claim_credential(fleet, at=NOON, days=90))
    own.token_file.write_text("VT1-AAAAA-AAAAA-AAAAA-AAAAA-AAAAA-A")
    assert look(loaded).standing == "no-broker"
    assert len(look(loaded).token) == 16
    enrol(loaded, fleet)
    assert look(loaded).standing == "enrolled"


def test_a_certificate_that_is_of_no_use_is_said(loaded, fleet):
    enrol(loaded, fleet, at=NOON - timedelta(days=400))
    assert "has ended on: 2026-10-18" in words(loaded)
    assert look(loaded).standing == "missing"
    says(loaded, enrolment="enrolled")  # it was, when the daemon looked last
    assert look(loaded).standing == "missing"
    assert "put a new claim.pem and claim.token into" in words(loaded)
    settings.Path(loaded.broker.cert_file).write_text("rubbish")
    assert "is no certificate in PEM" in words(loaded)


def test_where_the_daemon_has_no_part_in_it_that_is_said(loaded):
    ordinary = msgspec.structs.replace(loaded, broker=Broker())
    assert "are not one file" in words(ordinary)
    assert look(ordinary).standing == ""


@pytest.mark.parametrize(
    ("how", "faults"),
    [
        ({"enrolment": "refused: used"}, {"enrolment-refused"}),
        ({"enrolment": "waiting"}, {"not-enrolled"}),
        ({"enrolment": "no-broker"}, {"not-enrolled"}),
        ({"enrolment": "missing"}, {"not-enrolled"}),
        ({"enrolment": "enrolled", "renewal_refused": "retired"}, {"renewal-refused"}),
        ({"enrolment": "enrolled"}, set()),
        ({}, set()),
    ],
)
def test_each_is_a_fault_in_the_status_with_its_cure(loaded, tmp_path, how, faults):
    says(loaded, **how)
    with_outbox = Outbox(loaded.outbox_file)
    found = status.look(loaded, with_outbox, FakeClock().moment())
    with_outbox.close()
    assert set(found.faults) - {"kiosk-silent"} == faults
    said = "\n".join(status.in_words(found))
    assert all(f"{fault}: {status.CURES[fault]}" in said for fault in faults)
    assert ("enrolment  " in said) is (how.get("enrolment", "enrolled") != "enrolled")


def test_the_command_says_it_in_words_and_as_json(loaded, tmp_path, fleet):
    enrol(loaded, fleet, at=datetime.now(UTC), days=365)
    ending = ["--settings", str(tmp_path / "kiosk.toml")]
    with in_language("en"):
        said = CliRunner().invoke(main, ["enrolment", *ending])
        told = CliRunner().invoke(main, ["enrolment", "--json", *ending])
    assert said.exit_code == 0
    assert said.output.startswith("enrolment      enrolled\n")
    found = json.loads(told.output)
    assert (found["kiosk"], found["standing"], found["daemon_runs"]) == ("k1", "enrolled", False)
    assert SystemClock().moment().at.isoformat() < found["renew_at"]
