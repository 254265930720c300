"""A kiosk's seed for Raspberry Pi OS of bookworm, which has no cloud-init.

The form of its Imager: `firstrun.sh`, which systemd runs once in a boot of its own, because
`provisioning.boot_partition.RUN_ONCE` stands in cmdline.txt; the boot after it is the first real
one. (`custom.toml`, which that OS reads too, can set a Wi-Fi and a user, and run nothing.)
"""

import shlex
from collections.abc import Iterator

from provisioning import connections
from provisioning.boot_partition import FIRST_RUN
from provisioning.cloud_init import BOOT, FIRST_BOOT, RADIO_ON, TIME_SERVERS, time_servers
from provisioning.comparing import hostname
from provisioning.fleet_folder import FleetSettings
from provisioning.inventory import Place, Wifi

# Beside the rest of the seed, so that first boot wipes it too.
NETWORK = "vaora/network"

# The OS's own tools, where they are.
_IMAGER = "/usr/lib/raspberrypi-sys-mods/imager_custom"
_USERCONF = "/usr/lib/userconf-pi/userconf"


def files(place: Place, fleet: FleetSettings) -> dict[str, bytes]:
    """`firstrun.sh`, and NetworkManager's file for it to put in place."""
    found = {FIRST_RUN: ("\n".join(_script(place, fleet)) + "\n").encode()}
    name, content = connections.keyfile(place.network, place.kiosk)
    if name:
        found[f"{NETWORK}/{name}"] = content.encode()
    return found


def _script(place: Place, fleet: FleetSettings) -> Iterator[str]:
    """Its lines. Each may be run again: the last but one is what ends the running of it."""
    name = hostname(place.kiosk)
    yield "#!/bin/sh"
    yield "# Written by vaora-provision; run once, by systemd.run in cmdline.txt."
    yield "set -u"
    yield f"echo {name} > /etc/hostname"
    yield "sed -i '/^127\\.0\\.1\\.1[[:space:]]/d' /etc/hosts"
    yield f"echo '127.0.1.1 {name}' >> /etc/hosts"
    yield f"ln -sf /usr/share/zoneinfo/{fleet.time_zone} /etc/localtime"
    yield f"echo {fleet.time_zone} > /etc/timezone"
    if fleet.time_servers:
        yield f"mkdir -p {TIME_SERVERS.rpartition('/')[0]}"
        yield f"printf '%s' {shlex.quote(time_servers(fleet))} > {TIME_SERVERS}"
    yield from _network(place, fleet)
    yield "systemctl mask userconfig.service || true"
    if fleet.ssh_key:
        # `!` is no password's hash: the account can be entered by the key alone.
        yield f"[ ! -x {_USERCONF} ] || {_USERCONF} technician '!' || true"
        yield f"[ ! -x {_IMAGER} ] || {_IMAGER} enable_ssh -k {shlex.quote(fleet.ssh_key)} || true"
    # Without it nothing is there to begin: once more, in the next boot.
    yield f"sh {FIRST_BOOT} || exit 0"
    yield f"sed -i 's| systemd\\.[^ ]*||g' {BOOT}/cmdline.txt"
    yield "sync"
    yield "exit 0"


def _network(place: Place, fleet: FleetSettings) -> Iterator[str]:
    if isinstance(place.network, Wifi):
        yield f"raspi-config nonint do_wifi_country {fleet.wifi_country} || true"
        yield from RADIO_ON
    name, _content = connections.keyfile(place.network, place.kiosk)
    if name:
        source, target = f"{BOOT}/{NETWORK}/{name}", f"{connections.FOLDER}/{name}"
        # Not there any more: this was done, and the power was cut later on.
        yield f"[ ! -e {source} ] || install -m {connections.MODE:o} {source} {target}"
