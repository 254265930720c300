"""Root's updater on a real disk, with a machine that does what it is told."""

import hashlib
import threading

import msgspec
import pytest

from checkin import signed_list, updates
from checkin.clock import Moment
from checkin.cose import SigningKey
from checkin.signed_list import Release
from provisioning.machine import MachineError
from provisioning.rehearsal import RehearsalError
from provisioning.trial import MOST_BOOTS, Limits, Seen
from provisioning.updater import CURRENT, LEDGER, MOST_ATTEMPTS, Ledger, Places, Updater

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)
PACKAGE = b"a made-up package"
MUCH = 10**12


class PowerCutError(Exception):
    """The machine ends here."""


class FakeMachine:
    """Keeps what it was told. `cut_at` is the step at which the power goes."""

    def __init__(self):
        self.restarts = 0
        self.ended = ()
        self.seen = {"online": True}
        self.free = MUCH
        self.package = ("vaora", "0.2.0")
        self.cut_at = ""

    def restart(self):
        self._step("restart")
        self.restarts += 1

    def look(self, tick):
        return Seen(tick=tick, **self.seen)

    def ended_by_themselves(self):
        return self.ended

    def free_bytes(self, folder):
        return self.free

    def is_older(self, version, than):
        return version < than

    def unpack(self, package, into):
        self._step("unpack")
        assert package.read_bytes() == PACKAGE
        (into / "usr/lib/vaora/wheels").mkdir(parents=True)
        (into / "usr/lib/vaora/wheels/vaora-0.2.0.whl").write_bytes(b"ours")
        return self.package

    def make_environment(self, env, requirements, wheels):
        self._step("make")
        assert not env.exists()
        (env / "bin").mkdir(parents=True)

    def _step(self, name):
        if name == self.cut_at:
            raise PowerCutError


class Bench:
    """The three folders, and a clock that goes on a second at each look."""

    def __init__(self, folder):
        self.places = Places(folder / "updates", folder / "package", folder / "arrived")
        for place in (self.places.folder, self.places.package / "wheels", self.places.arrived):
            place.mkdir(parents=True)
        self.machine = FakeMachine()
        self.boot = "boot-1"
        self.tick = 0.0
        self.rehearsed = []
        self.fails = None

    def moment(self):
        self.tick += 1
        return Moment(None, self.tick, self.boot, synced=True)

    def rehearse(self, programs):
        self.rehearsed.append(programs)
        if self.fails is not None:
            raise self.fails

    def arrive(self, number=1, key=KEY, content=PACKAGE, **changed):
        release = Release(
            number, "2026-11-22T00:00:00+00:00", "0.2.0", "arm64", len(content),
            hashlib.sha256(content).hexdigest(),
        )  # fmt: skip
        release = msgspec.structs.replace(release, **changed)
        (self.places.arrived / updates.RELEASE).write_bytes(signed_list.sign(release, key))
        (self.places.arrived / updates.PACKAGE).write_bytes(content)

    def updater(self, version="0.1.0"):
        stopped = threading.Event()
        stopped.wait = lambda _seconds: None  # the clock here goes by itself
        return Updater(
            self.places, self.machine, self, authority=KEY.public, arch="arm64",
            rehearse=self.rehearse, stopped=stopped, limits=Limits(well_s=30, longest_s=300),
            version=version,
        )  # fmt: skip

    def run(self):
        self.updater().run()

    @property
    def told(self):
        return updates.read_told(self.places.folder)

    @property
    def linked(self):
        link = self.places.folder / CURRENT
        return str(link.readlink()) if link.is_symlink() else ""

    @property
    def environments(self):
        return sorted(one.name for one in self.places.folder.glob("env-*"))

    @property
    def nothing_changed(self):
        return not self.linked and not self.environments and not self.machine.restarts


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_version_that_serves_is_in_force(bench):
    bench.arrive()
    bench.run()
    assert bench.rehearsed == [bench.places.folder / "env-1" / "bin"]
    assert (bench.linked, bench.told.running, bench.told.trial) == ("env-1", "0.2.0", "")
    assert bench.machine.restarts == 1
    assert sorted(one.name for one in bench.places.folder.iterdir()) == [
        CURRENT, "env-1", LEDGER, updates.TOLD,
    ]  # fmt: skip
    assert (bench.places.folder / "env-1/wheels/vaora-0.2.0.whl").read_bytes() == b"ours"


def test_the_one_before_goes_once_the_next_has_passed(bench):
    bench.arrive(1)
    bench.run()
    bench.machine.package = ("vaora", "0.3.0")
    bench.arrive(2, package="0.3.0")
    bench.run()
    assert (bench.linked, bench.environments) == ("env-2", ["env-2"])


