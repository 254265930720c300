"""The whole door in one machine: systemd, the package, libcamera, picamera2, gpiozero, lgpio.

From a code in a frame of libcamera's to a green line that goes high, in the service's own sandbox.
Only the sensor and the chip of the pins are pretended (tests/real_libraries).
"""

import itertools
import json
import re
import shutil
import sqlite3
import threading

import cv2
import numpy as np
import pytest

from checkin import settings
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from kiosk.logic import feedback
from tests.appliance import made as appliance
from tests.appliance.conftest import ROOT
from tests.appliance.test_appliance import KIOSK, MARGIN_S, NO_PROMPT, install, restarts, wait_until
from tests.debian_root import RootError
from tests.real_libraries import made
from tests.real_libraries.chip import Chip
from tests.real_libraries.test_camera import BLACK, INSIDE, QUALITY, VIRTUAL, WHITE, codes

GREEN, RED, BUZZER = 17, 27, 22
WIDTH, HEIGHT = 640, 480

DROP_IN = """
[Service]
ExecStart=
ExecStart=/usr/lib/vaora/current/bin/python /opt/bench/whole.py run
Environment="LD_PRELOAD=/opt/bench/pretended_buffers.so /opt/bench/pretended_chip.so"
Environment=PRETENDED_CHIP=/opt/pins/chip PYTHONPATH=/opt/picamera2:/opt/lgpio
Environment=LIBCAMERA_LOG_LEVELS=*:WARN GLIBC_TUNABLES={tunables}
ReadWritePaths=/opt/pins
"""


@pytest.fixture(scope="module")
def door(machine, package):
    """The package installed, with a camera that shows codes and a chip that can be looked at."""
    shared = machine.shared
    try:
        parts = {
            "picamera2": made.picamera2(),
            "lgpio": appliance.lgpio(),
            "bench/pretended_buffers.so": made.shared_object("pretended_buffers.c"),
            "bench/pretended_chip.so": made.shared_object("pretended_chip.c"),
            "bench/on_a_pi.py": ROOT / "tests" / "real_libraries" / "on_a_pi.py",
            "bench/whole.py": ROOT / "tests" / "appliance" / "whole.py",
        }
    except RootError as error:
        pytest.skip(str(error))
    for name, source in parts.items():
        target = shared / "opt" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    frames = shared / "opt" / "frames"
    frames.mkdir()
    _, images = codes(3, WIDTH, HEIGHT)
    empty = np.full((HEIGHT, WIDTH), (BLACK + WHITE) // 2, np.uint8)
    shown = [image for image in (*images, *[empty] * 8) for _ in range(3)]
    for number, image in enumerate(shown):
        cv2.imwrite(str(frames / f"{number:05}.jpg"), image, QUALITY)
    (shared / "opt" / "pins").mkdir()
    chip = Chip(shared / "opt" / "pins" / "chip")
    machine.run("cp", "--recursive", *(f"/mnt/shared/opt/{name}" for name in (
        "picamera2", "lgpio", "bench", "frames")), "/opt")  # fmt: skip
    machine.run("mkdir", "/opt/pins")
    machine.run("mount", "--bind", "/mnt/shared/opt/pins", "/opt/pins")
    machine.run("chmod", "666", "/opt/pins/chip")
    machine.run("mkdir", "--parents", "/srv/told")
    machine.run("touch", "/srv/told/paced")
    machine.write("/usr/share/libcamera/pipeline/virtual/virtual.yaml", VIRTUAL.format(
        width=WIDTH, height=HEIGHT).replace("/srv/frames", "/opt/frames"))  # fmt: skip
    wanted = Settings(
        seal="off",
        kiosk=Kiosk(id="k1", checkpoint="cp"),
        door=Door(hold_off_s=1),
        camera=Camera(width=WIDTH, height=HEIGHT, zoom=1, stall_s=1),
        panel=Panel(green_pin=GREEN, red_pin=RED, buzzer_pin=BUZZER),
        outbox=settings.Outbox(min_free_mb=1),
        broker=Broker(tls=False, port=1),
    )
    install(machine, package)
    machine.write("/etc/vaora/kiosk.toml", settings.as_toml(wanted))
    tunables = INSIDE["GLIBC_TUNABLES"]
    machine.write(f"/run/systemd/system/{KIOSK}.d/bench.conf", DROP_IN.format(tunables=tunables))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "vaora.target")
    machine.chip = chip
    yield machine
    chip.close()


