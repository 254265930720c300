"""A rehearsal with the real programs: what passes, and what never reaches the door."""

import sys
from pathlib import Path

import pytest

from checkin.clock import SystemClock
from checkin.settings import Settings
from provisioning.rehearsal import Programs, RehearsalError, rehearse

ROOT = Path(__file__).parents[2]

# Said before a program begins: a version that is broken on purpose.
FORGETS = "from kiosk.loop import KioskLoop; KioskLoop._record = lambda self, accepted, now: True"
FALLS = "import sys; sys.exit('made to fall')"
CHANGES_THE_FORM = """
from checkin import outbox, outbox_forms
before = outbox.Outbox.__init__
def begin(self, *given, **named):
    before(self, *given, **named)
    self._db.execute("create table if not exists more (than text)")
outbox.Outbox.__init__ = begin
"""


@pytest.fixture
def version(tmp_path):
    """Make the programs of a version of which `broken` is said before each begins."""

    def make(**broken):
        folder = tmp_path / "bin"
        folder.mkdir()
        for program, package in (("vaora-kiosk", "kiosk"), ("vaora-sync", "sync_daemon")):
            file = folder / program
            file.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                f"if sys.argv[-1] == 'run':\n    exec({broken.get(package, '')!r}, globals())\n"
                f"from {package}.__main__ import main\nmain(prog_name={program!r})\n"
            )
            file.chmod(0o755)
        return Programs(folder, as_users=False)

    return make


@pytest.fixture
def rehearsed(tmp_path):
    file = tmp_path / "kiosk.toml"

    def rehearse_it(programs, longest_s=60.0, text='seal = "off"\n'):
        file.write_text(text)
        return rehearse(programs, Settings(seal="off"), file, SystemClock(), longest_s=longest_s)

    return rehearse_it


def test_a_made_up_check_in_goes_its_whole_way(version, rehearsed):
    assert 0 < rehearsed(version()) < 60


def test_who_lights_green_without_a_record_is_found(version, rehearsed):
    with pytest.raises(RehearsalError, match="didn't come to the receiver in time"):
        rehearsed(version(kiosk=FORGETS), longest_s=4)


@pytest.mark.parametrize("package", ["kiosk", "sync_daemon"])
def test_who_falls_is_found_with_their_last_words(version, rehearsed, package):
    with pytest.raises(RehearsalError, match="ended by itself: made to fall"):
        rehearsed(version(**{package: FALLS}))


def test_who_changes_the_form_of_the_outbox_has_no_way_back(version, rehearsed):
    with pytest.raises(RehearsalError, match="changes the form of the outbox"):
        rehearsed(version(kiosk=CHANGES_THE_FORM))


def test_who_cant_read_this_kiosks_settings_is_found(version, rehearsed):
    with pytest.raises(RehearsalError, match="it can't read .*kiosk.toml: Error: .*colour"):
        rehearsed(version(), text='colour = "green"\n')
