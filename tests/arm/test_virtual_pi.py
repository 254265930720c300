"""A Raspberry Pi 3B, all of it pretended by QEMU, boots from its card to a kiosk that is ready.

Real are Debian's kernel for arm64 with its drivers for the card, the pins and the serial line, its
systemd, and the package. The board, its processor and its pins are QEMU's.
"""

import json
import os
import subprocess
import time

import cv2
import pytest

from checkin import settings
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from demo.programs import Program
from tests.arm import made
from tests.machine.machine import until
from tests.system.conftest import drawn, payload

BOOT_S = int(os.environ.get("PI_BOOT_S", "900"))

SERVED = Settings(
    seal="off",
    kiosk=Kiosk(id="k1", checkpoint="cp"),
    door=Door(hold_off_s=1),
    camera=Camera(source="replay", path="/opt/frames", repeat=True, fps=2, stall_s=60),
    panel=Panel(amber_pin=24, direction_button_pin=5),
    outbox=settings.Outbox(min_free_mb=1),
    broker=Broker(host="127.0.0.1", port=1883, tls=False),  # nobody is there
)

# QEMU's watchdog of this board resets it as soon as it is opened.
WORDS = "console=ttyAMA0,115200 root=LABEL=root rootwait rw quiet modprobe.blacklist=bcm2835_wdt"


@pytest.fixture
def pi(installed, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        assert cv2.imwrite(str(frames / f"{number}.png"), drawn(payload(number)))
    (tmp_path / "kiosk.toml").write_text(settings.as_toml(SERVED), encoding="utf-8")
    card = made.card(installed)
    written = made.with_files(
        card / "card.img",
        tmp_path / "card.img",
        {tmp_path / "kiosk.toml": "/etc/vaora/kiosk.toml"}
        | {file: f"/opt/frames/{file.name}" for file in frames.iterdir()},
    )
    boot = card / "boot"
    command = ["qemu-system-aarch64", "-machine", "raspi3b", "-display", "none", "-serial", "stdio"]
    command += ["-monitor", "none", "-no-reboot", "-kernel", str(boot / "kernel")]
    command += ["-dtb", str(boot / "tree"), "-initrd", str(boot / "initrd"), "-append", WORDS]
    command += ["-drive", f"file={written},format=raw,if=sd"]
    program = Program("pi", ["nice", "-n", "5", *command])
    program.said = []
    yield program
    program.process.terminate()
    try:
        program.wait(30)
    except subprocess.TimeoutExpired:
        program.kill()
    print("\n".join(program.said[-60:]))


def test_a_virtual_pi_3b_boots_to_a_kiosk_that_is_ready(pi, capsys):
    began = time.monotonic()

    def reported():
        while not pi._said.empty():
            pi.said.append(pi._said.get().text)
        assert pi.is_running
        return any(line.startswith("REPORT ") for line in pi.said)

    until(reported, BOOT_S, "a virtual Pi's report")
    took_s = time.monotonic() - began
    (line,) = [line for line in pi.said if line.startswith("REPORT ")]
    told = json.loads(line.removeprefix("REPORT "))
    with capsys.disabled():
        print(f"\n{took_s:.0f} s to the report: {json.dumps(told, indent=1)}")
    assert told["model"] == "Raspberry Pi 3 Model B"
    assert told["states"] == {"vaora-kiosk": "active", "vaora-sync": "active"}
    assert told["restarts"]["vaora-kiosk"] == "0"
    assert told["checkins"][0] == "1"
    # The pin controller's own registers say so, and not the program that set them.
    assert told["a line was high"]
    assert {name.strip() for name, _ in told["lines"]} >= {"GPIO17", "GPIO22", "GPIO24", "GPIO27"}
