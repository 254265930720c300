"""The camera on real picamera2 and real libcamera, in a Debian 13, with frames of our own.

Pretended are the sensor (libcamera's `virtual` camera plays images), its memory
(pretended_buffers.c) and what on_a_pi.py lists.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import cv2
import msgspec
import numpy as np
import pytest
import segno

from checkin import VERSION, settings
from checkin.outbox import Outbox, OutboxError
from checkin.settings import Camera, Kiosk, Panel, Settings
from tests.real_libraries import made
from tests.real_libraries.camera_program import STALL_S
from tests.real_libraries.conftest import ROOT, needed
from tests.real_libraries.on_a_pi import PACED, STALLED
from tests.system.conftest import payload, wait_until

# As many as a door sees in six minutes; small ones, which come 100 times as fast as a Pi's.
FRAMES = int(os.environ.get("FRAMES", "10000"))
FEW_FRAMES = 500
RESTARTS = 30
SMALL = (192, 144)

# Python's own allocator breathes; a leak of one small frame in a hundred is more than this.
MOST_GROWTH_BYTES = 2_000_000

# The same of pieces of mapped memory: a buffer mapped again for each frame would be thousands.
MOST_PIECES = 10

NO_FRAME = f"no frame in {STALL_S:g} s"
START_S = 15
END_S = 10
STALE_S = 1.0  # how much later than stall_s an error may be said, on a busy machine

QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)

# As a lens gives them: libcamera reads JPEG in a hurry, and edges from 0 to 255 overflow in it.
BLACK, WHITE = 30, 220

VIRTUAL = """%YAML 1.1
---
"door":
  supported_formats:
  - width: {width}
    height: {height}
    frame_rates: [30, 30]
  frames:
    path: "/srv/frames"
  model: "imx708"