@pytest.mark.parametrize(
    "wrong",
    [{"key": OTHER}, {"arch": "amd64"}, {"number": 1}, {"sha256": "0" * 64}, {"bytes": 3}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_isnt_signed_newer_and_whole_changes_nothing(bench, wrong):
    ledger = Ledger(number=1)
    (bench.places.folder / LEDGER).write_bytes(msgspec.json.encode(ledger))
    bench.arrive(**{"number": 2, **wrong})
    bench.run()
    assert bench.nothing_changed
    assert bench.rehearsed == []
    assert bench.told.refused == ""


def test_half_a_package_changes_nothing(bench):
    bench.arrive()
    (bench.places.arrived / updates.PACKAGE).write_bytes(PACKAGE[:-1])
    bench.run()
    (bench.places.arrived / updates.PACKAGE).unlink()
    bench.run()
    assert bench.nothing_changed


@pytest.mark.parametrize("name", [updates.RELEASE, updates.PACKAGE])
def test_a_link_is_not_followed(bench, tmp_path, name):
    bench.arrive()
    (bench.places.arrived / name).rename(tmp_path / "elsewhere")
    (bench.places.arrived / name).symlink_to(tmp_path / "elsewhere")
    bench.run()
    assert bench.nothing_changed


@pytest.mark.parametrize(
    ("package", "why"),
    [(("other", "0.2.0"), "the package is other"), (("vaora", "0.2.1"), "0.2.1, not vaora 0.2.0")],
)
def test_a_package_that_is_another_is_refused_for_good(bench, package, why):
    bench.machine.package = package
    bench.arrive()
    bench.run()
    assert why in bench.told.why
    assert bench.nothing_changed


def test_one_older_than_the_package_that_was_installed_is_left_and_no_fault(bench):
    bench.arrive(package="0.0.9")
    bench.run()
    assert (bench.told.number, bench.told.refused) == (1, "")
    assert bench.nothing_changed


def test_a_rehearsal_that_fails_is_the_end_of_it(bench):
    bench.fails = RehearsalError("it forgets")
    bench.arrive()
    bench.run()
    bench.run()
    assert len(bench.rehearsed) == 1
    assert bench.nothing_changed
    assert bench.told.in_words() == "refused 0.2.0: it forgets"


def test_a_disk_without_room_is_asked_again_and_not_for_ever(bench):
    bench.machine.free = 10**8
    bench.arrive()
    for _ in range(MOST_ATTEMPTS - 1):
        bench.run()
        assert bench.told.refused == ""
    bench.run()
    assert "too little room" in bench.told.why
    assert bench.nothing_changed


def test_what_fails_once_may_be_done_the_next_time(bench):
    bench.fails = MachineError("dpkg-deb: no")
    bench.arrive()
    bench.run()
    bench.fails = None
    bench.run()
    assert bench.linked == "env-1"


def test_a_version_that_ends_by_itself_is_gone_back_from_for_good(bench):
    bench.arrive()
    bench.machine.ended = ("vaora-kiosk",)
    bench.run()
    assert (bench.linked, bench.environments) == ("", [])
    assert bench.told.in_words() == "refused 0.2.0: vaora-kiosk ended by itself"
    assert bench.machine.restarts == 2
    bench.machine.ended = ()
    bench.run()
    assert bench.linked == ""


def test_it_goes_back_to_the_update_that_was_in_force(bench):
    bench.arrive(1)
    bench.run()
    bench.machine.package = ("vaora", "0.3.0")
    bench.machine.seen = {"faults": frozenset({"kiosk-silent"})}
    bench.arrive(2, package="0.3.0")
    before = bench.machine.seen
    bench.machine.seen = {"online": True}
    updater = bench.updater()
    look = bench.machine.look
    bench.machine.look = lambda tick: (
        Seen(tick, **before) if bench.linked == "env-2" else look(tick)
    )
    updater.run()
    assert (bench.linked, bench.told.running, bench.environments) == ("env-1", "0.2.0", ["env-1"])
    assert "wasn't served" in bench.told.why


@pytest.mark.parametrize("step", ["unpack", "make", "restart"])
def test_a_power_cut_in_any_step_ends_well(bench, step):
    bench.arrive()
    bench.machine.cut_at = step
    with pytest.raises(PowerCutError):
        bench.run()
    bench.machine.cut_at = ""
    bench.boot = "boot-2"
    bench.run()
    assert (bench.linked, bench.environments) == ("env-1", ["env-1"])
    assert bench.machine.restarts == 1


def test_a_power_cut_at_the_way_back_ends_with_the_one_before(bench):
    bench.arrive()
    bench.machine.ended = ("vaora-sync",)
    restart = bench.machine.restart

    def cut_the_second_time():
        if bench.machine.restarts:
            raise PowerCutError
        restart()

    bench.machine.restart = cut_the_second_time
    with pytest.raises(PowerCutError):
        bench.run()
    bench.run()
    assert (bench.linked, bench.told.running) == ("", "")


def test_a_version_that_brings_the_machine_down_runs_out_of_boots(bench):
    bench.arrive()
    look = bench.machine.look

    def ends_the_machine(tick):
        if bench.linked:
            raise PowerCutError
        return look(tick)

    bench.machine.look = ends_the_machine
    for boot in range(MOST_BOOTS + 1):
        bench.boot = f"boot-{boot}"
        with pytest.raises(PowerCutError):
            bench.run()
        assert bench.linked == "env-1"
    bench.boot = "another"
    bench.machine.look = look
    bench.run()
    assert bench.linked == ""
    assert "times in its trial" in bench.told.why


def test_a_package_installed_by_hand_wins_over_an_update_that_isnt_newer(bench):
    bench.arrive()
    bench.run()
    bench.updater("0.1.9").installed()
    assert bench.linked == "env-1"
    bench.updater("0.2.0").installed()
    assert (bench.linked, bench.environments, bench.told.running) == ("", [], "")
    bench.run()
    assert bench.linked == ""  # the release was taken already


@pytest.mark.parametrize("spoilt", [b"", b"{", b"\xff" * 100, b'{"env": 3}'])
def test_a_ledger_that_cant_be_read_is_begun_anew(bench, spoilt):
    bench.arrive()
    bench.run()
    (bench.places.folder / LEDGER).write_bytes(spoilt)
    (bench.places.arrived / updates.RELEASE).unlink()
    bench.run()
    assert (bench.linked, bench.environments) == ("", [])
