"""The installed programs as processes, with a real broker and real files."""

import threading
import time

import cv2
import numpy as np
import pytest
import segno

from checkin.outbox import Outbox, OutboxError
from demo.link import Link
from demo.programs import Bench, BrokerProgram, mosquitto_path


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
        code = segno.make(payloads[number] if payloads else payload(number), micro=False)
        dark = np.array([[bool(module) for module in row] for row in code.matrix])
        grey = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
        cv2.imwrite(
            str(folder / f"{number:05}-0.png"), np.kron(grey, np.ones((4, 4), dtype=np.uint8))
        )
        for more in range(blank):
            cv2.imwrite(
                str(folder / f"{number:05}-{more + 1}.png"), np.full((100, 100), 200, np.uint8)
            )
    return folder


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
