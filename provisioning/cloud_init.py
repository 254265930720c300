"""A kiosk's seed for cloud-init, which Raspberry Pi OS of trixie reads from its boot partition.

NoCloud: `user-data`, `meta-data` and `network-config` beside each other
(https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html). All three are YAML, of
which JSON is a part: no name or password can then be taken for something else. Nothing in them
makes cloud-init fetch anything.
"""

from typing import Any

import msgspec

from provisioning import connections
from provisioning.comparing import hostname
from provisioning.fleet_folder import FleetSettings
from provisioning.inventory import Place, Wifi

# Where the OS mounts the boot partition.
BOOT = "/boot/firmware"
FIRST_BOOT = f"{BOOT}/vaora/first-boot.sh"
TIME_SERVERS = "/etc/systemd/timesyncd.conf.d/vaora.conf"

_HEAD = b"#cloud-config\n"

# The OS asks for a user's name and password on a screen that isn't there, and cloud-init's last
# stage waits for it.
_ASKS_NOBODY = "systemctl mask --now userconfig.service || true"

# The OS keeps the radio off until it knows its country, and in a file, for the next boot too.
RADIO_ON = (
    "rfkill unblock wifi || true",
    'for state in /var/lib/systemd/rfkill/*:wlan; do [ ! -e "$state" ] || echo 0 > "$state"; done',
)


def files(place: Place, fleet: FleetSettings, *, instance: str) -> dict[str, bytes]:
    """The three files. `instance` is another for each card, so that each is a first boot."""
    name = hostname(place.kiosk)
    # local: everything is here, no network is waited for.
    meta = {"instance-id": instance, "local-hostname": name, "dsmode": "local"}
    network = connections.netplan(place.network, fleet.wifi_country)
    return {
        "user-data": _HEAD + _yaml(user_data(place, fleet)),
        "meta-data": _yaml(meta),
        "network-config": _yaml(network),
    }


def user_data(place: Place, fleet: FleetSettings) -> dict[str, Any]:
    found: dict[str, Any] = {
        "hostname": hostname(place.kiosk),
        "manage_etc_hosts": True,
        "timezone": fleet.time_zone,
        # Nobody can come in, but by the fleet's own ssh key, where it has one.
        "users": _users(fleet),
        "ssh_pwauth": False,
        "disable_root": True,
        # The disk is first boot's: the data partition stands behind root.
        "growpart": {"mode": "off"},
        "resize_rootfs": False,
        # In the early stage: the last one waits for a network that a door may not have.
        "bootcmd": [
            _ASKS_NOBODY,
            *(RADIO_ON if isinstance(place.network, Wifi) else ()),
            ["sh", FIRST_BOOT],
        ],
    }
    if written := _written(place, fleet):
        found["write_files"] = written
    if commands := _commands(place, fleet):
        found["runcmd"] = commands
    return found


def time_servers(fleet: FleetSettings) -> str:
    """For systemd-timesyncd: cloud-init's own `ntp` may install packages, and so fetch them."""
    return f"[Time]\nNTP={' '.join(fleet.time_servers)}\n"


def read(content: bytes) -> Any:  # noqa: ANN401  whatever stands there
    """What was written into one of the files. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(content.removeprefix(_HEAD))


def _users(fleet: FleetSettings) -> list[dict[str, Any]]:
    if not fleet.ssh_key:
        return []
    return [
        {
            "name": "technician",
            "gecos": "Vào Ra technician",
            "groups": ["adm", "sudo", "video"],
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "shell": "/bin/bash",
            "lock_passwd": True,
            "ssh_authorized_keys": [fleet.ssh_key],
        }
    ]


def _written(place: Place, fleet: FleetSettings) -> list[dict[str, str]]:
    found = []
    if fleet.time_servers:
        found.append({"path": TIME_SERVERS, "content": time_servers(fleet), "permissions": "0644"})
    name, content = connections.keyfile(place.network, place.kiosk)
    if name and not isinstance(place.network, Wifi):  # that stands in network-config
        path = f"{connections.FOLDER}/{name}"
        found.append({"path": path, "content": content, "permissions": f"0{connections.MODE:o}"})
    return found


def _commands(place: Place, fleet: FleetSettings) -> list[str]:
    found = []
    if any(each["path"].startswith(connections.FOLDER) for each in _written(place, fleet)):
        found.append("nmcli connection reload || true")
    if fleet.ssh_key:
        found.append("systemctl enable --now ssh.service || true")
    return found


def _yaml(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
