"""The package in a booted Debian 13: from the first installation to the last purge.

The tests run in their order and each goes on where the one before ended, as a kiosk's life does.
"""

import json
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from checkin import settings
from checkin.seal import CentralKey, new_private_key
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from tests.appliance.conftest import BEFORE
from tests.system.conftest import code_frames, wait_until

KIOSK, SYNC = "vaora-kiosk.service", "vaora-sync.service"
PROBE = Path(__file__).parent / "probe.py"
NO_PROMPT = ("env", "DEBIAN_FRONTEND=noninteractive")

OTHERS = ("vaora.target", "vaora-folders.service")
UNITS = [f"/usr/lib/systemd/system/{unit}" for unit in (KIOSK, SYNC, *OTHERS)]

# What a dry run says it would do.
DRY_RUN = ("Would ", "Running ")

# How many the outbox of this test takes.
FULL = 20
VISITORS = 8

# systemd's own doings around a restart, on a busy machine.
MARGIN_S = 15


def install(machine, package, **how):
    shutil.copy(package, machine.shared / "vaora.deb")
    return machine.run(*NO_PROMPT, "dpkg", "--install", "/mnt/shared/vaora.deb", **how)


def status(machine):
    return json.loads(machine.run("vaora-sync", "status", "--json").stdout)


def shown(machine):
    """The numbers of the check-ins that the door said were on disk, before it lit green."""
    return [int(seq) for seq in re.findall(r"check-in (\d+) on disk", machine.log(KIOSK))]


def at_the_central(fleet):
    """The numbers that the central has, looked up without getting in its way."""
    if not fleet.database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{fleet.database.as_uri()}?mode=ro", uri=True)) as db:
            return [seq for (seq,) in db.execute("select seq from checkins order by seq")]
    except sqlite3.OperationalError:  # being made just now
        return []


def wait_for_more(machine, count=3, patience_s=30):
    """Until the door has taken some more visitors."""
    before = len(shown(machine))
    wait_until(lambda: len(shown(machine)) >= before + count, patience_s, "more check-ins")


def restarts(machine, unit):
    return int(machine.show(unit, "NRestarts"))


def begun_anew(machine, unit, before):
    """Whether systemd has started it again, and there is a process that can be killed."""
    return restarts(machine, unit) > before and machine.show(unit, "MainPID") != "0"


def configure(machine, fleet, **broker):
    """The settings of this kiosk, in the file that the package brought."""
    wanted = Settings(
        seal=CentralKey(fleet.central_key).public,
        kiosk=Kiosk(id="k1", checkpoint="cp"),
        door=Door(hold_off_s=1),
        camera=Camera(source="replay", path="/opt/frames", repeat=True),
        panel=Panel(kind="terminal"),
        outbox=settings.Outbox(limit_rows=FULL, min_free_mb=1),
        broker=Broker(
            host="127.0.0.1",
            port=fleet.broker.port,
            wait_initial_s=0.2,
            wait_max_s=1.0,
            answer_s=3.0,
            **broker,
        ),
    )
    machine.write("/etc/vaora/kiosk.toml", settings.as_toml(wanted))
    for name, source in (("ca.pem", "ca.pem"), ("kiosk.pem", "k1.pem")):
        machine.write(f"/etc/vaora/{name}", (fleet.folder / source).read_text())


@pytest.fixture(scope="module")
def kiosk(machine, fleet, package_before):
    """The version before, installed and configured; the broker is not there yet."""
    fleet.central_key = new_private_key()
    code_frames(machine.shared / "frames", VISITORS, blank=8)
    machine.run("cp", "--recursive", "/mnt/shared/frames", "/opt/frames")
    return machine


def test_it_installs_without_a_network_and_says_what_it_lacks(kiosk, fleet, package_before):
    install(kiosk, package_before, offline=True)
    assert kiosk.run("vaora-kiosk", "--version").stdout.split()[-1] == BEFORE
    for unit in (KIOSK, SYNC, "vaora.target"):
        assert kiosk.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
    wait_until(lambda: "seal is missing" in kiosk.log(KIOSK), 20, "what the kiosk lacks")
    assert kiosk.show(SYNC, "ActiveState") == "active"


