"""The hardware watchdog as systemd and the package's drop-in set it: what hangs is begun anew."""

import re
import time

import pytest

from tests.machine.machine import until
from tests.machine.test_pins import KIOSK, SEEN_S, nobody, serve, show, shown

DROP_IN = "/usr/lib/systemd/system.conf.d/vaora.conf"
WATCHDOG = "/sys/class/watchdog/watchdog0"
WATCHDOG_S = 14

# The emulated clock and its host's drift apart a little on a busy host.
MARGIN_S = 4

# Stops the machine's first process as a debugger does, and holds it for as long as this one runs:
# signals can't. It doesn't feed the watchdog then, while all the other programs go on.
HOLD_PID_1 = """
import ctypes, signal
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    assert libc.ptrace(request, 1, None, None) == 0, ctypes.get_errno()
print("held", flush=True)
signal.pause()
"""
# A crash of the kernel's own, which then stands still: Debian's and the Pi's don't reboot by
# themselves.
PANIC = "echo c > /proc/sysrq-trigger"


def test_systemd_armed_the_watchdog_with_the_packages_time(machine):
    assert f"RuntimeWatchdogSec={WATCHDOG_S}s" in machine.run("cat", DROP_IN)
    assert machine.show("", "RuntimeWatchdogUSec") == f"{WATCHDOG_S}s"
    assert machine.show("", "WatchdogDevice") == "/dev/watchdog0"
    of = {
        name: machine.run("cat", f"{WATCHDOG}/{name}").strip() for name in ("identity", "timeout")
    }
    assert of == {"identity": "i6300ESB timer", "timeout": str(WATCHDOG_S)}
    assert machine.show("", "WatchdogLastPingTimestampMonotonic") != "0"


def test_a_healthy_machine_is_left_alone(machine):
    began = machine.run("cat", "/proc/sys/kernel/random/boot_id")
    end = time.monotonic() + WATCHDOG_S + MARGIN_S
    until(lambda: time.monotonic() > end, WATCHDOG_S + 2 * MARGIN_S, "longer than its time")
    assert machine.run("cat", "/proc/sys/kernel/random/boot_id") == began
    assert not [event for _, event in machine.events if event["event"] == "WATCHDOG"]


@pytest.mark.parametrize("how", ["systemd hangs", "the kernel crashes and stands still"])
def test_what_hangs_is_reset_within_its_time_and_serves_again(machine, how):
    serve(machine)
    show(machine, len(shown(machine)) + 10)
    until(lambda: shown(machine), SEEN_S, "a check-in")
    nobody(machine)
    last = shown(machine)[-1]
    before = machine.run("cat", "/proc/sys/kernel/random/boot_id")
    if how == "systemd hangs":
        machine.start("python3", "-c", HOLD_PID_1)
    else:
        assert machine.run("cat", "/proc/sys/kernel/panic").strip() == "0"
        machine.start("sh", "-c", PANIC)
    hung = time.time()
    bitten, event = machine.event("WATCHDOG", WATCHDOG_S + MARGIN_S)
    assert event["data"]["action"] == "reset"
    print(f"{how}: bitten after {bitten - hung:.1f} s")
    # systemd feeds it twice in its time: earlier would be somebody else's doing.
    assert WATCHDOG_S / 2 - MARGIN_S < bitten - hung < WATCHDOG_S + MARGIN_S
    machine.event("RESET", 10)
    print(f"{how}: booted again in {machine.boot():.0f} s")
    assert machine.run("cat", "/proc/sys/kernel/random/boot_id") != before
    # Nobody starts the kiosk: it is enabled. What was green before is there, and the next follows.
    active = lambda: machine.show(KIOSK, "ActiveState") == "active"  # noqa: E731
    until(active, 90, "a kiosk that is ready")
    show(machine, 100 + last)
    until(lambda: shown(machine), SEEN_S, "a check-in")
    nobody(machine)
    assert shown(machine) == [last + 1]
    assert not re.search("damaged|set aside", machine.log(KIOSK))
