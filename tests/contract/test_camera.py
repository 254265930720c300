"""Cameras: the simulated twin on real files, the webcam's errors."""

import cv2
import numpy as np
import pytest

from kiosk.devices.opencv import ReplayCamera, WebcamCamera
from kiosk.ports import CameraEndedError, CameraError


class Pace:
    """A clock that a replay waits on."""

    def __init__(self):
        self.tick, self.waits = 0.0, []

    def wait(self, seconds):
        self.waits.append(round(seconds, 4))
        self.tick += seconds

    def __call__(self):
        return self.tick


@pytest.fixture
def pace():
    return Pace()


def replay(path, pace, fps=10, **more):
    return ReplayCamera(path, fps, tick=pace, wait=pace.wait, **more)


@pytest.fixture
def folder(tmp_path):
    for shade in (10, 20, 30, 40, 50):
        cv2.imwrite(str(tmp_path / f"{shade}.png"), np.full((48, 64), shade, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "60.jpg").write_bytes(b"not an image either")
    return tmp_path


def shades(camera, count):
    seen = []
    for _ in range(count):
        with camera.frame() as frame:
            assert frame.grey.shape == (48, 64)
            seen.append(int(frame.grey[0, 0]))
    return seen


def test_a_folder_is_shown_in_order_of_name_and_ends(folder, pace):
    camera = replay(folder, pace)
    assert shades(camera, 5) == [10, 20, 30, 40, 50]
    with pytest.raises(CameraEndedError, match="shown to its end"):
        shades(camera, 1)


def test_it_begins_again_when_told_to(folder, pace):
    assert shades(replay(folder, pace, repeat=True), 7) == [10, 20, 30, 40, 50, 10, 20]


def test_frames_come_at_their_rate(folder, pace):
    camera = replay(folder, pace, fps=10)
    shades(camera, 4)
    assert pace.waits == [0.1, 0.1, 0.1]


def test_a_loop_that_is_late_has_missed_frames_as_with_a_real_camera(folder, pace):
    camera = replay(folder, pace, fps=10)
    assert shades(camera, 1) == [10]
    pace.tick += 0.35
    assert shades(camera, 2) == [40, 50]
    assert camera.skipped == 2


def test_a_frame_tells_when_it_was_there(folder, pace):
    camera = replay(folder, pace, fps=10)
    ticks = []
    for _ in range(3):
        with camera.frame() as frame:
            ticks.append(round(frame.tick, 4))
    assert ticks == [0.0, 0.1, 0.2]


def test_a_video_is_shown(tmp_path, pace):
    file = tmp_path / "door.avi"
    video = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for shade in (40, 120, 200):
        video.write(np.full((48, 64, 3), shade, dtype=np.uint8))
    video.release()
    assert shades(replay(file, pace), 3) == pytest.approx([40, 120, 200], abs=3)


def test_a_single_image_is_shown(folder, pace):
    assert shades(replay(folder / "30.png", pace, repeat=True), 2) == [30, 30]


@pytest.mark.parametrize("name", ["missing", "empty", "notes.txt"])
def test_what_cannot_be_shown_is_said(folder, pace, name):
    (folder / "empty").mkdir()
    with pytest.raises(CameraError, match=name):
        replay(folder / name, pace)


def test_a_restart_begins_anew(folder, pace):
    camera = replay(folder, pace)
    shades(camera, 3)
    camera.restart()
    assert shades(camera, 1) == [10]
    camera.close()
    with pytest.raises(CameraEndedError):
        shades(camera, 1)


def test_a_webcam_that_is_not_there_says_what_to_look_at(tmp_path):
    with pytest.raises(CameraError, match="group video"):
        WebcamCamera(tmp_path / "video0", 640, 480, 30)
