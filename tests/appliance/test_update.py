"""Updates in a booted Debian 13: over the air, rehearsed, tried, and gone back from.

The package of this version is installed; later ones are the same code under a higher number, some
of them broken on purpose. The tests run in their order, as a kiosk's life does.
"""

import itertools
import json
import re
import subprocess
import sys

import msgspec
import pytest

from checkin import settings
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Policy, Settings
from provisioning.fleet_folder import written
from tests.appliance.repacked import repacked, without_other_wheels
from tests.appliance.test_appliance import (
    KIOSK,
    NO_PROMPT,
    SYNC,
    at_the_central,
    install,
    shown,
    status,
    wait_for_more,
)
from tests.fleet import MadeUpFleet
from tests.system.conftest import code_frames, wait_until

UPDATE = "vaora-update.service"
TOLD = "/var/lib/vaora-updates/told.json"

# Half an hour, ten minutes and six hours in the units; here as long as the suite has.
WELL_S, LONGEST_S, REHEARSAL_S = 3, 30, 6
PATIENCE_S = 60

TIMER = (
    "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\nAccuracySec=100ms\nOnBootSec=1\n"
)
SERVICE = f"""[Service]
ExecStart=
ExecStart=/usr/lib/vaora/current/bin/vaora-update --well {WELL_S} --longest {LONGEST_S} \
--rehearsal {REHEARSAL_S}
"""

# Green without a record: what no health file shows.
FORGETS = {"kiosk/loop.py": "\nKioskLoop._record = lambda self, accepted, now: True\n"}
# What only happens at the real door, and no rehearsal shows.
FALLS = {
    "kiosk/__main__.py": """
_serve_well = _serve
def _serve(loaded, *others):
    if loaded.kiosk.data_dir == "/var/lib/vaora":
        sys.exit("made to fall")
    _serve_well(loaded, *others)
"""
}


