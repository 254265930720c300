"""Runs in the machine, as root: pins without a Pi, by the kernel's gpio-sim; and who watches them.

    pins.py make                                 the chip of a Pi 4, before the kiosk starts
    pins.py watch SECONDS [FOLDER AT SECONDS]    every change, as JSON; and hold FOLDER's disk still

Alone, with the system's Python: it is copied into the machine. Where a real pin has a voltage, a
pretended one has a file: `value` is what a LED would be given, `pull` what a button does.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# A BCM2711's: 58 lines, of which the header has 2 to 27.
LABEL, LINES = "pinctrl-bcm2711", 58
HEADER = range(2, 28)
CONFIG = Path("/sys/kernel/config/gpio-sim/kiosk")

BEGUN, HELD = Path("/run/watching"), Path("/run/held")

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878  # linux/fs.h


def make():
    subprocess.run(["modprobe", "gpio-sim"], check=True)
    bank = CONFIG / "bank0"
    bank.mkdir(parents=True)
    (bank / "label").write_text(LABEL)
    (bank / "num_lines").write_text(str(LINES))
    for pin in HEADER:
        line = bank / f"line{pin}"
        line.mkdir()
        (line / "name").write_text(f"GPIO{pin}")
    (CONFIG / "live").write_text("1")
    chip = (bank / "chip_name").read_text().strip()
    assert chip == "gpiochip0", f"{chip}: the kiosk looks at the first, as a Pi 4's is"


def place():
    """The folder of the pins' files."""
    device = (CONFIG / "dev_name").read_text().strip()
    return Path("/sys/devices/platform") / device / (CONFIG / "bank0/chip_name").read_text().strip()


def watch(seconds, folder="", freeze_at="0", freeze_s="0"):
    """Look at all pins in turn, as fast as it goes; tell each change with its monotonic second.

    A file says that it has begun. Where asked for, nothing reaches the file system of
    `folder` for some seconds: who writes there waits.
    """
    folder_file = os.open(folder, os.O_RDONLY) if folder else -1
    files = {pin: os.open(place() / f"sim_gpio{pin}/value", os.O_RDONLY) for pin in HEADER}
    known = dict.fromkeys(HEADER, 0)
    edges, rounds = [], 0
    began = time.monotonic()
    BEGUN.touch()
    freeze = [began + float(freeze_at), began + float(freeze_at) + float(freeze_s)]
    held = []
    while time.monotonic() < began + float(seconds):
        rounds += 1
        for pin, file in files.items():
            level = int(os.pread(file, 2, 0).strip())
            if level != known[pin]:
                known[pin] = level
                edges.append((time.monotonic(), pin, level))
        if folder and len(held) < 2 and time.monotonic() > freeze[len(held)]:
            fcntl.ioctl(folder_file, (FIFREEZE, FITHAW)[len(held)], 0)
            held.append(time.monotonic())
            HELD.touch()
    print(json.dumps({"began": began, "rounds": rounds, "edges": edges, "held": held}))


if __name__ == "__main__":
    {"make": make, "watch": watch}[sys.argv[1]](*sys.argv[2:])
