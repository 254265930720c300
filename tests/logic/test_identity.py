"""Keys, requests, certificates, and lists of those that don't count any more."""

import random
import ssl
import subprocess
from base64 import b64decode, encodebytes
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from checkin import identity
from checkin.identity import Authority, IdentityError

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority():
    return Authority.new("Fleet kiosks", AT, 3650)


@pytest.fixture(scope="module")
def key():
    return identity.new_key()


def test_a_certificate_says_the_name_that_the_authority_gave(authority, key):
    made = authority.certify(identity.request(key, "liar"), name="k1", at=AT, days=90)
    found = identity.read(made)
    assert found.name == "k1"
    assert found.ends_at == AT + timedelta(days=90)
    assert identity.fits(made, key)
    assert identity.is_for(made, identity.request(key, "liar"))
    assert not identity.fits(made, identity.new_key())
    assert identity.is_signed_by(made, authority.certificate)
    assert not identity.is_signed_by(made, Authority.new("Other", AT, 2).certificate)


def test_it_is_renewed_at_two_thirds_of_its_life(authority, key):
    made = authority.certify(identity.request(key, "k1"), name="k1", at=AT, days=90)
    found = identity.read(made)
    life = found.ends_at - found.begins_at
    assert (found.renew_from() - found.begins_at) / life == pytest.approx(2 / 3)


def test_no_two_certificates_have_one_serial(authority, key):
    asked = identity.request(key, "k1")
    serials = {
        identity.read(authority.certify(asked, name="k1", at=AT, days=1)).serial for _ in range(20)
    }
    assert len(serials) == 20


def test_a_request_that_was_changed_is_not_taken(authority, key):
    asked = bytearray(identity.request(key, "k1"))
    lines = bytes(asked).splitlines()
    lines[2] = lines[2][:-1] + (b"A" if lines[2][-1:] != b"A" else b"B")
    with pytest.raises(IdentityError, match="request|signed"):
        authority.certify(b"\n".join(lines), name="k1", at=AT, days=1)


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n", b"x" * 20_000])
def test_what_is_none_is_said(raw, authority):
    for read in (
        identity.read,
        identity.requested_key,
        lambda pem: identity.fits(pem, pem),
        lambda pem: identity.request(pem, "k1"),
        lambda pem: authority.certify(pem, name="k1", at=AT, days=1),
    ):
        with pytest.raises(IdentityError):
            read(raw)


def test_an_rsa_key_is_refused(tmp_path, authority):
    file = tmp_path / "rsa.csr"
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=k1",
         "-keyout", str(tmp_path / "rsa.key"), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(IdentityError, match="elliptic"):
        authority.certify(file.read_bytes(), name="k1", at=AT, days=1)


def test_openssl_takes_what_is_made_and_what_is_revoked(tmp_path):
    """Strictly, as Python 3.13 does: chain, purposes, names, and the list of the revoked."""
    now = datetime.now(UTC)
    authority, key = Authority.new("Fleet kiosks", now, 30), identity.new_key()
    asked = identity.request(key, "k1")
    client = authority.certify(asked, name="k1", at=now, days=2)
    server = authority.serve(asked, names=["broker.example.vn", "127.0.0.1"], at=now, days=2)
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    listed = authority.revocation_list([], number=1, at=now, days=30)
    (tmp_path / "crl.pem").write_bytes(listed)
    (tmp_path / "client.pem").write_bytes(client)
    (tmp_path / "server.pem").write_bytes(server)

    def verify(*words):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / "ca.pem")]
        done = subprocess.run([*command, *map(str, words)], check=False, capture_output=True)
        return done.returncode == 0

    crl = ("-crl_check", "-CRLfile", tmp_path / "crl.pem")
    assert verify(*crl, "-purpose", "sslclient", tmp_path / "client.pem")
    assert verify("-purpose", "sslserver", "-verify_ip", "127.0.0.1", tmp_path / "server.pem")
    assert verify("-verify_hostname", "broker.example.vn", tmp_path / "server.pem")
    assert not verify("-purpose", "sslserver", tmp_path / "client.pem")
    assert not verify("-purpose", "sslclient", tmp_path / "server.pem")
    serial = identity.read(client).serial
    listed = authority.revocation_list([serial], number=2, at=now, days=30)
    (tmp_path / "crl.pem").write_bytes(listed)
    assert not verify(*crl, tmp_path / "client.pem")


def test_certificate_and_key_may_lie_in_one_file(authority, key, tmp_path):
    made = authority.certify(identity.request(key, "k1"), name="k1", at=datetime.now(UTC), days=2)
    file = tmp_path / "kiosk.pem"
    file.write_bytes(made + key)
    ssl.create_default_context().load_cert_chain(file, file)
    assert identity.fits(file.read_bytes(), file.read_bytes())


def changed(pem, chance):
    """`pem` with some bytes inside it changed: what a stranger may send."""
    lines = pem.decode().strip().splitlines()
    der = bytearray(b64decode("".join(lines[1:-1])))
    for _ in range(chance.randint(1, 3)):
        der[chance.randrange(len(der))] = chance.randrange(256)
    return "\n".join([lines[0], encodebytes(bytes(der)).decode().strip(), lines[-1], ""]).encode()


@pytest.mark.filterwarnings("ignore:Parsed a")  # a serial of zero or less; it is read all the same
def test_whatever_is_read_the_only_error_is_an_identity_error(authority, key):
    chance = random.Random(5)
    asked = identity.request(key, "k1")
    made = authority.certify(asked, name="k1", at=AT, days=2)
    for _ in range(300):
        with suppress(IdentityError):
            identity.requested_key(changed(asked, chance))
        odd = changed(made, chance)
        with suppress(IdentityError):
            identity.read(odd)
        with suppress(IdentityError):
            identity.fits(odd, key)
        with suppress(IdentityError):
            identity.is_signed_by(odd, authority.certificate)


def test_a_version_that_x509_does_not_have_is_said(authority, key):
    """The library says it by an exception of its own, that is no ValueError."""

    def with_version(pem, begin):
        lines = pem.decode().strip().splitlines()
        der = b64decode("".join(lines[1:-1])).replace(begin, begin[:-1] + b"\x07", 1)
        return "\n".join([lines[0], encodebytes(der).decode().strip(), lines[-1], ""]).encode()

    asked = identity.request(key, "k1")
    made = authority.certify(asked, name="k1", at=AT, days=2)
    with pytest.raises(IdentityError, match="no request"):
        identity.requested_key(with_version(asked, b"\x02\x01\x00"))
    with pytest.raises(IdentityError, match="no certificate"):
        identity.read(with_version(made, b"\x02\x01\x02"))
