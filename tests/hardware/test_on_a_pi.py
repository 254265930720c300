"""The contract suites' heart on a physical Pi: `make test` there, with the panel and camera of
hardware.md connected. Elsewhere each is a visible skip.
"""

from pathlib import Path

import pytest

from kiosk.logic import feedback

MODEL = Path("/proc/device-tree/model")

pytestmark = pytest.mark.skipif(
    not (MODEL.exists() and "Raspberry Pi" in MODEL.read_text(errors="replace")),
    reason="no Raspberry Pi: what wasn't run on one is listed in hardware.md",
)


def test_the_camera_gives_grey_frames_at_its_rate():
    from kiosk.devices.pi_camera import PiCamera

    camera = PiCamera(1280, 720, 30)
    ticks = []
    for _ in range(90):
        with camera.frame() as frame:
            assert frame.grey.shape == (720, 1280)
            ticks.append(frame.tick)
    camera.close()
    assert 80 / 30 < ticks[-1] - ticks[0] < 100 / 30


def test_the_panel_plays_every_pattern():
    from kiosk.devices.gpio_panel import GpioPanel

    panel = GpioPanel(17, 27, buzzer_pin=22)
    for pattern in feedback.VERDICTS:
        panel.play(pattern)
    panel.close()


def test_a_webcam_gives_frames():
    from kiosk.devices.opencv import WebcamCamera

    device = Path("/dev/video0")
    if not device.exists():
        pytest.skip("no webcam")
    with WebcamCamera(device, 640, 480, 30).frame() as frame:
        assert frame.grey.ndim == 2
