"""The technician's live view: what it makes of light and focus, on real frames."""

import cv2
import numpy as np
import pytest

from demo import scenes
from demo.people import person
from demo.scenes import Carrier, Scene, Weather
from kiosk.devices import views
from kiosk.devices.decoder import Effort as DecoderEffort
from kiosk.ports import Effort
from kiosk.watch import Quality, Seen, drawn, hints, read_seen


def seen(grey=None, **changes):
    quality = Quality() if grey is None else Quality(*views.light_of(grey))
    told = {
        "tick": 1.0, "at": "2026-11-22T00:00:00+00:00", "synced": True, "camera": "replay",
        "width": 1280, "height": 720, "frames_per_s": 30.0, "wait_ms": 25.0, "first_ms": 2.0,
        "turns_ms": 0.0, "serve_ms": 0.1, "slowest_ms": 4.0, "turns": 0.0, "attentive": True,
        "quality": quality,
    }  # fmt: skip
    return Seen(**(told | changes))


def frame(**weather):
    shown = Scene(person(1).payload, Carrier.PHONE, Weather(**weather), 4.5, seed=3)
    return next(scenes.frames(shown, 1))


def said(found):
    return {hint.split(":")[0] for hint in hints(found)}


def test_a_good_frame_has_no_hint():
    assert said(seen(frame())) == set()


@pytest.mark.parametrize(
    ("grey", "hint"),
    [
        (frame(blur_px=4.5, noise=1.0), "blurred"),
        (frame(gain=0.15), "dark"),
        (np.full((720, 1280), 240, dtype=np.uint8), "too bright"),
        (frame(contrast=0.1), "pale"),
        (cv2.threshold(frame(), 128, 255, cv2.THRESH_BINARY)[1], "glare or backlight"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(grey, hint):
    assert hint in said(seen(np.asarray(grey, dtype=np.uint8)))


def test_frames_that_are_late_are_said():
    assert "frames are late" in said(seen(frame(), slowest_ms=50.0))


def test_one_screen_holds_it_all():
    screen = drawn(seen(frame(), faults=["camera"], synced=False), 2.0)
    assert "not set by the network" in screen
    assert "camera" in screen
    assert len(screen.splitlines()) <= 24


def test_the_decoder_tells_its_effort_in_the_ports_words():
    assert DecoderEffort is Effort


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"{}", b'{"at": "\xff"}', b'{"x":' + b"[" * 9000])
def test_a_damaged_file_is_no_look(tmp_path, raw):
    (tmp_path / "watch.json").write_bytes(raw)
    assert read_seen(tmp_path) is None


def test_what_is_no_file_is_no_look(tmp_path):
    (tmp_path / "watch.json").mkdir()
    assert read_seen(tmp_path) is None


def test_nothing_on_the_screen_steers_the_terminal():
    wild = seen(camera="\x1b]0;x", quality=Quality(1e300, -1e300, 1e9, 1e9, -1e300))
    screen = drawn(wild, 2.0)
    assert "\x1b" not in screen
    assert len(screen) < 3000
