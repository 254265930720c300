"""The fleet's register, on real SQLite."""

import random
import threading
from contextlib import closing, suppress
from datetime import timedelta

import pytest

from checkin import identity
from provisioning.fleet_folder import kiosks_authority
from provisioning.register import Register, RegisterError, Retired, open_register
from provisioning.tokens import CLAIM_NAME, TokenError, card_secrets, new_token
from tests import fleet
from tests.made_up import NOON


@pytest.fixture
def file(tmp_path):
    return tmp_path / "register.db"


@pytest.fixture
def register(file):
    with open_register(file, create=True) as opened:
        yield opened


def token(register, kiosk="k1", at=NOON, checkpoint="cp"):
    return new_token(register, kiosk, checkpoint, at=at, days=90, random=random.randbytes)


def test_a_token_is_found_by_its_fingerprint(register):
    made = token(register)
    found = register.token(made.fingerprint)
    assert (found.secret, found.kiosk, found.checkpoint) == (made.secret, "k1", "cp")
    assert (found.made_at, found.expires_at) == (NOON, NOON + timedelta(days=90))
    assert found.used_at is None
    assert register.token("0" * 16) is None


def test_a_new_token_ends_the_kiosks_unused_one_and_no_others(register):
    first, other = token(register), token(register, "k2")
    second = token(register, at=NOON + timedelta(days=1))
    assert register.token(first.fingerprint).expires_at == NOON + timedelta(days=1)
    assert register.token(second.fingerprint).expires_at == NOON + timedelta(days=91)
    assert register.token(other.fingerprint).expires_at == NOON + timedelta(days=90)


@pytest.mark.parametrize(("kiosk", "said"), [("vaora-x", "fleet's own"), ("k1", "was retired on")])
def test_no_token_is_made_for_a_reserved_or_retired_name(register, kiosk, said):
    with register.change():
        register.retire(Retired("k1", NOON, "stolen"))
    with pytest.raises(TokenError, match=said):
        token(register, kiosk)
    assert register.tokens() == []


def test_retired_is_for_good_and_ends_token_and_certificates(tmp_path):
    made = fleet.made_up(tmp_path / "fleet")
    card, _ = made.card("k1")
    made.card("k2")
    with made.register() as register:
        at = fleet.now()
        for because in ("stolen", "again"):
            with register.change():
                register.retire(Retired("k1", at, because))
        assert register.retired("k1") == Retired("k1", at, "stolen")
        assert register.retired("k2") is None
        assert register.token(card.fingerprint).expires_at == at
        (ours,) = [one for one in register.certificates() if one.kiosk == "k1"]
        assert ours.name == CLAIM_NAME
        assert register.revoked() == [ours.serial]


def test_the_numbers_of_lists_only_rise(register):
    with register.change():
        assert [register.next_list(NOON) for _ in range(3)] == [1, 2, 3]


def test_a_change_that_fails_changes_nothing(register):
    made = token(register)
    with suppress(ZeroDivisionError), register.change():
        register.use_token(made.fingerprint, NOON)
        raise ZeroDivisionError
    assert register.token(made.fingerprint).used_at is None


def test_of_two_who_would_use_a_token_at_once_one_does(file):
    with open_register(file, create=True) as register:
        made = token(register)
    begin, used = threading.Barrier(4), []

    def use():
        with closing(Register(file)) as own:
            begin.wait()
            with own.change():
                if own.token(made.fingerprint).used_at is None:
                    own.use_token(made.fingerprint, NOON)
                    used.append(1)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert used == [1]


def test_the_card_gets_a_credential_that_is_in_the_register(tmp_path):
    made = fleet.made_up(tmp_path / "fleet")
    authority = kiosks_authority(made.folder)
    with made.register() as register:
        card, pem = card_secrets(
            register, authority, "k1", "cp", at=NOON, days=90, random=random.randbytes
        )
        (issued,) = register.certificates()
        assert register.newest("k1") is None  # the card's is no certificate of the kiosk's
        assert register.claimed_with(card.fingerprint) is None
    found = identity.read(pem)
    assert (found.name, found.serial) == (CLAIM_NAME, issued.serial)
    assert identity.fits(pem, pem[pem.index(b"-----BEGIN PRIVATE") :])
    assert b"PRIVATE" not in issued.certificate


def test_a_register_that_is_not_there_is_not_made(file):
    with pytest.raises(RegisterError, match="bring it back from the backup"):
        Register(file)
    assert not file.exists()


def test_a_register_that_others_may_read_is_not_used(file, register):
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(RegisterError, match="chmod 600"):
        Register(file)


def test_what_is_no_register_is_said(file):
    file.write_bytes(b"something else" * 100)
    file.chmod(0o600)
    with pytest.raises(RegisterError, match="register.db: can't be opened"):
        Register(file)
