"""A fleet's folder: whole or not at all, and nothing private where others may look."""

import ssl
import subprocess
from datetime import timedelta

import pytest

from checkin import cose, identity, signed_list
from checkin.seal import CentralKey, CentralSeal
from checkin.signed_list import TrustList
from provisioning import fleet_folder, founding
from provisioning.fleet_folder import (
    FleetError,
    FleetFolder,
    FleetSettings,
    kiosks_authority,
    open_fleet,
    public_text,
    signing_key,
)
from provisioning.founding import Founding
from tests import fleet
from tests.made_up import NOON


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fleet.made_up(tmp_path_factory.mktemp("founding") / "fleet").folder


def test_its_settings_come_back_as_they_were_said(folder):
    found, settings = open_fleet(folder.root)
    assert (found, settings) == (folder, fleet.SETTINGS)


@pytest.mark.parametrize("name", ['"', "\\", "a\nb", "Bệnh viện\x7f", "\x00", "'''"])
def test_every_name_comes_back_as_it_was_said(name):
    settings = FleetSettings(name, "mqtt.example.vn")
    assert fleet_folder.parse(fleet_folder.written(settings)) == settings


def test_what_is_private_is_nobody_elses(folder):
    for file in folder.root.rglob("*"):
        private = b"PRIVATE" in file.read_bytes() if file.is_file() else False
        if private or file.parent == folder.keys or file == folder.register:
            assert file.stat().st_mode & 0o077 == 0, file
    for place in (folder.root, folder.keys, folder.broker, folder.central, folder.enrol):
        assert place.stat().st_mode & 0o077 == 0, place
    names = {file.name for file in folder.keys.iterdir()}
    assert names == {"ca.key", "kiosks.key", "settings.key", "pass.key", "central-seal.key"}


def test_no_private_key_lies_in_two_places(folder):
    """But for what a machine is given: its own."""
    private = [file.read_bytes() for file in folder.keys.iterdir()]
    elsewhere = [
        file.read_bytes()
        for file in folder.root.rglob("*")
        if file.is_file() and file.parent != folder.keys
    ]
    assert not any(one.strip() in other for one in private for other in elsewhere)


def test_public_and_private_halves_belong_together(folder):
    for private, public in (
        (folder.settings_key, folder.settings_public),
        (folder.pass_key, folder.pass_public),
    ):
        assert cose.from_base64(public_text(public)) == signing_key(private).public
    private = folder.central_seal_key.read_text().strip()
    closed = CentralSeal(public_text(folder.seal_public)).close(b"x")
    assert CentralKey(private).open(closed) == b"x"
    for place, name in ((folder.central, "central"), (folder.enrol, "enrol")):
        pem = (place / f"{name}.pem").read_bytes()
        assert identity.fits(pem, (place / f"{name}.key").read_bytes())
        assert identity.is_signed_by(pem, folder.kiosks.read_bytes())
        assert identity.read(pem).name == f"vaora-{name}"


def test_who_certifies_kiosks_cannot_be_the_broker(folder):
    """The kiosks know the broker by another authority than the broker its clients."""
    broker = (folder.broker / "broker.pem").read_bytes()
    ca, kiosks = folder.ca.read_bytes(), folder.kiosks.read_bytes()
    assert identity.is_signed_by(broker, ca)
    assert not identity.is_signed_by(broker, kiosks)
    made = kiosks_authority(folder)
    forged = made.serve(
        identity.request(identity.new_key(), "x"), names=["127.0.0.1"], at=NOON, days=1
    )
    assert not identity.is_signed_by(forged, ca)


def test_everything_lasts_ten_years_and_openssl_takes_it(folder):
    for file in (folder.ca, folder.kiosks, folder.broker / "broker.pem"):
        ends = identity.read(file.read_bytes()).ends_at
        assert ends > fleet.now() + timedelta(days=3600)
    context = ssl.create_default_context(cafile=str(folder.ca))
    context.load_cert_chain(folder.broker / "broker.pem", folder.broker / "broker.key")
    asked = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder.ca]
    subprocess.run([*asked, folder.broker / "broker.pem"], check=True, capture_output=True)
    listed = ["openssl", "crl", "-noout", "-in", folder.revoked_certificates, "-CAfile"]
    subprocess.run([*listed, folder.kiosks], check=True, capture_output=True)


def test_the_readme_says_what_to_keep_and_what_to_keep_off(folder):
    text = folder.readme.read_text()
    for named in ("keys/", "broker/", "central/", "enrol/", "register.db", "inventory.csv"):
        assert named in text


def test_the_brokers_files_name_where_they_lie_there(folder):
    text = (folder.broker / "mosquitto.conf").read_text()
    for line in text.splitlines():
        if "/etc/mosquitto/vaora/" in line and not line.startswith("#"):
            name = line.rpartition("/")[2]
            assert (folder.broker / name).is_file()
    assert "\nlistener 8883\n" in text


def test_another_port_stands_in_the_brokers_settings():
    text = founding.configuration(FleetSettings("x", "h", broker_port=18883))
    assert "\nlistener 18883\n" in text


def found_at(root, **changes):
    fields = {"settings": fleet.SETTINGS, "at": NOON, "random": bytes, "inventory": b"x"}
    return founding.found(root, Founding(**(fields | changes)))


def test_a_folder_that_has_something_is_refused(tmp_path):
    there = tmp_path / "fleet"
    there.mkdir()
    (there / "keys").write_text("dear to somebody")
    with pytest.raises(FleetError, match="has something in it already"):
        found_at(there)
    assert [one.name for one in tmp_path.rglob("*")] == ["fleet", "keys"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "fleet").mkdir()
    assert found_at(tmp_path / "fleet").inventory.read_bytes() == b"x"


def test_a_fleet_that_could_not_be_founded_leaves_nothing(tmp_path):
    with pytest.raises(FleetError, match="can't be founded"):
        found_at(tmp_path / "fleet", random=lambda _count: b"too short")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"', "broker_host"),
        ('name = "x"\nbroker_host = "h"\nlanguage = "fr"', "language"),
        ('name = "x"\nbroker_host = "h"\nport = 1', "port"),
        ("name = ", "fleet.toml"),
        ("#" * 70_000, "longer than"),
    ],
)
def test_settings_that_cannot_be_used_are_said(tmp_path, text, said):
    (tmp_path / "fleet.toml").write_text(text)
    with pytest.raises(FleetError, match=said):
        open_fleet(tmp_path)


def test_a_folder_that_is_no_fleets_says_how_to_make_one(tmp_path):
    with pytest.raises(FleetError, match="vaora-provision init NAME --broker HOST DIR"):
        open_fleet(tmp_path)


def test_a_key_that_is_gone_or_is_none_is_said(tmp_path):
    folder = FleetFolder(tmp_path)
    with pytest.raises(FleetError, match="from the backup"):
        kiosks_authority(folder)
    folder.keys.mkdir()
    folder.pass_key.write_text("x")
    with pytest.raises(FleetError, match="is no signing key"):
        signing_key(folder.pass_key)


def test_the_fleets_own_passes_count_from_the_first_card_on(tmp_path):
    made = fleet.made_up(tmp_path / "fleet")
    public = signed_list.public_key(made.folder.settings_public.read_text(encoding="ascii").strip())
    listed = signed_list.read_file(made.folder.trust_list, TrustList, public)
    assert listed.pass_keys == [made.folder.pass_public.read_text(encoding="ascii").strip()]
    assert listed.version == 1
