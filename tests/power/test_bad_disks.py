"""A disk that somebody else's file fills, or that goes read-only after an error of the card.

The programs are the real ones, on a disk that can be told to be so (`forgetful.py`).
"""

import pytest

from checkin.settings import Camera
from demo.programs import BrokerProgram, mosquitto_path
from tests.system.conftest import Door, code_frames, wait_until


@pytest.fixture
def door(disk, tmp_path):
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    broker = BrokerProgram(tmp_path / "broker")
    broker.start()
    frames = code_frames(tmp_path / "frames", 400, blank=2)
    made = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(frames), fps=30),
        broker={"state_every_s": 1.0},
    )
    made.prepare()
    text = made.settings_file.read_text()
    old = f'data_dir = "{made.settings.kiosk.data_dir}"'
    made.settings_file.write_text(text.replace(old, f'data_dir = "{disk.mount}"'))
    programs = [made.start_central(), made.start_sync(), made.start_kiosk()]
    yield made
    for program in reversed(programs):
        program.stop()
    broker.stop()


class Heard:
    """Everything the programs of a door have said, in order."""

    def __init__(self, door):
        self._door, self.lines = door, []

    def since(self, place):
        while not self._door.said.empty():
            self.lines.append(self._door.said.get().text)
        return self.lines[place:]

    def wait_for(self, text, place=0):
        """Wait for a line with `text` behind `place`; return the place behind it."""

        def there():
            return any(text in line for line in self.since(place))

        try:
            wait_until(there, 40, text)
        except AssertionError as error:
            raise AssertionError([text, *self.lines[-40:]]) from error
        return len(self.lines)


@pytest.mark.parametrize(
    ("bad", "good", "says"),
    [
        ("full", "room", "database or disk is full"),
        ("readonly", "writable", "mounts it read-only"),
    ],
)
def test_a_bad_disk_is_a_fault_at_the_door_and_loses_nothing(disk, door, bad, good, says):
    heard = Heard(door)
    place = heard.wait_for("panel accepted-in")
    disk.tell(bad)
    heard.wait_for("panel fault", place)
    heard.wait_for(says, place)
    disk.tell(good)
    place = heard.wait_for("no more fault: outbox", place)
    heard.wait_for("panel accepted-in", place)
    appended = door.appended()
    wait_until(lambda: door.appended() > appended + 5, 40, "check-ins again")
    wait_until(lambda: door.summary().confirmed > appended, 40, "confirmed again")
    assert door.summary().set_aside == 0
    assert not any("Traceback" in line for line in heard.lines)
