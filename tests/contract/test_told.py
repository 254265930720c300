"""Signed settings that come over the network: taken whole and newer, or not at all."""

from base64 import b64encode

import pytest

from checkin import signed_list
from checkin.cose import SigningKey
from checkin.seal import CentralKey, new_private_key
from checkin.signed_list import SignedSettings
from kiosk.told import Told
from sync_daemon.broker import Message, Received
from tests.contract.test_sync_loop import HERE, daemon  # noqa: F401  a fixture

AUTHORITY, ROGUE = SigningKey(bytes(32)), SigningKey(bytes(range(32)))
ISSUED = "2026-11-22T00:00:00+00:00"
OLD, NEW = CentralKey(new_private_key()), CentralKey(new_private_key())


def signed(version, seal=NEW.public, key=AUTHORITY):
    return signed_list.sign(SignedSettings(version, ISSUED, seal), key)


def spoilt(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.fixture
def told(tmp_path):
    def begin():
        public = b64encode(AUTHORITY.public).decode()
        return Told(tmp_path / "arrived", tmp_path / "taken", public)

    begin.arrive = (tmp_path / "arrived").write_bytes
    return begin


def test_a_new_key_of_the_centrals_is_in_force_at_once_and_after_a_restart(told):
    one = told()
    assert one.refresh() is False
    assert (one.seal(), one.version) == (None, None)
    told.arrive(signed(1))
    assert one.refresh() is True
    assert one.refresh() is False
    assert (one.seal().key_id, one.version) == (NEW.key_id, 1)
    assert told().seal().key_id == NEW.key_id


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"rubbish", "is no signed list"),
        (b"", "is no signed list"),
        (signed(9, key=ROGUE), "is not signed by"),
        (spoilt(signed(9)), "is not signed by"),
        (signed(9)[: len(signed(9)) // 2], "is no signed list"),
        (signed(1, seal=NEW.public), "1 is in force"),
        (signed(9, seal="no key"), "seal: a key is base64"),
        (signed(9, seal=""), "seal: a key is base64"),
        (
            signed_list.sign(signed_list.Revocations(9, ISSUED), AUTHORITY),
            "holds no SignedSettings",
        ),
    ],
)
def test_what_is_wrong_changes_nothing_and_is_said(told, raw, why):
    one = told()
    told.arrive(signed(1, seal=OLD.public))
    assert one.refresh()
    told.arrive(raw)
    assert one.refresh() is False
    assert why in one.trouble
    assert (one.seal().key_id, one.version) == (OLD.key_id, 1)
    assert told().seal().key_id == OLD.key_id  # nor after a restart


def test_a_later_version_replaces_it(told):
    one = told()
    told.arrive(signed(1, seal=OLD.public))
    assert one.refresh()
    told.arrive(signed(2))
    assert one.refresh()
    assert (one.seal().key_id, one.version) == (NEW.key_id, 2)


def test_a_kiosk_without_an_authority_believes_nobody(tmp_path):
    one = Told(tmp_path / "arrived", tmp_path / "taken", "")
    (tmp_path / "arrived").write_bytes(signed(1))
    assert one.refresh() is False
    assert one.version is None


def test_the_daemon_puts_down_what_came_whole_and_once(daemon, caplog):  # noqa: F811
    caplog.set_level("INFO")
    file = daemon.folder / "settings.arrived"
    daemon.turn(Received(Message(HERE.settings, signed(1)), 0))
    assert not file.exists()  # nobody to believe
    daemon.loop._settings_file = file
    for body in (signed(1), signed(1), b"", b"x" * 70_000):
        daemon.turn(Received(Message(HERE.settings, body), 0))
    assert file.read_bytes() == signed(1)
    assert caplog.text.count("settings came; the kiosk takes them") == 1
