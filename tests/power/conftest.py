"""A disk that forgets, mounted for a test."""

import ctypes.util
import os
import socket
import sys
from pathlib import Path

import pytest

from demo.programs import Program
from tests.system.conftest import wait_until

ROOT = Path(__file__).parent.parent.parent
START_S = 15


class ForgetfulDisk:
    """`tests/power/forgetful.py` as a process, at `mount`."""

    def __init__(self, mount, control, seed):
        self.mount, self._control = mount, control
        mount.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.power.forgetful", mount, control, seed]
        self._program = Program("disk", [str(word) for word in command])
        wait_until(
            lambda: os.path.ismount(mount) or not self._program.is_running, START_S, "the mount"
        )
        assert self._program.is_running, self._program._said.queue

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._control))
            asking.sendall(command.encode())
            assert asking.recv(64) == b"done", command

    def cut(self):
        """Take the power away and bring it back. Whatever ran on the disk must be dead."""
        self.tell("cut")

    def close(self):
        self._program.stop()


@pytest.fixture
def disk(tmp_path, monkeypatch):
    if not Path("/dev/fuse").exists():
        pytest.skip("no /dev/fuse here")
    if not (ctypes.util.find_library("fuse") or ctypes.util.find_library("fuse3")):
        pytest.skip("libfuse isn't installed")
    monkeypatch.chdir(ROOT)  # where `python -m tests.power…` is found
    made = ForgetfulDisk(tmp_path / "data", tmp_path / "control", seed=20261122)
    yield made
    made.close()
