"""The kiosk's certificate: when it ends, and what a renewal does."""

import subprocess
from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from checkin.clock import SystemClock
from sync_daemon import certificate
from sync_daemon.broker import Tls
from sync_daemon.certificate import Certificate
from tests.authority import authority
from tests.authority import certificate as issue
from tests.contract.test_sync_loop import daemon  # noqa: F401  a fixture
from tests.made_up import NOON


@pytest.fixture
def tls(tmp_path):
    authority(tmp_path)
    issue(tmp_path, "k1")
    return Tls(*(str(tmp_path / name) for name in ("ca.pem", "k1.pem", "k1.key")))


def test_the_end_is_what_openssl_says(tls):
    found = certificate.look(tls, SystemClock().moment().at)
    said = subprocess.run(
        ["openssl", "x509", "-in", tls.cert_file, "-noout", "-enddate", "-dateopt", "iso_8601"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert found.ends_at.isoformat(" ")[:19] in said
    assert found.trouble == ""
    assert 1.9 < found.days(SystemClock().moment().at) < 2.1


def test_one_that_has_ended_is_said(tls, tmp_path):
    here = x509.load_pem_x509_certificate((tmp_path / "k1.pem").read_bytes())
    key = load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    made = x509.CertificateBuilder(
        issuer_name=here.issuer, subject_name=here.subject, public_key=here.public_key(),
        serial_number=7, not_valid_before=NOON - timedelta(days=900),
        not_valid_after=NOON - timedelta(days=800), extensions=list(here.extensions),
    )  # fmt: skip
    ended = made.sign(key, hashes.SHA256())
    (tmp_path / "k1.pem").write_bytes(ended.public_bytes(Encoding.PEM))
    assert certificate.look(tls, SystemClock().moment().at).trouble == "has expired"


@pytest.mark.parametrize("bytes_", [b"", b"rubbish", None])
def test_one_that_cannot_be_read_is_said(tls, tmp_path, bytes_):
    (tmp_path / "k1.pem").unlink()
    if bytes_ is not None:
        (tmp_path / "k1.pem").write_bytes(bytes_)
    assert certificate.look(tls, SystemClock().moment().at).trouble.startswith("can't be read: ")


def test_a_replaced_file_is_another(tls, tmp_path):
    before = certificate.files(tls)
    assert certificate.files(tls) == before
    issue(tmp_path, "k1")
    assert certificate.files(tls) != before


def test_a_renewed_certificate_is_taken_up_by_connecting_anew(daemon, caplog):  # noqa: F811
    files = SimpleNamespace(now=1, ends=NOON + timedelta(days=20))
    daemon.loop._certificate_files = lambda: files.now
    daemon.loop._look_at_certificate = lambda: Certificate(files.ends)
    daemon.loop._files_in_use = 1
    daemon.turn(seconds=61)
    daemon.turn()
    assert "certificate-ends-soon" in daemon.states()[-1].faults
    assert 19 < daemon.states()[-1].certificate_days < 20
    connects = daemon.wire.connects
    files.now, files.ends = 2, NOON + timedelta(days=90)
    for _ in range(20):
        daemon.turn(seconds=10)
    assert "the certificate was renewed" in caplog.text
    assert daemon.wire.connects == connects + 1
    assert daemon.states()[-1].faults == ["kiosk-silent"]


def test_half_a_renewal_keeps_the_connection_that_stands(daemon, caplog):  # noqa: F811
    files = SimpleNamespace(now=1, found=Certificate(NOON + timedelta(days=90)))
    daemon.loop._certificate_files = lambda: files.now
    daemon.loop._look_at_certificate = lambda: files.found
    daemon.loop._files_in_use = 1
    daemon.turn(seconds=61)
    connects = daemon.wire.connects
    files.now, files.found = 2, Certificate(None, "can't be read: no PEM")
    for _ in range(20):
        daemon.turn(seconds=10)
    assert daemon.wire.connects == connects
    assert "certificate-unusable" in daemon.states()[-1].faults
    assert caplog.text.count("this kiosk's certificate can't be read") == 1
    files.now, files.found = 3, Certificate(NOON + timedelta(days=90))
    for _ in range(20):
        daemon.turn(seconds=10)
    assert daemon.wire.connects == connects + 1


def test_dates_are_judged_only_by_a_clock_that_was_set(daemon):  # noqa: F811
    found = SimpleNamespace(now=Certificate(None, certificate.NOT_YET_VALID))
    daemon.loop._look_at_certificate = lambda: found.now
    daemon.clock.synced = False
    daemon.turn(seconds=61)
    daemon.turn()
    assert daemon.states()[-1].faults == ["kiosk-silent"]
    daemon.clock.synced, found.now = True, Certificate(NOON + timedelta(days=90))
    daemon.turn(seconds=61)
    daemon.turn(seconds=61)
    daemon.turn()
    assert 89 < daemon.states()[-1].certificate_days < 90
    found.now = Certificate(None, certificate.EXPIRED)
    daemon.turn(seconds=3601)
    daemon.turn(seconds=61)
    daemon.turn()
    assert "certificate-expired" in daemon.states()[-1].faults


def test_a_fleet_whose_kiosks_have_an_authority_of_their_own_is_no_trouble(tls, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    authority(other)
    brokers = Tls(str(other / "ca.pem"), tls.cert_file, tls.key_file)
    found = certificate.look(brokers, SystemClock().moment().at)
    assert found.trouble == ""
    assert 1.9 < found.days(SystemClock().moment().at) < 2.1


def test_two_thirds_of_its_life_are_when_it_is_renewed(tls):
    at = SystemClock().moment().at
    found = certificate.look(tls, at)
    assert timedelta(hours=31) < found.renew_at - at < timedelta(hours=33)


def test_one_that_begins_later_is_said_with_its_end(tls):
    found = certificate.look(tls, SystemClock().moment().at - timedelta(days=1))
    assert found.trouble == "is not yet valid"
    assert found.ends_at is not None


def test_a_key_of_another_certificate_is_said(tls, tmp_path):
    issue(tmp_path, "k2")
    other = Tls(tls.ca_file, tls.cert_file, str(tmp_path / "k2.key"))
    found = certificate.look(other, SystemClock().moment().at)
    assert found.trouble.startswith("can't be read: ")
