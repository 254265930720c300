"""Seeds of a made-up fleet: 200 of them, and some read by the real cloud-init and netplan."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import msgspec
import pytest
import yaml

from checkin import identity, settings, signed_list
from checkin.claim import Token
from checkin.settings import Panel, Settings
from checkin.signed_list import TrustList
from provisioning import inventory, seed, tokens
from provisioning.fleet_folder import FleetError, kiosks_authority, parse, written
from provisioning.seed import Secrets, SeedError
from tests import fleet as fleets
from tests.debian_root import APPLIANCE_PACKAGES, RootError, debian, may_mount
from tests.inventories import PASSWORD, door, listed, many

ROOT = Path(__file__).parents[2]

SSH_KEY = f"ssh-ed25519 {'A' * 60} made-up"
SSID = 'Thử "No": {x} #1, \'y'
EVIL_PASSWORD = 'a"b\\c: #{}!'
WIRED = {"network": "ethernet", "wifi_name": "", "wifi_password": ""}
SIM = {**WIRED, "network": "sim", "sim_apn": "v-internet", "sim_pin": "0123"}

IN_ROOT_S = 60.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return fleets.made_up(tmp_path_factory.mktemp("seeds") / "fleet")


@pytest.fixture(scope="module")
def public(fleet):
    return seed.public_of(fleet.folder)


@pytest.fixture(scope="module")
def secrets(fleet):
    with fleet.register() as register:
        return _secrets(register, kiosks_authority(fleet.folder), "cong-1", "0100001")


def _secrets(register, authority, kiosk, checkpoint):
    token, credential = tokens.card_secrets(
        register, authority, kiosk, checkpoint, at=fleets.now(), days=90, random=random.randbytes
    )
    return Secrets(credential, token.text)


def _place(**changes):
    (place,) = inventory.survey(listed(door(**changes)).encode()).places
    return place


def _settings_of(files):
    return settings.parse(files["vaora/kiosk.toml"].decode())


def test_two_hundred_doors_are_two_hundred_checked_seeds_within_a_minute(fleet, public, tmp_path):
    file = tmp_path / "inventory.csv"
    file.write_text(many(200), encoding="utf-8")
    began = monotonic()
    authority = kiosks_authority(fleet.folder)
    made = {}
    with fleet.register() as register:
        for place in inventory.read(file):
            card = _secrets(register, authority, place.kiosk, place.checkpoint)
            made[place.kiosk] = seed.seed(place, fleet.settings, public, card)
        known = {token.fingerprint: token.kiosk for token in register.tokens()}
    took = monotonic() - began
    print(f"200 seeds in {took:.1f} s")
    assert took < 60
    assert len(made) == 200
    for kiosk, files in made.items():
        assert _settings_of(files).kiosk.id == kiosk
        token = Token.read(files["vaora/claim.token"].decode().strip())
        assert known[token.fingerprint] == kiosk
        assert identity.read(files["vaora/claim.pem"]).name == "vaora-claim"
    for name in ("vaora/claim.token", "vaora/claim.pem", "meta-data"):
        assert len({files[name] for files in made.values()}) == 200
    _has_no_key_of_the_fleet(fleet, made)


def _has_no_key_of_the_fleet(fleet, made):
    everything = b"\0".join(b"\0".join(files.values()) for files in made.values())
    kept = [file for file in fleet.folder.keys.iterdir() if file.is_file()]
    assert len(kept) >= 5
    for file in kept:
        for line in file.read_bytes().split(b"\n"):
            assert len(line) < 20 or line.startswith(b"-----") or line not in everything
    assert everything.count(b"PRIVATE KEY-----") == 2 * len(made)
    for files in made.values():
        assert b"PRIVATE KEY" in files["vaora/claim.pem"]


def test_a_kiosks_settings_say_what_the_list_and_the_fleet_say(fleet, public, secrets):
    place = _place(
        type="event", begins="2026-12-01", ends="2026-12-03", direction="button", buzzer="passive",
        wiring="green=12 red=13",
    )  # fmt: skip
    files = seed.seed(place, fleet.settings, public, secrets)
    found = _settings_of(files)
    assert found.door.direction == "button"
    assert (found.policy.begins, found.policy.ends) == ("2026-12-01", "2026-12-03")
    assert found.panel == Panel(green_pin=12, red_pin=13, buzzer="passive", direction_button_pin=5)
    assert found.seal == fleet.folder.seal_public.read_text().strip()
    assert found.policy.authority == fleet.folder.settings_public.read_text().strip()
    assert found.broker.host == fleet.settings.broker_host
    assert found.broker.cert_file == found.broker.key_file == "/var/lib/vaora-identity/kiosk.pem"
    assert found.broker.ca_file == "/etc/vaora/ca.pem"
    assert (found.policy.trust_file, found.policy.revocations_file) == ("/etc/vaora/trust.list", "")
    assert found.camera == Settings().camera
    assert b"[camera]" not in files["vaora/kiosk.toml"]


def test_the_fleets_lists_come_along_and_are_named(fleet, secrets, tmp_path):
    made = fleets.made_up(tmp_path / "fleet")
    made.folder.signed.mkdir(exist_ok=True)
    key = signed_list.cose.SigningKey(bytes(32))
    listed_keys = TrustList(
        1, "2026-11-22T00:00:00+00:00", pass_keys=[b64encode(bytes(32)).decode()]
    )
    made.folder.trust_list.write_bytes(signed_list.sign(listed_keys, key))
    files = seed.seed(_place(), made.settings, seed.public_of(made.folder), secrets)
    assert files["vaora/trust.list"] == made.folder.trust_list.read_bytes()
    assert _settings_of(files).policy.trust_file == "/etc/vaora/trust.list"
    assert "vaora/revoked.list" not in files


def test_the_seed_is_yaml_whatever_a_wi_fi_is_called(fleet, public, secrets):
    place = _place(wifi_name=SSID, wifi_password=EVIL_PASSWORD)
    files = seed.seed(place, fleet.settings, public, secrets)
    assert files["user-data"].startswith(b"#cloud-config\n")
    found = yaml.safe_load(files["network-config"])["network"]
    assert found["wifis"]["wlan0"]["access-points"] == {SSID: {"password": EVIL_PASSWORD}}
    assert found["wifis"]["wlan0"]["regulatory-domain"] == "VN"
    assert yaml.safe_load(files["meta-data"])["local-hostname"] == "cong-1"
    user = yaml.safe_load(files["user-data"])
    assert user["users"] == []
    assert user["growpart"] == {"mode": "off"}
    assert user["bootcmd"][-1] == ["sh", "/boot/firmware/vaora/first-boot.sh"]
    assert EVIL_PASSWORD.encode() not in files["user-data"]


def test_nobody_can_come_in_but_by_the_fleets_own_key(fleet, public, secrets):
    told = msgspec.structs.replace(fleet.settings, ssh_key=SSH_KEY)
    assert parse(written(told)) == told
    user = yaml.safe_load(seed.seed(_place(), told, public, secrets)["user-data"])
    (technician,) = user["users"]
    assert technician["lock_passwd"] is True
    assert technician["ssh_authorized_keys"] == [SSH_KEY]
    assert "passwd" not in str(technician).replace("lock_passwd", "")
    assert user["ssh_pwauth"] is False
    for wrong in (f"{SSH_KEY}\nssh-rsa x", "PRIVATE", "ssh-ed25519 x'; rm"):
        with pytest.raises(FleetError, match="ssh_key"):
            parse(written(msgspec.structs.replace(told, ssh_key=wrong)))


def test_a_seed_that_first_boot_could_not_use_is_not_given(fleet, public, secrets):
    place = _place()
    other = kiosks_authority(fleet.folder).certify(
        identity.request(identity.new_key(), "x"), name="vaora-claim", at=fleets.now(), days=1
    )
    key = secrets.claim_pem[secrets.claim_pem.index(b"-----BEGIN PRIVATE") :]
    wrong = [
        (public, replace(secrets, token="VT1-nothing"), "claim.token"),
        (public, replace(secrets, claim_pem=b"nothing"), "claim.pem"),
        (public, replace(secrets, claim_pem=other + key), "claim.pem: is no claim credential"),
        (public, replace(secrets, claim_pem=secrets.claim_pem + key), "claim.pem"),
        (replace(public, ca=b"nothing"), secrets, "ca.pem"),
        (replace(public, ca=public.ca + key), secrets, "ca.pem: has a private key"),
        (replace(public, seal=""), secrets, "seal is empty"),
        (replace(public, authority=""), secrets, "authority is missing"),
    ]
    for each, card, said in wrong:
        with pytest.raises(SeedError, match=said):
            seed.seed(place, fleet.settings, each, card)
    with pytest.raises(SeedError, match="backup"):
        seed.public_of(replace(fleet.folder, root=fleet.folder.root / "nowhere"))
    assert PASSWORD not in repr(secrets)
    assert secrets.token not in repr(secrets)


# What is tried inside Debian 13, as root of its own: cloud-init's opinion of each seed, what it
# makes of a Wi-Fi, and what bookworm's script leaves behind when it is run, cut, and run again.
TRIED = """
set -e
cd /srv/seeds
for kiosk in cong-1 cong-2 cong-3; do
    cloud-init schema --config-file $kiosk/user-data
    cloud-init schema --schema-type network-config --config-file $kiosk/network-config
