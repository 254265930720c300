"""The bench: what it needs, made once; what is missing is a skip, and in CI a failure."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.debian_root import RootError
from tests.real_libraries import made
from tests.real_libraries.chip import Chip

ROOT = Path(__file__).parent.parent.parent
ANSWER_S = 60
PI_4B, PI_5 = 0xC03115, 0xD04170


def needed(make, *words):
    """What `make` makes; where it can't be made, a skip."""
    try:
        return make(*words)
    except RootError as error:
        pytest.skip(str(error))  # in CI tests/conftest.py makes a failure of it


class PanelProgram:
    """`panel_program.py` on a chip, with panels of these settings."""

    def __init__(self, chip, folder, *rigs, revision=PI_4B, hurried=False):
        paths = (str(ROOT), str(needed(made.lgpio)))
        command = [sys.executable, "-m", "tests.real_libraries.panel_program"]
        self.process = subprocess.Popen(
            [*command, json.dumps([revision, hurried, *rigs])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={
                **os.environ,
                "LD_PRELOAD": str(needed(made.shared_object, "pretended_chip.c")),
                "PRETENDED_CHIP": str(chip.path),
                "PYTHONPATH": os.pathsep.join(paths),
                "LG_WD": str(folder),  # lgpio makes a pipe there while it is imported
            },
        )
        self.first = self.answer()

    def ask(self, *command):
        self.tell(*command)
        return self.answer()

    def tell(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self):
        too_long = threading.Timer(ANSWER_S, self.process.kill)
        too_long.start()
        line = self.process.stdout.readline()
        too_long.cancel()
        assert line, f"ended with {self.process.wait()}"
        return json.loads(line)

    def end(self):
        """Close the panels, as a kiosk does that is stopped."""
        self.process.stdin.close()
        assert self.answer() == {"closed": True}
        assert self.process.wait(ANSWER_S) == 0

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()


@pytest.fixture
def chip(tmp_path):
    made = Chip(tmp_path / "chip")
    yield made
    made.close()


@pytest.fixture
def program(chip, tmp_path):
    """Starts panels; whatever a test left running ends with it."""
    started = []

    def start(*rigs, **options):
        started.append(PanelProgram(chip, tmp_path, *rigs, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
