"""Frames from files, videos and webcams, by OpenCV: the simulated camera, which ships."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from checkin.marks import text
from kiosk.ports import CameraEndedError, CameraError, DecoderError, Frame, Optics

if TYPE_CHECKING:
    from kiosk.ports import Grey

# What a folder is searched for; anything else in it is left alone.
IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".webp", ".tif", ".tiff", ".gif"}

# Twice the largest camera module's image, uncompressed.
LONGEST_FILE_BYTES = 128 * 1024 * 1024

# Grey of an image with an alpha channel is that of its colours on white, as paper and screens
# show it.
WHITE = 255


def read_image(file: Path) -> "Grey":
    """The grey pixels of an image file. Raises `DecoderError` for anything that is none."""
    try:
        if file.exists() and not file.is_file():
            raise DecoderError("no ordinary file")
        if file.stat().st_size > LONGEST_FILE_BYTES:
            raise DecoderError(f"longer than {LONGEST_FILE_BYTES} bytes")
        raw = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DecoderError(error.strerror or str(error)) from error
    if raw.size == 0:
        raise DecoderError("empty file")
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DecoderError(f"not an image: {error.err}") from error
    if image is None:
        raise DecoderError("not an image that can be read")
    return _grey(image)


class ReplayCamera:
    """The simulated camera: a folder of images, in order of name, or a video file.

    Frames come at `fps`, as from a camera: one that isn't fetched in time is gone, and the next
    is taken. With `repeat` it begins again at the end; else it raises `CameraEndedError`.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        *,
        repeat: bool = False,
        tick: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,  # noqa: TID251  it paces the simulated camera
    ) -> None:
        # The kiosk is one loop on two cores or four: OpenCV's own threads only get in its way.
        cv2.setNumThreads(1)
        self._path = path
        self._interval_s = 1 / fps
        self._repeat = repeat
        self._tick = tick
        self._wait = wait
        try:
            self._source = _open(path)
        except PermissionError as error:
            raise CameraError(text("{file}: this user may not read it", file=str(path))) from error
        self._due: float | None = None
        self.shown = 0
        self.skipped = 0

    @property
    def name(self) -> str:
        return f"replay of {self._path.name}"

    @contextmanager
    def frame(self) -> Iterator[Frame]:
        due = self._skip_missed()
        grey = self._take()
        now = self._tick()
        if due is None:
            due = now
        elif now < due:
            self._wait(due - now)
        self._due = due + self._interval_s
        self.shown += 1
        yield Frame(grey, self._tick())

    def optics(self) -> Optics:
        return Optics()

    def restart(self) -> None:
        self._source = _open(self._path)
        self._due = None

    def close(self) -> None:
        self._source = _Folder([])

    def _skip_missed(self) -> float | None:
        """Pass over what the sensor saw while the loop was busy; return when the next is due."""
        due, now = self._due, self._tick()
        while due is not None and now >= due + self._interval_s and self._source.skip():
            self.skipped += 1
            due += self._interval_s
        return due

    def _take(self) -> "Grey":
        grey = self._source.take()
        if grey is None and self._repeat:
            self._source = _open(self._path)
            grey = self._source.take()
        if grey is None:
            raise CameraEndedError(f"{self._path}: shown to its end")
        return grey


class WebcamCamera:
    """A V4L2 webcam, such as /dev/video0."""

    def __init__(self, device: Path, width: int, height: int, fps: float) -> None:
        self._device = device
        self._wanted = ((cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height))
        self._fps = fps
        self._capture = self._open()

    @property
    def name(self) -> str:
        return f"webcam {self._device}"

    @contextmanager
    def frame(self) -> Iterator[Frame]:
        # Blocks for a frame; V4L2's own time-out of ten seconds ends a webcam that was pulled out.
        there, image = self._capture.read()
        tick = time.monotonic()
        if not there:
            told = text("{file} gives no frames; is it still plugged in?", file=str(self._device))
            raise CameraError(told)
        yield Frame(_grey(image), tick)

    def optics(self) -> Optics:
        return Optics()

    def restart(self) -> None:
        self._capture.release()
        self._capture = self._open()

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._device), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise CameraError(
                text(
                    "{file} can't be opened as a webcam; `v4l2-ctl --list-devices` lists what "
                    "there is, and the user must be in the group video",
                    file=str(self._device),
                )
            )
        for key, value in (*self._wanted, (cv2.CAP_PROP_FPS, self._fps)):
            capture.set(key, value)  # a wish: the webcam takes the nearest it can
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not one from a second ago
        return capture


class _Folder:
    """Image files, one a frame. What is no image is passed over: `vaora-kiosk decode` names it."""

    def __init__(self, files: list[Path]) -> None:
        self._files = iter(files)

    def take(self) -> "Grey | None":
        for file in self._files:
            try:
                return read_image(file)
            except DecoderError:
                continue
        return None

    def skip(self) -> bool:
        return next(self._files, None) is not None


class _Video:
    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def take(self) -> "Grey | None":
        there, image = self._capture.read()
        return _grey(image) if there else None

    def skip(self) -> bool:
        return bool(self._capture.grab())


def _open(path: Path) -> _Folder | _Video:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS)
        if not files:
            raise CameraError(text("{file}: no images in this folder", file=str(path)))
        return _Folder(files)
    if not path.is_file():
        raise CameraError(text("{file}: no such folder, image or video", file=str(path)))
    if path.suffix.lower() in IMAGE_ENDINGS:
        return _Folder([path])
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise CameraError(text("{file}: can't be opened as a video", file=str(path)))
    return _Video(capture)


def _grey(image: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> "Grey":
    if image.dtype != np.uint8:
        largest = max(float(image.max()), 1.0)
        image = (image.astype(np.float32) * (WHITE / largest)).astype(np.uint8)
    if image.ndim == 2:  # noqa: PLR2004
        return image.astype(np.uint8, copy=False)
    channels = image.shape[2]
    if channels == 4:  # noqa: PLR2004
        alpha = image[:, :, 3:].astype(np.float32) / WHITE
        colours = image[:, :, :3].astype(np.float32) * alpha + WHITE * (1 - alpha)
        image = colours.round().astype(np.uint8)
    elif channels == 1:
        return image[:, :, 0].astype(np.uint8, copy=False)
    return cv2.cvtColor(image.astype(np.uint8, copy=False), cv2.COLOR_BGR2GRAY).astype(
        np.uint8, copy=False
    )