def test_the_door_serves_without_broker_and_key_until_its_outbox_is_full(kiosk, fleet):
    configure(kiosk, fleet)
    kiosk.run("systemctl", "restart", "vaora.target")
    wait_until(lambda: kiosk.show(KIOSK, "ActiveState") == "active", 20, "a kiosk that is ready")
    wait_until(lambda: status(kiosk)["waiting"] == FULL, 60, "a full outbox")
    wait_until(lambda: "outbox-full" in status(kiosk)["faults"], 20, "the fault")
    assert shown(kiosk) == list(range(1, FULL + 1))
    # The key of its certificate isn't there yet: it waits, and isn't restarted for it.
    assert restarts(kiosk, SYNC) == 0
    assert "vaora.key" in status(kiosk)["certificate_trouble"]


@pytest.mark.parametrize(
    "command",
    [
        # Whatever verify has to say is said on its standard error; nothing is what it should say.
        ["systemd-analyze", "verify", "--man=no", *UNITS],
        ["systemd-sysusers", "--dry-run", "vaora.conf"],
        ["systemd-tmpfiles", "--dry-run", "--create", "vaora.conf"],
        ["udevadm", "verify", "/usr/lib/udev/rules.d/60-vaora.rules"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_systemd_finds_nothing_wrong(kiosk, command):
    said = kiosk.run(*command)
    found = [line for line in said.stderr.splitlines() if not line.startswith(DRY_RUN)]
    assert found == []


@pytest.mark.parametrize("unit", [KIOSK, SYNC])
def test_a_service_can_do_little(kiosk, unit):
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager"]
    judged = kiosk.run(*command, "--threshold=15", f"/usr/lib/systemd/system/{unit}")
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)[1])
    print(f"{unit}: exposure {exposure}")
    assert exposure <= 1.5


def test_an_upgrade_keeps_the_settings_and_a_full_outbox(kiosk, fleet, package):
    before = kiosk.run("cat", "/etc/vaora/kiosk.toml").stdout
    install(kiosk, package, offline=True)
    version = package.name.split("_")[1]
    assert kiosk.run("vaora-kiosk", "--version").stdout.split()[-1] == version
    assert kiosk.run("cat", "/etc/vaora/kiosk.toml").stdout == before
    assert kiosk.run("dpkg-query", "-Wf", "${db:Status-Status}", "vaora").stdout == "installed"
    wait_until(lambda: kiosk.show(KIOSK, "ActiveState") == "active", 20, "a kiosk that is ready")
    assert status(kiosk)["waiting"] == FULL
    running = kiosk.show(KIOSK, "MainPID")
    assert f"env-{version}." in kiosk.run("cat", f"/proc/{running}/cmdline").stdout
    environments = kiosk.run("find", "/usr/lib/vaora", "-maxdepth", 1, "-name", "env-*").stdout
    assert len(environments.split()) == 1


def test_a_scan_becomes_a_light_and_is_confirmed_by_the_central_outside(kiosk, fleet):
    key = (fleet.folder / "k1.key").read_text()
    kiosk.write("/etc/credstore/vaora.key", key, mode="600")
    kiosk.write("/run/systemd/timesync/synchronized", "")  # as systemd-timesyncd does
    fleet.broker.start()
    fleet.start_central()
    kiosk.run("systemctl", "restart", SYNC)
    wait_until(lambda: len(at_the_central(fleet)) >= FULL, 30, "what waited at the central")
    wait_for_more(kiosk, 5)
    wait_until(lambda: status(kiosk)["confirmed"] >= FULL + 5, 30, "confirmed")
    assert "panel accepted-in" in kiosk.log(KIOSK)
    assert_nothing_lost(kiosk, fleet)


def assert_nothing_lost(kiosk, fleet):
    """Each check-in that was shown is at the central, once, and there is no gap."""
    there = shown(kiosk)
    assert there == list(range(1, len(there) + 1))
    wait_until(lambda: set(there) <= set(at_the_central(fleet)), 30, "all that was shown")
    arrived = at_the_central(fleet)
    assert arrived == list(range(1, len(arrived) + 1))


def test_what_hangs_is_ended_by_its_watchdog_and_begins_anew(kiosk, fleet):
    # Half a minute and a minute in the units; here as long as the suite has.
    assert [kiosk.show(unit, "WatchdogUSec") for unit in (KIOSK, SYNC)] == ["30s", "1min"]
    watchdog_s = 12
    for unit in (KIOSK, SYNC):
        shorter = f"[Service]\nWatchdogSec={watchdog_s}\n"
        kiosk.write(f"/run/systemd/system/{unit}.d/test.conf", shorter)
    kiosk.run("systemctl", "daemon-reload")
    kiosk.run("systemctl", "restart", KIOSK, SYNC)
    hung = {unit: restarts(kiosk, unit) for unit in (KIOSK, SYNC)}
    ended_s = {}
    began = time.monotonic()
    for unit in hung:
        kiosk.run("systemctl", "kill", "--signal=STOP", unit)

    def all_ended():
        for unit in hung.keys() - ended_s.keys():
            if restarts(kiosk, unit) == hung[unit] + 1:
                ended_s[unit] = round(time.monotonic() - began, 1)
        return ended_s.keys() == hung.keys()

    # RestartSec= of the daemon, and SIGABRT's time for a process that can't take it.
    wait_until(all_ended, watchdog_s + 5 + 5 + MARGIN_S, "the watchdog's bite")
    print(f"watchdog of {watchdog_s} s: hung processes begun anew after {ended_s} s")
    # systemd hears at least every quarter: earlier would be an end for another reason.
    assert min(ended_s.values()) > watchdog_s * 3 / 4 - 1
    wait_for_more(kiosk)
    for unit in hung:
        assert "Watchdog timeout" in kiosk.log(unit)
    assert_nothing_lost(kiosk, fleet)


def test_the_doctor_finds_all_well(kiosk):
    said = kiosk.run("vaora-kiosk", "doctor", "--json", check=False)
    found = json.loads(said.stdout)
    told = {part["part"]: part["told"] for part in found["parts"]}
    assert [part["part"] for part in found["parts"] if part["well"] is False] == []
    # Visitors come without a pause here, and their greens go first.
    unknown = [part["part"] for part in found["parts"] if part["well"] is None]
    assert unknown in ([], ["lights"])
    assert told["certificate"] in {"good for 364 days", "good for 365 days"}
    assert (said.returncode, found["well"], found["kiosk"]) == (0, True, "k1")
    assert "frames a second" in told["camera"]
    assert told["outbox"].startswith("sound, ")
    assert told["central"].startswith("first receipt ")


def test_killed_again_and_again_neither_is_given_up(kiosk, fleet):
    # systemd's own limit is five starts in ten seconds.
    kiosk.write(f"/run/systemd/system/{SYNC}.d/test.conf", "[Service]\nRestartSec=100ms\n")
    kiosk.run("systemctl", "daemon-reload")
    began = time.monotonic()
    for _ in range(7):
        before = {unit: restarts(kiosk, unit) for unit in (KIOSK, SYNC)}
        for unit in before:
            kiosk.run("systemctl", "kill", "--signal=KILL", unit)
        wait_until(
            lambda: all(begun_anew(kiosk, unit, count) for unit, count in before.items()),  # noqa: B023
            MARGIN_S,
            "a restart of both",
        )
    print(f"7 restarts in {time.monotonic() - began:.1f} s")
    wait_for_more(kiosk)
    wait_until(lambda: kiosk.show(SYNC, "ActiveState") == "active", 20, "a daemon again")
    assert_nothing_lost(kiosk, fleet)


def test_folders_that_somebody_removed_are_made_again(kiosk, fleet):
    kiosk.run("rm", "--recursive", "/run/vaora")
    for unit in (KIOSK, SYNC):
        kiosk.run("systemctl", "kill", "--signal=KILL", unit)
    wait_for_more(kiosk)
    wait_until(lambda: status(kiosk)["broker"] == "online", 20, "a daemon again")
    assert_nothing_lost(kiosk, fleet)


def test_who_is_disabled_stays_so(kiosk):
    kiosk.run("systemctl", "disable", "--now", SYNC)
    kiosk.run("systemctl", "restart", "vaora.target")
    assert kiosk.show(SYNC, "ActiveState") == "inactive"
    kiosk.run("systemctl", "enable", "--now", SYNC)
    wait_until(lambda: kiosk.show(KIOSK, "ActiveState") == "active", 20, "a kiosk that is ready")


@pytest.fixture(scope="module")
def probed(kiosk):
    """What a program finds that runs as each unit does."""
    kiosk.write("/opt/probe.py", PROBE.read_text())
    kiosk.run("cp", "/usr/bin/id", "/usr/local/bin/setuid-id")
    kiosk.run("chmod", "4755", "/usr/local/bin/setuid-id")
    kiosk.run("touch", "/dev/gpiochip9")
    kiosk.run("chmod", "666", "/dev/gpiochip9")
    found = {}
    for name, unit in (("kiosk", KIOSK), ("sync", SYNC)):
        text = kiosk.run("systemctl", "cat", unit).stdout
        text = re.sub(r"(?m)^(Type|ExecStart|Restart|WatchdogSec)=.*$", "", text)
        run = f"/usr/bin/python3 /opt/probe.py /run/vaora/probe-{name}"
        text = text.replace("[Service]", f"[Service]\nType=oneshot\nExecStart={run}", 1)
        kiosk.write(f"/run/systemd/system/probe-{name}.service", text)
        kiosk.run("systemctl", "daemon-reload")
        kiosk.run("systemctl", "start", f"probe-{name}.service")
        found[name] = json.loads(kiosk.run("cat", f"/run/vaora/probe-{name}").stdout)
    # The probe does find what is open: without a sandbox it can do nearly everything.
    kiosk.run("python3", "/opt/probe.py", "/run/probe-free")
    found["free"] = json.loads(kiosk.run("cat", "/run/probe-free").stdout)
    kiosk.run("rm", "/tmp/probe-was-here")  # noqa: S108
    return found


def done(found, kind):
    return sorted(what for what, how in found.items() if what.startswith(kind) and how == "done")


def test_the_probe_bites_where_nothing_is_closed(probed):
    free = probed["free"]
    assert "socket AF_INET" in done(free, "socket ")
    assert {"write /etc", "write /usr", "write /dev/shm"} <= set(done(free, "write "))
    assert free["pretended device"] == "done"
    assert free["a set-uid program's uid"] == 0
    assert free["listen"] == free["unshare"] == free["shadow"] == "done"


def test_the_kiosk_has_no_socket_out(probed):
    assert done(probed["kiosk"], "socket ") == ["socket AF_NETLINK", "socket AF_UNIX"]
    assert probed["kiosk"]["interfaces"] == ["lo"]
    assert probed["kiosk"]["listen"] != "done"


def test_the_daemon_has_the_network_as_a_client_and_no_device(probed):
    sync = probed["sync"]
    assert done(sync, "socket ") == ["socket AF_INET", "socket AF_INET6", "socket AF_UNIX"]
    assert sync["pretended device"] == "No such file or directory"
    assert not {one for one in sync["devices"] if one.startswith(("gpio", "video", "media"))}
    assert sync["listen"] == "Operation not permitted"


@pytest.mark.parametrize("name", ["kiosk", "sync"])
def test_neither_writes_outside_its_state(kiosk, probed, name):
    assert done(probed[name], "write ") == ["write /run/vaora", "write /var/lib/vaora"]
    # Its /tmp is its own.
    assert kiosk.run("ls", "/tmp/probe-was-here", check=False).returncode == 2  # noqa: S108


@pytest.mark.parametrize("name", ["kiosk", "sync"])
def test_neither_gets_new_privileges_or_sees_others(probed, name):
    found = probed[name]
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0
    assert found["a set-uid program's uid"] == found["uid"] != 0
    for what in ("unshare", "mount", "ptrace", "kill", "clock", "write and run memory", "shadow"):
        assert found[what] != "done", what
    assert found["processes"] == [found["uid"]]
    assert found["core"] == 0


def test_only_the_daemon_has_the_key_and_nobody_but_root_the_store(probed):
    assert probed["sync"]["credential"] == "done"
    assert probed["kiosk"]["credential"] != "done"
    for name in ("kiosk", "sync"):
        assert probed[name]["store of credentials"] != "done"
        assert probed[name]["credentials written"] != "done"


def test_a_purge_leaves_what_nobody_else_has_and_names_it(kiosk, fleet, package):
    fleet.broker.stop()
    wait_for_more(kiosk)
    waiting = status(kiosk)["waiting"]
    assert waiting > 0
    # Of a package that is only unpacked (an upgrade that was cut off) dpkg runs no prerm.
    kiosk.run("dpkg", "--unpack", "/mnt/shared/vaora.deb")
    said = kiosk.run(*NO_PROMPT, "dpkg", "--purge", "vaora").stdout
    assert re.search(r"/var/lib/vaora/outbox.db \([1-9][0-9]* check-ins\)", said)
    assert kiosk.run("pgrep", "--full", "/usr/lib/vaora", check=False).stdout == ""
    left = kiosk.run("find", "/var/lib/vaora", "-type", "f").stdout.split()
    assert {Path(one).name for one in left} <= {"outbox.db", "outbox.db-wal", "outbox.db-shm"}
    assert leftovers(kiosk) == ["/var/lib/vaora"]
    shutil.rmtree(kiosk.shared / "left", ignore_errors=True)
    kiosk.run("cp", "-a", "/var/lib/vaora", "/mnt/shared/left")
    with sqlite3.connect(kiosk.shared / "left" / "outbox.db") as db:
        (rows,) = db.execute("select max(seq) from checkins").fetchone()
    assert rows == shown(kiosk)[-1]


def test_installed_again_it_goes_on_where_it_was_and_a_purge_leaves_nothing(kiosk, fleet, package):
    install(kiosk, package, offline=True)
    configure(kiosk, fleet)
    kiosk.write("/etc/credstore/vaora.key", (fleet.folder / "k1.key").read_text(), mode="600")
    fleet.broker.start()
    kiosk.run("systemctl", "restart", "vaora.target")
    wait_for_more(kiosk)
    kiosk.run("systemctl", "stop", KIOSK)
    wait_until(lambda: status(kiosk)["waiting"] == 0, 30, "an empty outbox")
    assert_nothing_lost(kiosk, fleet)
    said = kiosk.run(*NO_PROMPT, "dpkg", "--purge", "vaora").stdout
    assert "kept" not in said
    assert leftovers(kiosk) == []
    users = kiosk.run("cat", "/etc/passwd", "/etc/group", "/etc/shadow").stdout
    assert "vaora" not in users


def leftovers(machine):
    """What of the package's is still there, by its name."""
    looked = ("/etc", "/usr", "/var", "/run", "/home", "/opt", "/srv", "/root")
    found = machine.run("find", *looked, "-xdev", "-name", "*vaora*", "-prune", "-print").stdout
    kept = ("/var/lib/dpkg/", "/var/log/", "/run/systemd/", "/var/lib/systemd/")
    return sorted(one for one in found.split() if not one.startswith(kept))
