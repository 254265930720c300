"""The installed programs as processes, with a real broker and real files."""

import sys
import threading
import time

import cv2
import numpy as np
import pytest
import segno

from checkin.outbox import Outbox, OutboxError
from demo.link import Link
from demo.programs import Bench, BrokerProgram, mosquitto_path


@pytest.fixture(scope="session")
def byte_code(tmp_path_factory):
    return tmp_path_factory.mktemp("byte-code")


@pytest.fixture(scope="module", autouse=True)
def started_from_byte_code(byte_code):
    """The programs are started from byte code, as installed ones are, hundreds of times.

    Where this run is told to write none, they write theirs into a folder of its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        if sys.dont_write_bytecode:
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(byte_code))
        yield


@pytest.fixture
def broker(tmp_path):
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    program = BrokerProgram(tmp_path / "broker")
    program.start()
    yield program
    program.stop()


@pytest.fixture
def link(broker):
    made = Link(broker.port)
    yield made
    made.close()


def code_frames(folder, count, blank=0, payloads=()):
    """Small frames, each with a code of its own (a visitor's), and `blank` empty ones after it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        shown = drawn(payloads[number] if payloads else payload(number))
        cv2.imwrite(str(folder / f"{number:05}-0.png"), shown)
        for more in range(blank):
            cv2.imwrite(
                str(folder / f"{number:05}-{more + 1}.png"), np.full((100, 100), 200, np.uint8)
            )
    return folder


def drawn(shown):
    code = segno.make(shown, micro=False)
    dark = np.array([[bool(module) for module in row] for row in code.matrix])
    grey = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
    return np.kron(grey, np.ones((4, 4), dtype=np.uint8))


# As many codes as a kiosk takes from one frame.
IN_A_SHEET = 8


def in_sheets(frames, count):
    """Put the first `count` visitors of `code_frames` in frames of eight, before a kiosk starts.

    Who is in already is shown again, all of them, in an eighth of the time.
    """
    for first in range(0, count - IN_A_SHEET + 1, IN_A_SHEET):
        numbers = range(first, first + IN_A_SHEET)
        if (frames / f"{first + 1:05}-0.png").exists():
            codes = [drawn(payload(number)) for number in numbers]
            rows = [np.hstack(codes[begin : begin + 4]) for begin in (0, 4)]
            cv2.imwrite(str(frames / f"{first:05}-0.png"), np.vstack(rows))
            for number in numbers[1:]:
                (frames / f"{number:05}-0.png").unlink()


def payload(number):
    return b"VISITOR:N%05d" % number


def wait_until(true, patience_s, what):
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, f"not in {patience_s} s: {what}"
        threading.Event().wait(0.02)


class Door(Bench):
    """A bench whose outbox can be looked at from the test."""

    def appended(self):
        try:
            outbox = Outbox(self.settings.outbox_file, create=False)
        except OutboxError:
            return 0
        try:
            return outbox.appended()
        finally:
            outbox.close()

    def summary(self):
        outbox = Outbox(self.settings.outbox_file, create=False)
        try:
            return outbox.summary()
        finally:
            outbox.close()