done > valid
cloud-init devel net-convert -p cong-1/network-config -k yaml -O netplan -D debian -d / > /dev/null
mkdir -p /lib/netplan
echo '{network: {version: 2, renderer: NetworkManager}}' > /lib/netplan/00-network-manager-all.yaml
chmod 600 /lib/netplan/*
/usr/libexec/netplan/generate 2> /dev/null
cat /run/NetworkManager/system-connections/netplan-wlan0* > wlan0
stat --format=%a /etc/netplan/50-cloud-init.yaml > mode

mkdir -p /boot/firmware /etc/NetworkManager/system-connections
cp -r bookworm/. /boot/firmware
echo 'echo handed over >> /srv/seeds/handed' > /boot/firmware/vaora/first-boot.sh
echo 'root=x quiet systemd.run=/x systemd.run_success_action=reboot systemd.unit=y' > cmdline
cp cmdline /boot/firmware/cmdline.txt
echo '127.0.1.1 raspberrypi' >> /etc/hosts
for once in 1 2; do sh /boot/firmware/firstrun.sh > said 2>&1; done
cat /etc/hostname /etc/timezone > names
grep 127.0.1.1 /etc/hosts > hosts
cp /boot/firmware/cmdline.txt /etc/systemd/timesyncd.conf.d/vaora.conf .
stat --format='%a %U %n' /etc/NetworkManager/system-connections/* > connections
readlink /etc/localtime > zone
"""


@pytest.fixture(scope="module")
def tried(fleet, public, secrets, tmp_path_factory):
    """The folder with what `TRIED` left."""
    if os.geteuid() != 0 or not may_mount():
        pytest.skip("needs a root that may mount")
    try:
        root = debian("appliance", APPLIANCE_PACKAGES)
    except RootError as error:
        pytest.skip(str(error))
    seeds = tmp_path_factory.mktemp("in-root")
    told = msgspec.structs.replace(
        fleet.settings, ssh_key=SSH_KEY, time_servers=("ntp.example.vn", "192.0.2.1")
    )
    for place in (_place(wifi_name=SSID, wifi_password=EVIL_PASSWORD), _place(number=2, **WIRED),
                  _place(number=3, **SIM)):  # fmt: skip
        _write(seeds / place.kiosk, seed.seed(place, told, public, secrets))
    sim = _place(number=3, **SIM)
    _write(seeds / "bookworm", seed.seed(sim, told, public, secrets, form="bookworm"))
    command = [sys.executable, "-m", "tests.real_libraries.in_root", f"--share={seeds}:/srv/seeds"]
    command += [str(root), str(tmp_path_factory.mktemp("workshop")), "sh", "-c", TRIED]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=IN_ROOT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return seeds


def _write(folder, files):
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def test_cloud_init_finds_every_seed_valid(tried):
    said = (tried / "valid").read_text().splitlines()
    assert len(said) == 6
    assert all(line.startswith("Valid schema") for line in said)


def test_a_wi_fi_reaches_network_manager_to_the_letter(tried):
    found = (tried / "wlan0").read_text()
    assert f"\nssid={SSID}\n" in found
    assert f"\npsk={EVIL_PASSWORD}\n".replace("\\", "\\\\") in found
    assert "\nkey-mgmt=wpa-psk\n" in found
    assert (tried / "mode").read_text() == "600\n"


def test_bookworms_script_makes_the_same_kiosk_and_may_be_cut(tried):
    assert (tried / "names").read_text() == "cong-3\nAsia/Ho_Chi_Minh\n"
    assert (tried / "hosts").read_text() == "127.0.1.1 cong-3\n"
    assert (tried / "zone").read_text() == "/usr/share/zoneinfo/Asia/Ho_Chi_Minh\n"
    assert (tried / "cmdline.txt").read_text() == "root=x quiet\n"
    assert (tried / "vaora.conf").read_text() == "[Time]\nNTP=ntp.example.vn 192.0.2.1\n"
    assert (tried / "connections").read_text() == (
        "600 root /etc/NetworkManager/system-connections/vaora-gsm.nmconnection\n"
    )
    assert (tried / "handed").read_text() == "handed over\n" * 2


def test_bookworms_seed_has_its_network_where_first_boot_wipes_it(fleet, public, secrets):
    place = _place(wifi_name=SSID, wifi_password=EVIL_PASSWORD)
    files = seed.seed(place, fleet.settings, public, secrets, form="bookworm")
    assert "user-data" not in files
    secret = [name for name, content in files.items() if b"psk=" in content]
    assert secret == ["vaora/network/vaora-wifi.nmconnection"]
    keyfile = files[secret[0]].decode()
    bytes_of_it = re.search(r"ssid=([\d;]+)\n", keyfile)[1]
    assert bytes(int(each) for each in bytes_of_it.split(";")[:-1]).decode() == SSID
    assert "raspi-config nonint do_wifi_country VN" in files["firstrun.sh"].decode()


def test_bookworms_script_is_clean(fleet, public, secrets, tmp_path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck isn't installed")
    told = msgspec.structs.replace(fleet.settings, ssh_key=SSH_KEY, time_servers=("a.vn",))
    script = tmp_path / "firstrun.sh"
    script.write_bytes(seed.seed(_place(), told, public, secrets, form="bookworm")["firstrun.sh"])
    done = subprocess.run(["shellcheck", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_hostname_is_one_whatever_a_kiosk_is_called(fleet, public, secrets):
    files = seed.seed(_place(kiosk="BV.Thu_1"), fleet.settings, public, secrets)
    assert json.loads(files["meta-data"])["local-hostname"] == "bv-thu-1"
    assert _settings_of(files).kiosk.id == "BV.Thu_1"


def test_a_card_made_anew_is_another_first_boot(fleet, public):
    authority = kiosks_authority(fleet.folder)
    with fleet.register() as register:
        cards = [_secrets(register, authority, "cong-9", "0100009") for _ in range(2)]
    found = [seed.seed(_place(number=9), fleet.settings, public, card) for card in cards]
    assert found[0]["meta-data"] != found[1]["meta-data"]
    ends = [identity.read(files["vaora/claim.pem"]).ends_at for files in found]
    assert min(ends) > fleets.now() + timedelta(days=80)
