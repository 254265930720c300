"""What only a kernel of its own can hold a unit to: its devices, its ports, its memory.

A container may not load the programs by which systemd does that, so tests/appliance/ can't see it.
"""

import json
import re

import pytest

from tests.machine.conftest import ROOT
from tests.machine.machine import until
from tests.machine.test_pins import KIOSK, serve, show

SYNC = "vaora-sync.service"
PROBE = ROOT / "tests" / "appliance" / "probe.py"
DEVICES_PROBE = ROOT / "tests" / "machine" / "devices.py"

PINS = "/dev/gpiochip0"
# Anybody may open these on the machine of this test, so that what refuses them is the policy:
# the system's disk, the outbox's, the firmware's settings, a clock, the serial line.
# (The clock may be read: ProtectClock= brings that along.)
OTHERS = ("/dev/vda", "/dev/vdb", "/dev/nvram", "/dev/rtc0", "/dev/ttyS0", "/dev/fuse")
HARMLESS = ("/dev/null", "/dev/zero", "/dev/urandom")

# The kiosk's is a share of the board's memory.
SHARE_OF_KIOSK, SYNC_MB = 0.6, 128

PROPERTIES = "(?m)^(Type|ExecStart|Restart|RestartSec|WatchdogSec|NotifyAccess)=.*$"


def run_as(machine, unit, name, command):
    """Run a command in a unit's whole sandbox; how it ended, in systemd's word."""
    text = re.sub(PROPERTIES, "", machine.run("systemctl", "cat", unit))
    text = text.replace("[Service]", f"[Service]\nType=oneshot\nExecStart={command}", 1)
    machine.write(f"/run/systemd/system/{name}.service", text)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", name, check=False)
    return machine.show(f"{name}.service", "Result")


@pytest.fixture(scope="module")
def probed(machine):
    """What the two probes find as each unit, and as its user without the unit."""
    machine.write("/opt/probe.py", PROBE.read_text(encoding="utf-8"))
    machine.write("/opt/devices.py", DEVICES_PROBE.read_text(encoding="utf-8"))
    machine.run("install", "-m", "4755", "/usr/bin/id", "/usr/local/bin/setuid-id")
    there = [one for one in OTHERS if machine.status("test", "-e", one) == 0]
    assert len(there) >= 4, there
    machine.run("chmod", "666", *there)
    devices = " ".join((PINS, *there, *HARMLESS))
    python, found = "/usr/bin/python3", {"others": there}
    for unit, name in ((KIOSK, "kiosk"), (SYNC, "sync")):
        to = f"/run/vaora/probe-{name}"
        assert run_as(machine, unit, f"probe-{name}", f"{python} /opt/probe.py {to}") == "success"
        command = f"{python} /opt/devices.py {to}-devices {devices}"
        assert run_as(machine, unit, f"devices-{name}", command) == "success"
        found[name] = json.loads(machine.run("cat", to))
        found[name]["open"] = json.loads(machine.run("cat", f"{to}-devices"))
    machine.run("install", "-d", "-m", "777", "/run/free")
    machine.run("runuser", "-u", "vaora-kiosk", "--", python, "/opt/probe.py", "/run/free/probe")
    command = (python, "/opt/devices.py", "/run/free/devices", *devices.split())
    machine.run("runuser", "-u", "vaora-kiosk", "--", *command)
    found["free"] = json.loads(machine.run("cat", "/run/free/probe"))
    found["free"]["open"] = json.loads(machine.run("cat", "/run/free/devices"))
    return found


def test_the_probes_bite_where_nothing_is_closed(probed):
    free = probed["free"]
    assert free["listen"] == "done"
    assert {one: free["open"][one] for one in (PINS, *probed["others"])} == dict.fromkeys(
        (PINS, *probed["others"]), "done"
    )


def test_the_kiosk_has_its_pins_and_no_other_device(probed):
    found = probed["kiosk"]["open"]
    print(found)
    assert found[PINS] == "done"
    assert {one: found[one] for one in HARMLESS} == dict.fromkeys(HARMLESS, "done")
    refused = "Operation not permitted"
    assert {one: found[one] for one in probed["others"]} == dict.fromkeys(probed["others"], refused)


def test_the_daemon_has_no_device_at_all(probed):
    found = probed["sync"]["open"]
    print(found)
    assert "done" not in {found[one] for one in (PINS, *probed["others"])}
    assert {one: found[one] for one in HARMLESS} == dict.fromkeys(HARMLESS, "done")


def test_neither_may_listen(probed):
    print({name: probed[name]["listen"] for name in ("kiosk", "sync")})
    assert probed["sync"]["socket AF_INET"] == "done"
    assert probed["sync"]["listen"] == "Operation not permitted"
    assert probed["kiosk"]["listen"] != "done"


def test_the_daemon_carries_a_check_in_all_the_same(machine):
    """Out of its unit as it is installed, to a broker on the machine."""
    machine.run("systemd-run", "--unit=broker", "mosquitto", "-p", "1883")
    serve(machine)
    show(machine, 1)
    until(lambda: status(machine)["confirmed"] == 1, 60, "a check-in that the broker has")
    assert status(machine)["waiting"] == 0
    assert machine.show(SYNC, "NRestarts") == "0"
    machine.run("systemctl", "stop", "vaora.target", "broker.service")


def status(machine):
    return json.loads(machine.run("sh", "-c", "vaora-sync status --json || true"))


@pytest.mark.parametrize("unit", [KIOSK, SYNC])
def test_memory_beyond_the_limit_ends_it_and_nobody_else(machine, unit):
    limit = int(machine.show(unit, "MemoryMax")) // 2**20
    (total_kb,) = re.findall(r"MemTotal:\s+(\d+) kB", machine.run("cat", "/proc/meminfo"))
    wanted = {KIOSK: int(total_kb) / 1024 * SHARE_OF_KIOSK, SYNC: SYNC_MB}[unit]
    assert abs(limit - wanted) <= 0.05 * wanted
    name = f"memory-{limit}"
    take = "/usr/bin/python3 -c 'bytearray(%d * 2**20)'"
    assert run_as(machine, unit, f"{name}-less", take % (limit // 2)) == "success"
    assert run_as(machine, unit, name, take % (limit + 100)) == "oom-kill"
    assert machine.show("systemd-journald.service", "ActiveState") == "active"
