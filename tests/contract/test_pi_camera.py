"""The Pi's camera, against a stand-in of the part of picamera2 that is used.

The stand-in knows the real signatures and refuses what the real one refuses: an unknown control,
an unknown stream, a frame used after it was given back. What only a Pi shows is in hardware.md.
"""

import sys
import types
from concurrent.futures import Future

import numpy as np
import pytest

from kiosk.devices.pi_camera import PiCamera
from kiosk.ports import CameraError, Optics

STRIDE = 1344  # 1280 padded to a multiple of 64, as a Pi 5 does


class Request:
    def __init__(self, camera, number):
        self.camera, self.number, self.released = camera, number, False

    def get_metadata(self):
        return {"ExposureTime": 9987, "AnalogueGain": 2.0, "LensPosition": 8.5, "Lux": 300.0}

    def release(self):
        assert not self.released, "released twice"
        self.released = True
        self.camera.out -= 1


class Job:
    def __init__(self, request=None, error=None):
        self.future = Future()
        if error is not None:
            self.future.set_exception(error)
        elif request is not None:
            self.future.set_result(request)

    def get_result(self, timeout=None):
        assert timeout is not None, "would wait for ever"
        return self.future.result(timeout=min(timeout, 0.01))


class MappedArray:
    def __init__(self, request, stream, reshape=True, write=True):
        assert stream == "main"
        assert not write, "mapped for writing: that is a cache flush for nothing"
        width, height = request.camera.configuration["main"]["size"]
        self.request = request
        self.array = np.full((height * 3 // 2, STRIDE), 99, dtype=np.uint8)
        self.array[:height, :width] = request.number

    def __enter__(self):
        assert not self.request.released
        return self

    def __exit__(self, *_):
        assert not self.request.released, "given back while it was mapped"
        self.array = None


class Picamera2:
    known = {
        "FrameDurationLimits", "AeFlickerMode", "AeFlickerPeriod", "AfMode", "LensPosition",
        "AfRange", "AeEnable", "AeExposureMode", "ExposureTime", "AnalogueGain", "ScalerCrop",
    }  # fmt: skip
    made = []

    def __init__(self):
        self.said, self.out, self.frames, self.stalled = [], 0, 0, False
        self.pending = 0  # captures that never came: the real one stops only behind them
        self.camera_properties = {"Model": "imx708"}
        self.camera_controls = dict.fromkeys(self.known, (0, 1, 0))
        if "ScalerCrop" in self.known:  # an imx708's: smallest, largest, default
            largest = (768, 432, 3072, 1728)
            self.camera_controls["ScalerCrop"] = ((768, 432, 64, 64), largest, largest)
        Picamera2.made.append(self)

    def create_video_configuration(self, main=None, lores=None, raw=None, buffer_count=6, **more):
        assert not more
        return {"main": main, "buffer_count": buffer_count}

    def configure(self, configuration):
        self.said.append("configure")
        self.configuration = configuration

    def set_controls(self, controls):
        unknown = set(controls) - set(self.camera_controls)
        if unknown:
            raise RuntimeError(f"Control {unknown} is not advertised by libcamera")
        self.controls = controls

    def start(self):
        self.said.append("start")

    def stop(self):
        assert not self.pending, "would wait for ever"
        self.said.append("stop")

    def close(self):
        self.said.append("close")

    def cancel_all_and_flush(self):
        self.said.append("cancel")
        self.pending = 0

    def capture_request(self, wait=None, signal_function=None, flush=None):
        assert wait is False, "a wait without an end"
        if self.stalled:
            self.pending += 1
            return Job()
        self.frames += 1
        self.out += 1
        return Job(Request(self, self.frames % 90))


@pytest.fixture
def picamera2(monkeypatch):
    module = types.ModuleType("picamera2")
    fake = type("Picamera2", (Picamera2,), {})
    module.Picamera2, module.MappedArray = fake, MappedArray
    monkeypatch.setitem(sys.modules, "picamera2", module)
    Picamera2.made.clear()
    return fake


def camera(**options):
    made = PiCamera(1280, 720, 30, **options)
    return made, Picamera2.made[-1]


def test_it_asks_for_grey_frames_once_with_few_buffers(picamera2):
    _, fake = camera()
    assert fake.configuration["main"] == {"size": (1280, 720), "format": "YUV420"}
    assert fake.configuration["buffer_count"] <= 4
    assert fake.said == ["configure", "start"]


def test_it_asks_for_steady_light_under_50_hz_and_the_right_pace(picamera2):
    _, fake = camera()
    assert fake.controls["AeFlickerPeriod"] == 10_000
    assert fake.controls["AeFlickerMode"] == 1
    assert fake.controls["FrameDurationLimits"] == (33_333, 33_333)


def test_it_focuses_by_itself_or_where_it_is_told(picamera2):
    assert camera()[1].controls["AfMode"] == 2
    fixed = camera(lens_position=10.0)[1].controls
    assert (fixed["AfMode"], fixed["LensPosition"]) == (0, 10.0)


def test_a_module_that_cannot_focus_is_not_asked_to(picamera2):
    picamera2.known = {"FrameDurationLimits"}
    assert set(camera(lens_position=10.0)[1].controls) == {"FrameDurationLimits"}


def test_a_frame_is_the_grey_part_without_padding_or_colours_and_no_copy(picamera2):
    made, fake = camera()
    with made.frame() as frame:
        assert frame.grey.shape == (720, 1280)
        assert set(np.unique(frame.grey)) == {1}
        assert frame.grey.base is not None
        assert not frame.grey.flags["OWNDATA"]
        assert fake.out == 1
    assert fake.out == 0


def test_a_frame_is_given_back_even_when_looking_at_it_fails(picamera2):
    made, fake = camera()
    with pytest.raises(ZeroDivisionError), made.frame():
        1 / 0  # noqa: B018
    assert fake.out == 0


def test_many_frames_leak_none(picamera2):
    made, fake = camera()
    for _ in range(1000):
        with made.frame():
            pass
    assert (fake.frames, fake.out) == (1000, 0)


def test_frames_that_stop_are_a_camera_error_and_a_restart_brings_them_back(picamera2):
    made, fake = camera(stall_s=0.5)
    fake.stalled = True
    with pytest.raises(CameraError, match=r"no frame in 0\.5 s"), made.frame():
        pass
    fake.stalled = False
    made.restart()
    # Never configured again: that leaks contiguous memory.
    assert fake.said == ["configure", "start", "cancel", "stop", "start"]
    with made.frame() as frame:
        assert frame.grey.size


def test_a_camera_that_fails_in_mid_frame_is_a_camera_error(picamera2, monkeypatch):
    made, _ = camera()
    monkeypatch.setattr(
        picamera2, "capture_request", lambda *_a, **_k: Job(error=RuntimeError("front-end timeout"))
    )
    with pytest.raises(CameraError, match="front-end timeout"), made.frame():
        pass


def test_no_camera_says_what_to_look_at(picamera2, monkeypatch):
    def none(_self):
        raise IndexError("list index out of range")

    monkeypatch.setattr(picamera2, "__init__", none)
    with pytest.raises(CameraError, match="flat cable"):
        camera()


def test_no_picamera2_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="apt install python3-picamera2"):
        PiCamera(1280, 720, 30)


def test_it_tells_how_its_frames_were_taken(picamera2):
    made, _ = camera()
    assert made.optics() == Optics()
    with made.frame():
        pass
    assert made.optics() == Optics(exposure_us=9987, gain=2.0, lens_position=8.5)


def test_closing_stops_it(picamera2):
    made, fake = camera()
    made.close()
    assert fake.said[-2:] == ["stop", "close"]


def test_its_name_is_the_modules(picamera2):
    assert camera()[0].name == "camera imx708"


def test_short_exposures_are_preferred_and_a_fixed_one_needs_its_gain(picamera2):
    _, fake = camera(exposure_us=10_000)
    assert fake.controls["AeExposureMode"] == 1
    assert "ExposureTime" not in fake.controls
    _, fake = camera(exposure_us=10_000, gain=4.0)
    assert (fake.controls["AeEnable"], fake.controls["ExposureTime"]) == (False, 10_000)
    assert fake.controls["AnalogueGain"] == 4.0


def test_focus_by_itself_may_come_as_near_as_the_lens_goes(picamera2):
    _, fake = camera()
    assert (fake.controls["AfMode"], fake.controls["AfRange"]) == (2, 2)
    _, fake = camera(lens_position=10)
    assert (fake.controls["AfMode"], fake.controls["LensPosition"]) == (0, 10)


def test_zoom_takes_the_middle_of_the_sensor(picamera2):
    _, fake = camera(zoom=2.0)
    assert fake.controls["ScalerCrop"] == (768 + 768, 432 + 432, 1536, 864)
    picamera2.known = picamera2.known - {"ScalerCrop"}
    _, fake = camera(zoom=2.0)
    assert "ScalerCrop" not in fake.controls
