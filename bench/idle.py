"""What a kiosk costs while nobody is there, and how soon it is ready: both processes, for real."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from time import monotonic

import cv2

from bench.figure import median, report
from checkin.settings import Camera
from demo import scenes
from demo.programs import Bench, BrokerProgram, Program

FPS = 30
IMAGES = 30
SETTLE_S = 5.0
WATCHED_S = 20.0
STARTS = 5
START_S = 30.0

MB = 1024 * 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# What a program has in memory that does nothing but import what ours stand on.
KIOSK_STANDS_ON = "import cv2, numpy, zxingcpp, nacl.public, msgspec, sqlite3, click"
SYNC_STANDS_ON = "import paho.mqtt.client, ssl, msgspec, sqlite3, click"
WAITS = "; import sys; print('there', flush=True); sys.stdin.read()"

# The simulated camera without a kiosk: on a Pi frames don't come from files.
CAMERA_ALONE = """
import sys
from pathlib import Path
from kiosk.devices.opencv import ReplayCamera
camera = ReplayCamera(Path(sys.argv[1]), 30, repeat=True)
print("there", flush=True)
while True:
    with camera.frame():
        pass
"""


def idle() -> None:
    """`kiosk_rss_mb`, `sync_rss_mb`, `idle_cpu_percent` and `ready_s`, `light_s`.

    Memory is resident (VmRSS) after 25 s; reference: a Python that has imported the same packages.
    CPU is of one core, both processes, at an empty door of 1280 × 720 at 30 frames a second,
    without what the simulated camera takes, which is the reference. Ready is from the start of
    the process to READY=1, after the first frame; light to the pattern "starting"; reference: the
    time to import the packages.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        folder = Path(name)
        frames = _empty_door(folder / "frames")
        broker = BrokerProgram(folder / "broker")
        broker.start()
        bench = Bench(
            folder / "bench",
            broker.port,
            camera=Camera(source="replay", path=str(frames), fps=FPS, repeat=True),
        )
        bench.prepare()
        try:
            started = [_start(bench, folder) for _ in range(STARTS)]
        except BaseException:
            broker.stop()
            raise
        kiosk, sync, central = bench.start_kiosk(), bench.start_sync(), bench.start_central()
        camera = Program("camera", [sys.executable, "-c", CAMERA_ALONE, str(frames)])
        try:
            Event().wait(SETTLE_S)
            alone, ours = _cpu_percent([camera.process.pid], [kiosk.process.pid, sync.process.pid])
            memory = [_resident_mb(program.process.pid) for program in (kiosk, sync)]
        finally:
            for program in (kiosk, sync, central, camera):
                program.stop()
            broker.stop()
    report("kiosk_rss_mb", memory[0], "MB", _imports(KIOSK_STANDS_ON)[0])
    report("sync_rss_mb", memory[1], "MB", _imports(SYNC_STANDS_ON)[0])
    report("idle_cpu_percent", ours - alone, "%", alone)
    importing = median([_imports(KIOSK_STANDS_ON)[1] for _ in range(STARTS)])
    report("light_s", median([light for light, _ in started]), "s", importing)
    report("ready_s", median([ready for _, ready in started]), "s", importing)


def _empty_door(folder: Path) -> Path:
    """What a camera sees of a place without visitors, from the scene generator."""
    folder.mkdir()
    for number, grey in enumerate(islice(scenes.empty_frames(IMAGES, seed=1), IMAGES)):
        cv2.imwrite(str(folder / f"{number:03}.pgm"), grey)
    return folder


def _start(bench: Bench, folder: Path) -> tuple[float, float]:
    """Seconds from the start of the kiosk to its first light, and to its being ready."""
    with _listening(folder / "notify") as heard:
        began = monotonic()
        kiosk = bench.start_kiosk()
        try:
            light = _said_at(kiosk, "panel starting") - began
            while heard.recv(400) != b"READY=1":  # it asks for more time before
                pass
            return light, monotonic() - began
        finally:
            kiosk.stop()


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.settimeout(START_S)
        os.environ["NOTIFY_SOCKET"] = str(path)
        try:
            yield heard
        finally:
            del os.environ["NOTIFY_SOCKET"]


def _said_at(program: Program, words: str) -> float:
    while True:
        line = program._said.get(timeout=START_S)  # noqa: SLF001  what it said, with the time
        if line.text.startswith(words):
            return line.at


def _imports(line: str) -> tuple[float, float]:
    """(resident MB, seconds) of a Python that imports this."""
    began = monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", line + WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        took = monotonic() - began
        resident = _resident_mb(process.pid)
        process.stdin.close()
    return resident, took


def _cpu_percent(*groups: list[int]) -> list[float]:
    """Of one core, over the same seconds, for each group of processes."""
    before = [[_cpu_s(pid) for pid in group] for group in groups]
    began = monotonic()
    Event().wait(WATCHED_S)
    seconds = monotonic() - began
    return [
        100 * sum(_cpu_s(pid) - was for pid, was in zip(group, earlier, strict=True)) / seconds
        for group, earlier in zip(groups, before, strict=True)
    ]


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB
