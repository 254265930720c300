"""Run a module as on a Pi, but with libcamera's `virtual` camera: `python -m … on_a_pi MODULE …`.

Runs inside the Debian root. picamera2 expects a Pi's camera, window system and memory; here is all
that is put in its way, each piece with its reason. The rest of picamera2, libcamera and the
production code is what a kiosk runs.
"""

import runpy
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

# While this file is there, frames that are under way are lost, as when a camera stops sending.
STALLED = Path("/srv/told/stalled")
# While this one is there, frames come at a sensor's pace; libcamera's virtual camera has none.
PACED = Path("/srv/told/paced")
PACE_S = 1 / 30

# Imported by picamera2 whether or not they are used: a window system for previews, and a writer of
# raw files. The kiosk uses neither.
UNUSED = ("pykms", "pidng", "pidng.core", "pidng.camdefs")


def become_a_pi():
    for module in UNUSED:
        sys.modules[module] = MagicMock()
    import libcamera
    from picamera2 import Picamera2
    from picamera2.allocators import dmaallocator

    dmaallocator.libcamera = SimpleNamespace(FrameBuffer=_in_two_planes(libcamera.FrameBuffer))
    # The virtual camera has no raw stream, which picamera2 asks for the sensor's size by.
    Picamera2._get_raw_modes = lambda _self: [{"format": "NV12", "size": (1920, 1080)}]
    Picamera2._update_stream_config = _as_a_pi_says(Picamera2._update_stream_config)
    manager = libcamera.CameraManager
    manager.get_ready_requests = _stalling(manager.get_ready_requests)


def _in_two_planes(real):
    """A Pi's driver takes grey and colours as one piece of memory, the virtual camera as two."""

    def frame_buffer(planes):
        (whole,) = planes
        colours = real.Plane()
        colours.fd = whole.fd
        colours.offset = whole.length * 2 // 3
        colours.length = whole.length - colours.offset
        whole.length = colours.offset
        return real([whole, colours])

    frame_buffer.Plane = real.Plane
    return frame_buffer


def _as_a_pi_says(real):
    """A Pi gives YUV420 of the size that was asked for, in rows padded to its stride.

    The virtual camera gives NV12, whose grey part is the same, of a size that it has, and never
    pads. So it is asked for a narrower frame than it has: its rows are the padded ones.
    """

    def update(self, told, libcameras):
        width, height = told["size"]
        real(self, told, libcameras)
        assert told["stride"] >= width, told
        told["format"], told["size"] = "YUV420", (width, height)

    return update


def _stalling(real):
    """Lose what is ready while the camera is stalled; only a restart brings the buffers back."""
    pause = threading.Event()

    def ready(self):
        requests = real(self)
        if requests and PACED.exists():
            pause.wait(PACE_S)
        return [] if STALLED.exists() else requests

    return ready


if __name__ == "__main__":
    become_a_pi()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