@pytest.fixture(scope="module")
def made(fleet):
    """The fleet's own folder, as the technician's laptop has it; its broker is running."""
    made = MadeUpFleet.__new__(MadeUpFleet)
    object.__setattr__(made, "folder", fleet.made.folder)
    changed = msgspec.structs.replace(made.settings, broker_port=fleet.broker.port)
    made.folder.settings_file.write_text(written(changed), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def kiosk(machine, fleet, made, package):
    """A kiosk that serves, and whose check-ins are confirmed."""
    code_frames(machine.shared / "frames", 8, blank=8)
    machine.run("cp", "--recursive", "/mnt/shared/frames", "/opt/frames")
    install(machine, package, offline=True)
    wanted = Settings(
        seal="off",
        kiosk=Kiosk(id="k1", checkpoint="cp"),
        door=Door(hold_off_s=1),
        policy=Policy(authority=made.folder.settings_public.read_text().strip()),
        camera=Camera(source="replay", path="/opt/frames", repeat=True),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(min_free_mb=1),
        broker=Broker(
            host="127.0.0.1", port=fleet.broker.port, wait_initial_s=0.2, wait_max_s=1.0,
            answer_s=3.0, update_spread_s=0,
        ),
    )  # fmt: skip
    machine.write("/etc/vaora/kiosk.toml", settings.as_toml(wanted))
    for name, source in (("ca.pem", "ca.pem"), ("kiosk.pem", "k1.pem")):
        machine.write(f"/etc/vaora/{name}", (fleet.folder / source).read_text())
    machine.write("/etc/credstore/vaora.key", (fleet.folder / "k1.key").read_text(), mode="600")
    machine.write("/etc/systemd/system/vaora-update.timer.d/test.conf", TIMER)
    machine.write(f"/etc/systemd/system/{UPDATE}.d/test.conf", SERVICE)
    machine.run("systemctl", "daemon-reload")
    fleet.broker.start()
    fleet.start_central()
    machine.run("systemctl", "restart", "vaora.target")
    wait_until(lambda: len(at_the_central(fleet)) >= 3, 30, "check-ins at the central")
    return machine


def release(made, package, *options):
    """As the technician does it."""
    command = [sys.executable, "-m", "provisioning", "release", "--fleet", str(made.folder.root)]
    done = subprocess.run(
        [*command, *map(str, options), str(package)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(kiosk):
    said = kiosk.run("cat", TOLD, check=False)
    return json.loads(said.stdout) if said.returncode == 0 else {}


def version(kiosk):
    return kiosk.run("vaora-kiosk", "--version").stdout.split()[-1]


def running(kiosk, unit=KIOSK):
    """The environment whose Python a service runs."""
    pid = kiosk.show(unit, "MainPID")
    said = kiosk.run("cat", f"/proc/{pid}/cmdline", check=False).stdout.split("\0")[0]
    return said.rpartition("/bin/")[0]


def refused(kiosk, package, patience_s=PATIENCE_S):
    """Wait until a release is refused; why."""
    version = package.name.split("_")[1]
    wait_until(lambda: told(kiosk).get("refused") == version, patience_s, f"{version} refused")
    return told(kiosk)["why"]


@pytest.fixture(scope="module")
def small(package, tmp_path_factory):
    return without_other_wheels(package, tmp_path_factory.mktemp("small"))


def test_the_units_are_right(kiosk):
    units = ["/usr/lib/systemd/system/vaora-update.service"]
    units += ["/usr/lib/systemd/system/vaora-update.timer"]
    said = kiosk.run("systemd-analyze", "verify", "--man=no", *units)
    assert said.stderr == ""
    judged = kiosk.run("systemd-analyze", "security", "--offline=yes", "--no-pager", units[0])
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)[1])
    assert exposure <= 3.0


def test_an_update_comes_over_the_air_and_a_power_cut_in_its_trial_doesnt_matter(
    kiosk, made, package, tmp_path
):
    later_one = repacked(package, "0.1.1", tmp_path)
    said = release(made, later_one, "--since", package)
    assert int(re.search(r"(\d+) bytes", said)[1]) < 1_000_000
    wait_until(lambda: told(kiosk).get("trial") == "0.1.1", PATIENCE_S, "a trial")
    kiosk.cut_power()
    wait_until(lambda: told(kiosk)["running"] == "0.1.1", PATIENCE_S, "0.1.1")
    wait_until(lambda: told(kiosk)["trial"] == "", PATIENCE_S, "an end of the trial")
    assert version(kiosk) == "0.1.1"
    wait_until(lambda: running(kiosk) == "/var/lib/vaora-updates/env-1", 10, "the update running")
    assert running(kiosk, SYNC) == "/var/lib/vaora-updates/env-1"
    wait_for_more(kiosk)
    # The journal lies in memory: what was said before the cut is gone, the check-ins aren't.
    assert not told(kiosk)["refused"]
    wait_until(lambda: status(kiosk)["waiting"] == 0, 30, "all confirmed")


def test_one_that_forgets_visitors_never_reaches_the_door(kiosk, made, small, tmp_path):
    before = kiosk.show(KIOSK, "MainPID")
    broken = repacked(small, "0.1.2", tmp_path, FORGETS)
    release(made, broken)
    why = refused(kiosk, broken)
    assert why == "the made-up check-in didn't come to the receiver in time"
    assert kiosk.show(KIOSK, "MainPID") == before
    assert version(kiosk) == "0.1.1"
    wait_until(lambda: "update-refused" in kiosk_state(made).get("faults", []), 20, "the fault")
    assert kiosk_state(made)["update"] == f"refused 0.1.2: {why}"


def kiosk_state(made):
    """Its retained state, as the fleet sees it."""
    from provisioning import fleet_broker
    from provisioning.releases import Publisher
    from sync_daemon.broker import Broker
    from sync_daemon.topics import Address

    topic = Address("cp", "k1").state
    tick = iter(range(10_000)).__next__
    publisher = Publisher(
        Broker(fleet_broker.visit(made.folder, made.settings, "test", (topic,))), tick
    )
    try:
        return json.loads(publisher.connect(topic))
    finally:
        publisher.close()


def test_one_that_falls_at_the_door_is_gone_back_from(kiosk, made, small, tmp_path):
    broken = repacked(small, "0.1.3", tmp_path, FALLS)
    release(made, broken)
    assert refused(kiosk, broken) == "vaora-kiosk ended by itself"
    wait_for_more(kiosk)
    assert running(kiosk) == "/var/lib/vaora-updates/env-1"
    dark_s = longest_silence(kiosk)
    print(f"the door was dark for {dark_s:.1f} s")
    assert dark_s < 10


def longest_silence(kiosk):
    """Seconds between two check-ins at most: visitors come every second here."""
    said = kiosk.run("journalctl", "--output=short-unix", "--unit", KIOSK, "--no-pager").stdout
    at = [float(line.split()[0]) for line in said.splitlines() if "on disk" in line]
    return max(later - before for before, later in itertools.pairwise(at))


def test_what_another_puts_there_isnt_run(kiosk):
    kiosk.run("systemctl", "stop", "vaora-update.timer", UPDATE)  # it would put it right
    kiosk.run("cp", "--archive", "/var/lib/vaora-updates/env-1", "/var/lib/vaora-updates/env-99")
    kiosk.run("ln", "-sfn", "env-99", "/var/lib/vaora-updates/current")
    assert version(kiosk) == "0.1.1"
    for wrong in ("chown vaora-sync {}/bin", "chmod g+w {}/bin/vaora-kiosk", "rm -r {}"):
        kiosk.run("sh", "-c", wrong.format("/var/lib/vaora-updates/env-99"))
        assert version(kiosk) != "0.1.1"  # the package's own
        kiosk.run("sh", "-c", "chown root /var/lib/vaora-updates/env-99/bin || true")
    kiosk.run("ln", "-sfn", "env-1", "/var/lib/vaora-updates/current")
    assert version(kiosk) == "0.1.1"
    kiosk.run("systemctl", "start", "vaora-update.timer")


def test_a_newer_package_installed_by_hand_wins(kiosk, fleet, package, tmp_path):
    by_hand = repacked(package, "0.1.5", tmp_path)
    install(kiosk, by_hand, offline=True)
    assert version(kiosk) == "0.1.5"
    assert told(kiosk)["running"] == ""
    assert kiosk.run("ls", "/var/lib/vaora-updates").stdout.split() == ["ledger.json", "told.json"]
    wait_for_more(kiosk)
    greens = set(shown(kiosk))  # more are coming all the time
    wait_until(lambda: greens <= set(at_the_central(fleet)), 30, "each green at the central")
    arrived = at_the_central(fleet)
    assert arrived == list(range(1, len(arrived) + 1))
    kiosk.run(*NO_PROMPT, "dpkg", "--purge", "vaora")
    assert "vaora-updates" not in kiosk.run("ls", "/var/lib").stdout.split()