def greens(chip, since=0):
    """When the green line went high."""
    return [edge.at_s for edge in chip.edges(since) if edge.pin == GREEN and edge.level]


def test_a_code_before_the_camera_lights_the_green_line(door):
    wait_until(lambda: door.show(KIOSK, "ActiveState") == "active", 20, "a kiosk that is ready")
    wait_until(lambda: "check-in 3 on disk" in door.log(KIOSK), 20, "a check-in of each code")
    # Three in a row are one long light; the line goes dark while nobody is there.
    wait_until(lambda: long_greens(door.chip) >= 2, 20, "green lights")


def long_greens(chip):
    """How often green was lit as long as for a visitor, and not as an idle pattern's wink."""
    shortest = feedback.REPEATED.seconds
    edges = [edge for edge in chip.edges() if edge.pin == GREEN]
    pairs = itertools.pairwise(edges)
    return sum(one.level and not two.level and two.at_s - one.at_s > shortest for one, two in pairs)


def test_the_camera_and_the_pins_are_seen_by_the_doctor(door):
    said = door.run("vaora-kiosk", "doctor", "--json", check=False)
    parts = {part["part"]: part for part in json.loads(said.stdout)["parts"]}
    assert parts["camera"]["well"] is True, parts["camera"]
    assert "imx708" in parts["camera"]["told"]
    assert parts["lights"]["well"] is True, parts["lights"]


def test_a_camera_that_sends_no_more_frames_ends_the_process_and_a_new_one_serves(door):
    before = restarts(door, KIOSK)
    door.run("touch", "/srv/told/stalled")
    wait_until(lambda: restarts(door, KIOSK) > before, 30 + MARGIN_S, "an end")
    assert "Error: no frame in 1 s" in door.log(KIOSK)
    assert "Watchdog timeout" not in door.log(KIOSK)  # the loop's own end came first
    assert not any(door.chip.level(pin) for pin in (GREEN, BUZZER))
    door.run("rm", "/srv/told/stalled")
    rows = len(re.findall("on disk", door.log(KIOSK)))
    wait_until(lambda: len(re.findall("on disk", door.log(KIOSK))) > rows, 30, "new check-ins")


def test_green_never_comes_before_the_disk(door):
    door.run("systemctl", "stop", KIOSK)
    assert not any(door.chip.level(pin) for pin in (GREEN, RED, BUZZER))
    door.run("cp", "--archive", "/var/lib/vaora", "/mnt/shared/state")
    with sqlite3.connect(door.shared / "state" / "outbox.db") as db:
        (rows,) = db.execute("select count(*) from checkins").fetchone()
    said = len(re.findall("on disk", door.log(KIOSK)))
    assert said <= rows
    assert long_greens(door.chip) <= rows


def test_memory_of_the_whole_kiosk(door, capsys):
    door.run("systemctl", "start", KIOSK)
    threading.Event().wait(3)
    pid = door.show(KIOSK, "MainPID")
    status = door.run("cat", f"/proc/{pid}/status").stdout
    resident_mb = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024
    with capsys.disabled():
        print(f"\nthe kiosk with picamera2, libcamera and lgpio: {resident_mb:.0f} MB resident")
    assert resident_mb < 0.6 * 512  # MemoryMax of its unit, on the smallest board
    door.run(*NO_PROMPT, "dpkg", "--purge", "vaora")
