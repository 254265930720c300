"""Runs on the virtual Pi once the kiosk is ready: tell on the serial line, as JSON, how it is.

Alone, with the system's Python: it is copied onto the card.
"""

import json
import re
import subprocess
import threading
from pathlib import Path

UNITS = ("vaora-kiosk", "vaora-sync")
PATIENCE_S = 240


def show(unit, name):
    command = ["systemctl", "show", "--value", "--property", name, unit]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def log(unit):
    command = ["journalctl", "--no-pager", "--output=cat", "--unit", unit]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def uptime():
    return float(Path("/proc/uptime").read_text().split()[0])


def memory(unit):
    status = Path(f"/proc/{show(unit, 'MainPID')}/status").read_text()
    return {
        name: int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) // 1024
        for name in ("VmRSS", "VmHWM")
    }


def lines():
    """{pin: how}, of the pins that lgpio holds, by the pin controller's own registers."""
    held = Path("/sys/kernel/debug/gpio").read_text()
    return re.findall(r"(?m)^ gpio-\d+ +\((.*?)\|lg *\) (\w+ +\w+)", held)


def main():
    ready_s = uptime()
    states = {unit: show(unit, "ActiveState") for unit in UNITS}
    seen, greens, held = [], False, []
    while uptime() < ready_s + PATIENCE_S and not (seen and greens):
        held = lines()
        greens = greens or any(how.startswith("out hi") for _, how in held)
        seen = re.findall(r"check-in (\d+) on disk", log(UNITS[0]))
        threading.Event().wait(0.05)
    told = {
        "model": Path("/proc/device-tree/model").read_text().strip("\0"),
        "kernel": Path("/proc/sys/kernel/osrelease").read_text().strip(),
        "ready_s": ready_s,
        "first_checkin_s": uptime(),
        "states": states,
        "restarts": {unit: show(unit, "NRestarts") for unit in UNITS},
        "checkins": seen,
        "a line was high": greens,
        "lines": held,
        "memory_mb": {unit: memory(unit) for unit in UNITS},
        "free": Path("/proc/meminfo").read_text().splitlines()[:3],
    }
    print("\nREPORT " + json.dumps(told), flush=True)
    if not seen:
        print("LOG " + json.dumps(log(UNITS[0])[-3000:]), flush=True)


if __name__ == "__main__":
    main()
