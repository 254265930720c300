"""The production camera as a process inside the Debian root, started by on_a_pi.py.

Takes what to do and its numbers, as JSON, and says what came of it as a JSON line. Frames that
are to be compared are left in the folder that test and root share.
"""

import faulthandler
import json
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from kiosk.__main__ import _decoder
from kiosk.devices.pi_camera import PiCamera
from kiosk.ports import CameraError
from tests.real_libraries.on_a_pi import PACED, STALLED

TOLD = STALLED.parent
FPS = 30
STALL_S = 0.5
LONGEST_S = 30  # a machine that has other things to do takes its time to close a camera
PAGE_BYTES = resource.getpagesize()


def read(width, height, frames):
    """The payloads of every frame, in the decoder that a kiosk has."""
    PACED.touch()
    camera = PiCamera(width, height, FPS)
    decoder = _decoder(1 / FPS)
    payloads = []
    for _ in range(frames):
        with camera.frame() as frame:
            payloads.append([code.payload.decode() for code in decoder.read(frame.grey)])
    told = {"name": camera.name, "payloads": payloads}
    camera.close()
    return told


def pixels(width, height, frames):
    """One frame's pixels, and how they lie in memory."""
    camera = PiCamera(width, height, FPS)
    with camera.frame() as frame:
        np.save(TOLD / "frame.npy", frame.grey)
        told = {"strides": frame.grey.strides, "owns": bool(frame.grey.flags["OWNDATA"])}
    stream = camera._camera.camera_configuration()["main"]
    camera.close()
    return {**told, "stride": stream["stride"], "format": stream["format"]}


def many(width, height, frames, *, keep=False):
    """Memory and open files every so often, while frames come; with `keep` each is kept."""
    camera = PiCamera(width, height, FPS)
    kept = []
    samples = []
    began = time.monotonic()
    for number in range(frames):
        with camera.frame() as frame:
            if keep:
                kept.append(frame.grey.copy())
            del frame
        if number % (frames // 10) == 0:
            samples.append(sample())
    samples.append(sample())
    seconds = time.monotonic() - began
    camera.close()
    return {"samples": samples, "seconds": seconds}


def restarts(width, height, frames):
    """The same, while the camera is restarted as often as `frames` says."""
    camera = PiCamera(width, height, FPS)
    samples = []
    for _ in range(frames):
        camera.restart()
        with camera.frame():
            pass
        samples.append(sample())
    camera.close()
    return {"samples": samples}


def stall(width, height, frames):
    """Frames, then none, then frames again: what each try came to, and in how many seconds."""
    camera = PiCamera(width, height, FPS, stall_s=STALL_S)
    told = {"before": [_try(camera) for _ in range(frames)]}
    STALLED.touch()
    told["stalled"] = _until_errors(camera, 2)
    camera.restart()
    told["restarted in vain"] = _until_errors(camera, 1)
    STALLED.unlink()
    camera.restart()
    told["restarted"] = [_try(camera) for _ in range(frames)]
    STALLED.touch()
    told["stalled again"] = _until_errors(camera, 1)
    camera.close()
    return told


def stalled_for_good(width, height, frames):
    """Say so and wait to be ended, with a camera that was never closed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    camera = PiCamera(width, height, FPS, stall_s=STALL_S)
    told = [_try(camera) for _ in range(frames)]
    STALLED.touch()
    say({"told": told + _until_errors(camera, 1)})
    signal.sigwait({signal.SIGTERM})
    sys.exit(0)


def _until_errors(camera, count):
    """What was on its way still comes; then errors."""
    told = []
    while sum(kind == "error" for kind, *_ in told) < count:
        told.append(_try(camera))
    return told


def _try(camera):
    began = time.monotonic()
    try:
        with camera.frame() as frame:
            return ["frame", frame.grey.shape[0], time.monotonic() - began]
    except CameraError as error:
        return ["error", str(error), time.monotonic() - began]


def sample():
    """(resident bytes, open files, pieces of mapped memory)."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    pieces = len(Path("/proc/self/maps").read_text().splitlines())
    return resident, len(list(Path("/proc/self/fd").iterdir())), pieces


def say(what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    # What hangs is ended, and says where it hung.
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    for one in (read, pixels, many, restarts, stall, stalled_for_good):
        if one.__name__ == sys.argv[1]:
            say(one(**json.loads(sys.argv[2])))