"""

INSIDE = {
    "PATH": "/usr/bin:/usr/sbin",
    "PYTHONPATH": "/srv/vaora:/srv/told:/srv/picamera2:/srv/dependencies",
    "PYTHONUNBUFFERED": "1",
    "PYTHONPYCACHEPREFIX": "/srv/pycache",
    "LD_PRELOAD": "/srv/pretended_buffers.so",
    "LIBCAMERA_LOG_LEVELS": "*:WARN",
    # libcamera 0.4's virtual camera never writes down that a frame is good, and "good" is 0: so
    # memory is handed out as zeros, which glibc does when all of it is asked for anew.
    "GLIBC_TUNABLES": "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0",
}


class Inside:
    """A door's root: the images its camera shows, and the folder it shares with the test."""

    def __init__(self, folder):
        self.frames, self.told, self._workshop = (
            folder / name for name in ("frames", "told", "workshop")
        )
        for made_now in (self.frames, self.told, self._workshop):
            made_now.mkdir()
        self._virtual = folder / "virtual.yaml"
        self._started = []
        about = self.told / f"vaora-{VERSION}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Name: vaora\nVersion: {VERSION}\n")

    def shows(self, images):
        """What the camera sees: grey images of one size, over and over, twelve frames of each.

        libcamera gives four; picamera2 drops whole groups of four where frames come in groups.
        """
        height, width = images[0].shape
        for number, image in enumerate([image for image in images for _ in range(3)]):
            assert cv2.imwrite(str(self.frames / f"{number:05}.jpg"), image, QUALITY)
        self._virtual.write_text(VIRTUAL.format(width=width, height=height))

    def start(self, module, *words):
        """A module of the project as a process inside, on something like a Pi."""
        pycache = made.MADE / "pycache"
        pycache.mkdir(parents=True, exist_ok=True)
        shown = {
            ROOT: "/srv/vaora",
            needed(made.picamera2): "/srv/picamera2",
            needed(made.dependencies): "/srv/dependencies",
            needed(made.shared_object, "pretended_buffers.c"): "/srv/pretended_buffers.so",
            self.frames: "/srv/frames",
            self._virtual: "/usr/share/libcamera/pipeline/virtual/virtual.yaml",
        }
        command = [sys.executable, "-m", "tests.real_libraries.in_root"]
        command += [f"--show={ours}:{theirs}" for ours, theirs in shown.items()]
        command += [f"--share={self.told}:/srv/told", f"--share={pycache}:/srv/pycache"]
        command += [str(needed(made.debian_root)), str(self._workshop)]
        command += ["env", "-i", *(f"{name}={value}" for name, value in INSIDE.items())]
        command += ["python3", "-m", "tests.real_libraries.on_a_pi", module, *words]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=(self.told / "said").open("w"),
            text=True,
        )
        self._started.append(process)
        return process

    def ask(self, what, **how):
        """What `camera_program.py` says of it."""
        process = self.start("tests.real_libraries.camera_program", what, json.dumps(how))
        answer, _ = process.communicate(timeout=120)
        assert process.returncode == 0, self.said()
        return json.loads(answer.splitlines()[-1])

    def recorded(self):
        """How many check-ins are in the kiosk's outbox."""
        try:
            with closing(Outbox(self.told / "outbox.db", create=False)) as outbox:
                return outbox.appended()
        except OutboxError:
            return 0

    def said(self):
        return (self.told / "said").read_text()

    def close(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
        # Left over only where "/" couldn't be made private, see in_root.py.
        if self._workshop.is_mount():
            subprocess.run(["umount", "--lazy", self._workshop], check=False)


@pytest.fixture
def inside(tmp_path):
    door = Inside(tmp_path)
    yield door
    door.close()


def codes(count, width, height):
    """(payloads, grey images with one code each)."""
    images = []
    for number in range(count):
        code = np.kron(drawn_code(number), np.ones((4, 4), np.uint8))
        image = np.full((height, width), 160, np.uint8)
        top, left = 8 * (number % 3) + 4, 6 * number + 4
        image[top : top + code.shape[0], left : left + code.shape[1]] = code
        images.append(cv2.GaussianBlur(image, (3, 3), 0))
    return [payload(number).decode() for number in range(count)], images


def drawn_code(number):
    """A QR code with its quiet zone, a pixel a module."""
    code = segno.make(payload(number), micro=False)
    dark = np.array([[bool(module) for module in row] for row in code.matrix])
    return np.pad(np.where(dark, BLACK, WHITE).astype(np.uint8), 4, constant_values=WHITE)


def test_the_codes_read_are_the_codes_shown(inside):
    shown, images = codes(6, 640, 480)
    inside.shows(images)
    answer = inside.ask("read", width=640, height=480, frames=90)
    assert answer["name"] == "camera imx708"
    assert all(len(read) <= 1 for read in answer["payloads"])
    assert {read[0] for read in answer["payloads"] if read} == set(shown)
    # Sharp and still: hardly a frame isn't read.
    assert sum(map(bool, answer["payloads"])) > 0.9 * len(answer["payloads"])


@pytest.mark.parametrize(("width", "stride", "height"), [(636, 640, 480), (1296, 1344, 72)])
def test_padded_rows_are_sliced_where_the_picture_ends(inside, width, stride, height):
    # Plain squares of JPEG's own size, so that every decoder gives back what was written.
    squares = np.random.default_rng(width).integers(0, 255, (height // 8, stride // 8), np.uint8)
    image = np.kron(squares, np.ones((8, 8), np.uint8))
    inside.shows([image])
    image = image.astype(int)
    answer = inside.ask("pixels", width=width, height=height, frames=1)
    frame = np.load(inside.told / "frame.npy")
    assert answer == {"strides": [stride, 1], "owns": False, "stride": stride, "format": "YUV420"}
    assert frame.shape == (height, width)
    assert np.abs(frame - image[:, :width]).max() <= 2
    # The comparison bites: rows taken as if they weren't padded are another picture.
    unpadded = image.reshape(-1)[: width * height].reshape(height, width)
    assert np.abs(unpadded - image[:, :width]).mean() > 10


def growth(samples):
    """By how much memory, open files and mappings grew since it had warmed up."""
    warm, last = samples[len(samples) // 3], samples[-1]
    return [b - a for a, b in zip(warm, last, strict=True)]


def test_many_frames_leak_nothing(inside):
    width, height = SMALL
    inside.shows(codes(2, width, height)[1])
    answer = inside.ask("many", width=width - 6, height=height, frames=FRAMES)
    grown_bytes, grown_files, grown_pieces = growth(answer["samples"])
    print(
        f"\n{FRAMES} frames in {answer['seconds']:.1f} s,"
        f" {FRAMES / answer['seconds']:.0f} a second: {grown_bytes / 1000:+.0f} kB"
    )
    assert (grown_files, grown_pieces < MOST_PIECES) == (0, True)
    assert grown_bytes < MOST_GROWTH_BYTES


def test_frames_that_are_kept_would_be_noticed(inside):
    width, height = SMALL
    inside.shows(codes(1, width, height)[1])
    answer = inside.ask("many", width=width, height=height, frames=FEW_FRAMES, keep=True)
    assert growth(answer["samples"])[0] > MOST_GROWTH_BYTES


def test_restarts_leak_nothing(inside):
    width, height = SMALL
    inside.shows(codes(1, width, height)[1])
    samples = inside.ask("restarts", width=width, height=height, frames=RESTARTS)["samples"]
    grown_bytes, grown_files, grown_pieces = growth(samples)
    assert (grown_files, grown_pieces < MOST_PIECES) == (0, True)
    assert grown_bytes < MOST_GROWTH_BYTES


def test_a_camera_that_stalls_says_so_in_time_and_a_restart_brings_it_back(inside):
    inside.shows(codes(1, *SMALL)[1])
    told = inside.ask("stall", width=SMALL[0], height=SMALL[1], frames=3)
    for when in ("before", "restarted"):
        assert [kind for kind, *_ in told[when]] == ["frame"] * 3
    for when in ("stalled", "restarted in vain", "stalled again"):
        errors = [(what, seconds) for kind, what, seconds in told[when] if kind == "error"]
        assert errors
        for what, seconds in errors:
            assert what == NO_FRAME
            assert STALL_S <= seconds < STALL_S + STALE_S


def test_a_process_whose_camera_stalled_ends_when_it_is_told_to(inside):
    inside.shows(codes(1, *SMALL)[1])
    how = json.dumps({"width": SMALL[0], "height": SMALL[1], "frames": 2})
    process = inside.start("tests.real_libraries.camera_program", "stalled_for_good", how)
    told = json.loads(process.stdout.readline())["told"]
    assert told[-1][:2] == ["error", NO_FRAME]
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_S) == 0, inside.said()


def kiosk_inside(inside, images):
    """`vaora-kiosk run` at a door where `images` are shown."""
    inside.shows(images)
    (inside.told / PACED.name).touch()
    height, width = images[0].shape
    wanted = Settings(
        seal="off",
        kiosk=Kiosk(
            id="cong-1", checkpoint="0100123", data_dir="/srv/told", runtime_dir="/srv/told"
        ),
        camera=Camera(width=width, height=height, stall_s=STALL_S),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(min_free_mb=1),
    )
    (inside.told / "kiosk.toml").write_text(settings.as_toml(wanted), encoding="utf-8")
    return inside.start("kiosk", "--settings", "/srv/told/kiosk.toml", "run")


def test_a_check_in_of_each_shown_code_comes_into_the_outbox_and_stalls_are_survived(inside):
    shown, images = codes(3, 640, 480)
    kiosk = kiosk_inside(inside, [*images, np.full_like(images[0], 160)])
    wait_until(lambda: inside.recorded() >= len(shown), START_S, "a check-in of each code")
    stalled = inside.told / STALLED.name
    stalled.touch()
    wait_until(lambda: NO_FRAME in inside.said(), START_S, "a fault that is said")
    stalled.unlink()
    wait_until(lambda: "no more fault: camera" in inside.said(), START_S, "a camera that is back")
    stalled.touch()
    kiosk.send_signal(signal.SIGTERM)
    assert kiosk.wait(END_S) == 0, inside.said()
    with closing(Outbox(inside.told / "outbox.db", create=False)) as outbox:
        bodies = outbox.pending(0, 100).bodies
    persons = [msgspec.json.decode(body)["data"]["person"]["code"] for body in bodies]
    assert sorted(f"VISITOR:{code}" for code in persons) == shown
    assert "Traceback" not in inside.said()


def test_a_kiosk_whose_camera_stays_away_ends_for_systemd_to_start_it_anew(inside):
    kiosk = kiosk_inside(inside, codes(1, 640, 480)[1])
    wait_until(inside.recorded, START_S, "a check-in")
    (inside.told / STALLED.name).touch()
    assert kiosk.wait(START_S) == 1, inside.said()
    assert inside.said().splitlines()[-1] == f"Error: {NO_FRAME}"
    assert "Traceback" not in inside.said()
