"""The Pi's camera, by picamera2, which comes from the OS (python3-picamera2) and never from pip.

Only a small, named part of picamera2 is used; `tests/contract/test_pi_camera.py` holds the calls
against a stand-in of its surface. Frames are the Y plane of a YUV420 stream: grey already, and
looked at where the camera put them, without a copy.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import Any

from checkin.marks import text
from kiosk.ports import CameraError, Frame, Optics

# Half a period of the mains' 50 Hz (Viet Nam, Europe): exposures in whole multiples see no flicker.
FLICKER_PERIOD_US = 10_000

# Few, because 512 MB boards run out of contiguous memory (raspberrypi/picamera2#972): one being
# looked at, one being filled, two waiting.
BUFFERS = 4

# How a frame was taken is asked for now and then: it takes a part of a millisecond.
OPTICS_EVERY_FRAMES = 30

# libcamera's controls::AfModeEnum.
AF_MANUAL = 0
AF_CONTINUOUS = 2
# controls::AfRangeEnum: from as near as the lens goes; the default begins at 10 cm or so.
AF_FULL = 2
# controls::AeExposureModeEnum: short exposures before low gain.
AE_SHORT = 1


class PiCamera:
    """A camera module on the Pi's connector.

    Configured once for the life of the process, since reopening leaks contiguous memory
    (picamera2#887): `restart` stops and starts, and no more.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        *,
        lens_position: float = 0.0,
        exposure_us: int = 0,
        gain: float = 0.0,
        zoom: float = 1.0,
        stall_s: float = 3.0,
    ) -> None:
        self._width, self._height = width, height
        self._stall_s = stall_s
        self._frames = 0
        self._optics_found = Optics()
        try:
            import picamera2  # noqa: PLC0415  a Pi has it, a laptop doesn't

            # It logs each start and stop, which is not news here.
            logging.getLogger("picamera2").setLevel(logging.WARNING)
            self._picamera2: Any = picamera2
            self._camera = picamera2.Picamera2()
        except ImportError as error:
            raise CameraError(
                text(
                    "picamera2 isn't installed: apt install python3-picamera2 on a Pi, or set "
                    '[camera] source = "webcam" or "replay"'
                )
            ) from error
        except (RuntimeError, IndexError) as error:
            raise CameraError(
                text(
                    "no camera found ({why}); is its flat cable in, contacts the right way round? "
                    "`rpicam-hello --list-cameras` lists what the OS sees",
                    why=str(error),
                )
            ) from error
        self._start(fps, self._optics(lens_position, exposure_us, gain, zoom))

    @property
    def name(self) -> str:
        return f"camera {self._camera.camera_properties.get('Model', 'of unknown model')}"

    @contextmanager
    def frame(self) -> Iterator[Frame]:
        """The newest frame, in the camera's own memory: given back when the `with` ends."""
        job = self._camera.capture_request(wait=False)
        try:
            request = job.get_result(timeout=self._stall_s)
        except (TimeoutError, FutureTimeoutError) as error:
            raise CameraError(text("no frame in {seconds:g} s", seconds=self._stall_s)) from error
        except RuntimeError as error:
            raise CameraError(text("the camera failed: {why}", why=str(error))) from error
        tick = time.monotonic()
        try:
            self._note_optics(request)
            with self._picamera2.MappedArray(request, "main", write=False) as mapped:
                # Rows are padded to the hardware's stride, and the colours lie below the grey.
                yield Frame(mapped.array[: self._height, : self._width], tick)
        finally:
            request.release()

    def optics(self) -> Optics:
        return self._optics_found

    def _note_optics(self, request: Any) -> None:  # noqa: ANN401  picamera2 has no types
        self._frames += 1
        if self._frames % OPTICS_EVERY_FRAMES != 1:
            return
        told = request.get_metadata()
        exposure = told.get("ExposureTime")
        self._optics_found = Optics(
            exposure_us=None if exposure is None else int(exposure),
            gain=told.get("AnalogueGain"),
            lens_position=told.get("LensPosition"),
        )

    def restart(self) -> None:
        try:
            # First: a capture that never came stands before the stop in picamera2's queue, and the
            # stop would wait for it for ever.
            self._camera.cancel_all_and_flush()
            self._camera.stop()
            self._camera.start()
        except RuntimeError as error:
            why = str(error)
            raise CameraError(text("the camera can't be started again: {why}", why=why)) from error

    def close(self) -> None:
        self._camera.cancel_all_and_flush()  # as in `restart`
        self._camera.stop()
        self._camera.close()

    def _start(self, fps: float, optics: dict[str, Any]) -> None:
        try:
            configuration = self._camera.create_video_configuration(
                main={"size": (self._width, self._height), "format": "YUV420"},
                buffer_count=BUFFERS,
            )
            self._camera.configure(configuration)
            self._camera.set_controls(self._controls(fps, optics))
            self._camera.start()
        except (RuntimeError, ValueError) as error:
            raise CameraError(text("the camera can't be set up: {why}", why=str(error))) from error

    def _controls(self, fps: float, optics: dict[str, Any]) -> dict[str, Any]:
        """What we would like, without what this module doesn't know: that would be an error."""
        frame_us = round(1_000_000 / fps)
        wanted: dict[str, Any] = {
            "FrameDurationLimits": (frame_us, frame_us),
            "AeFlickerMode": 1,  # controls::FlickerManual
            "AeFlickerPeriod": FLICKER_PERIOD_US,
            **optics,
        }
        known = self._camera.camera_controls
        return {name: value for name, value in wanted.items() if name in known}

    def _optics(
        self, lens_position: float, exposure_us: int, gain: float, zoom: float
    ) -> dict[str, Any]:
        """Focus, exposure and region of interest, as libcamera's controls."""
        wanted: dict[str, Any] = (
            {"AfMode": AF_MANUAL, "LensPosition": lens_position}
            if lens_position
            else {"AfMode": AF_CONTINUOUS, "AfRange": AF_FULL}
        )
        if exposure_us and gain:
            wanted |= {"AeEnable": False, "ExposureTime": exposure_us, "AnalogueGain": gain}
        else:
            # A hand moves a millimetre in 10 ms: rather noise than a smear.
            wanted["AeExposureMode"] = AE_SHORT
        if zoom > 1 and "ScalerCrop" in self._camera.camera_controls:
            wanted["ScalerCrop"] = self._middle(zoom)
        return wanted

    def _middle(self, zoom: float) -> tuple[int, int, int, int]:
        """The middle of the sensor: x, y, width, height in its own pixels."""
        widest = self._camera.camera_controls["ScalerCrop"][1]
        x, y, width, height = widest
        part_w, part_h = int(width / zoom), int(height / zoom)
        return x + (width - part_w) // 2, y + (height - part_h) // 2, part_w, part_h
