"""How a kiosk reaches its network, in the two forms that the Pi's OS reads.

netplan's, which cloud-init takes from the boot partition (trixie), knows cables and Wi-Fi;
NetworkManager's own files know everything. Both end in NetworkManager. A cable works always: it is
what a technician plugs in when nothing else does.
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from provisioning.inventory import Network, Sim, Wifi

# NetworkManager reads only files that nobody else may read.
MODE = 0o600
FOLDER = "/etc/NetworkManager/system-connections"

# As the Pi's kernel calls them.
CABLE, RADIO = "eth0", "wlan0"


def netplan(network: Network, country: str) -> dict[str, Any]:
    """`network-config` of version 2: https://netplan.readthedocs.io/en/stable/netplan-yaml/."""
    # Optional: a boot doesn't wait for a network that may never come.
    addresses = {"dhcp4": True, "dhcp6": True, "optional": True}
    found: dict[str, Any] = {"version": 2, "ethernets": {CABLE: addresses}}
    if isinstance(network, Wifi):
        # `password` and not a key worked out of it, which WPA3 can't use.
        how = {"password": network.password} if network.password else {}
        found["wifis"] = {
            RADIO: {
                **addresses,
                "regulatory-domain": country,
                "access-points": {network.name: how},
            }
        }
    return {"network": found}


def keyfile(network: Network, kiosk: str) -> tuple[str, str]:
    """Name and content of a NetworkManager file; empty for a cable, which needs none."""
    match network:
        case Wifi():
            return _file("wifi", kiosk, _wifi(network))
        case Sim():
            pin = f"pin={network.pin}\n" if network.pin else ""
            return _file("gsm", kiosk, f"\n[gsm]\napn={network.apn}\n{pin}")
        case _:
            return "", ""


def _wifi(network: Wifi) -> str:
    # The bytes of the name one by one: letters would need escapes, and names have any.
    ssid = "".join(f"{byte};" for byte in network.name.encode())
    text = f"\n[wifi]\nmode=infrastructure\nssid={ssid}\n"
    if network.password:
        text += f"\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={_escaped(network.password)}\n"
    return text


def _file(kind: str, kiosk: str, of_its_own: str) -> tuple[str, str]:
    # A name of the connection that is the same each time the card is written.
    uuid = uuid5(NAMESPACE_URL, f"vaora:{kiosk}:{kind}")
    # autoconnect-retries=0: for ever. NetworkManager else gives up after four for minutes.
    head = (
        f"[connection]\nid=vaora-{kind}\nuuid={uuid}\ntype={kind}\nautoconnect=true\n"
        "autoconnect-retries=0\n"
    )
    tail = "\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
    return f"vaora-{kind}.nmconnection", head + of_its_own + tail


def _escaped(value: str) -> str:
    """As GLib's key files have it: a backslash, and a space that would be cut off in front."""
    value = value.replace("\\", "\\\\")
    return "\\s" + value[1:] if value.startswith(" ") else value
