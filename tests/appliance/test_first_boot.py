"""A card's first boot in a booted Debian 13: real cloud-init, package, broker, and enrolment.

One card, whose power is cut at the beginning of every step: each boot goes on where the one before
was ended. The tests run in their order and each goes on where the one before ended.
"""

import json
import random
import re
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from checkin.blinks import STEPS
from checkin.claim import Token
from demo.programs import Program
from provisioning import tokens
from provisioning.seed import SCRIPT, Secrets
from tests import fleet
from tests.appliance import card
from tests.appliance.machine import Machine
from tests.system.conftest import code_frames, wait_until

KIOSK, SYNC = "vaora-kiosk.service", "vaora-sync.service"
FIRST_BOOT = "vaora-first-boot.service"
VISITORS = 8

# One step, on a busy machine; the packages' takes longest.
STEP_S = 60

# The script's own; the last of the list is the daemon's.
TAKEN = STEPS[:-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fleet with its broker, whose port the card knows; nobody answers claims yet."""
    folder = tmp_path_factory.mktemp("fleet")
    made = fleet.made_up(folder / "fleet")
    with made.served():
        programs = []
        yield SimpleNamespace(fleet=made, folder=folder, programs=programs)
        for program in programs:
            program.stop()


def secrets(made, **how):
    """What a new card gets; an earlier one's token counts no more."""
    token, tls = made.fleet.card(card.KIOSK, card.CHECKPOINT, **how)
    return Secrets(Path(tls.cert_file).read_bytes(), token.text)


@pytest.fixture(scope="module")
def kiosk(made, package, debian_13, tmp_path_factory):
    written = tmp_path_factory.mktemp("card")
    made.secrets = secrets(made)
    card.make(written, made.fleet, package, made.secrets)
    code_frames(written / "opt" / "frames", VISITORS, blank=8)
    disk = card.disk(tmp_path_factory.mktemp("disk") / "card.img", debian_13)
    machine = Machine(debian_13, tmp_path_factory.mktemp("shared"), written, disk)
    yield machine
    print("\n".join(line for line in machine.said() if "first boot" in line))
    machine.close()


def on_the_boot_partition(machine):
    found = machine.run("find", "/boot/firmware", "-type", "f").stdout.split()
    return {name.rpartition("/")[2] for name in found}


def begins(number):
    return f"step {number} of {len(TAKEN)}, {TAKEN[number - 1]}"


# Beside the beginning of each step: packages half unpacked, and half configured.
CUTS = [[begins(1)], ["Unpacking vaora"], ["Setting up vaora"]]
CUTS += [[begins(number)] for number in range(2, len(TAKEN) + 1)]
# And as it begins anew by itself, into the root that nothing is written to.
CUTS += [["booting once more"]]


def test_the_power_is_cut_as_each_step_begins_and_it_goes_on(kiosk):
    """Where a step was over before the power was, the next one's beginning is as good."""
    cut = []
    for number, words in enumerate(CUTS):
        kiosk.cut_power_at(*words, *(word for later in CUTS[number + 1 :] for word in later))
        cut.append(kiosk.wait_for_cut(STEP_S))
        print(cut[-1])
        if CUTS[-1][0] in cut[-1]:
            break
    assert len(set(cut)) > len(CUTS) / 2, cut


def test_the_door_serves_before_it_is_enrolled(kiosk):
    kiosk.wait_for_boot()
    wait_until(lambda: "on disk" in kiosk.log(KIOSK), STEP_S, "a check-in on disk")
    wait_until(lambda: enrolment(kiosk)["standing"] == "waiting", STEP_S, "a claim that waits")
    assert "panel first-boot" not in kiosk.log(KIOSK)


def test_nothing_is_left_of_the_seed(kiosk, made):
    assert on_the_boot_partition(kiosk) == {"user-data", "meta-data", "network-config"}
    assert kiosk.run("systemctl", "is-enabled", FIRST_BOOT, check=False).returncode != 0
    assert kiosk.run("ls", "-A", "/usr/local/lib").stdout.split() == ["python3.13"]
    assert kiosk.run("cloud-init", "status", check=False).stdout.strip() == "status: disabled"
    names = kiosk.run("find", "/var/lib/vaora-identity", "-printf", "%f %m %u\\n").stdout
    assert "claim.token 600 vaora-sync" in names
    # What is secret is where it is used, and nowhere else.
    places = ["/boot", "/etc", "/var", "/usr/local", "/root", "/home"]
    for secret, user in ((made.secrets.token, "claim.token"), (card.PASSWORD, card.NETPLAN)):
        found = kiosk.run("grep", "-rlF", secret, *places, check=False).stdout.split()
        assert [name for name in found if user not in name] == []
    assert kiosk.run("stat", "--format=%a %U", card.NETPLAN).stdout == "600 root\n"


def test_the_data_lies_on_the_partition_that_was_grown_to_the_cards_end(kiosk):
    for place in ("vaora", "vaora-identity", "vaora-updates"):
        source = kiosk.run("findmnt", "--noheadings", "--output", "SOURCE", f"/var/lib/{place}")
        assert re.match(r"/dev/loop\d+p3\[/\w+\]", source.stdout), source.stdout
    assert kiosk.run("ls", "/var/lib/vaora-data/state/outbox.db")
    size = kiosk.run("df", "--block-size=1M", "--output=size", "/var/lib/vaora-data").stdout
    assert int(size.split()[-1]) > 300
    lines = [line.split() for line in kiosk.run("cat", "/etc/fstab").stdout.splitlines()]
    assert [len(line) for line in lines if "/var/lib/" in str(line)] == [
        6
    ] * 4  # overlayroot's need
    assert sum(line[:1] != ["#"] and "bind" in str(line) for line in lines) == 3


def test_the_next_boot_has_a_root_that_nothing_is_written_to(kiosk):
    said = kiosk.run("cat", "/etc/overlayroot.conf").stdout
    assert 'overlayroot="tmpfs:recurse=0"' in said
    assert (
        kiosk.run("systemctl", "is-enabled", "apt-daily.timer", check=False).stdout != "enabled\n"
    )


def test_each_step_was_counted_out_in_amber(kiosk):
    """The first boot's, of which the power was cut as the first step began or soon after."""
    told = kiosk.run("cat", card.PINS).stdout.splitlines()
    assert told[:2] == ["set 27 op dh", "set 17 op dh"]
    # In its last whole pass through the four that come again until they are all done.
    amber = {f"set {pin} op {level}" for pin in (17, 27) for level in ("dh", "dl")}
    assert amber <= set(told)
    # Of a failure at most the first flash: the last cut ends one process after the other, and the
    # script may live to see systemctl end.
    assert set(told) - amber <= {"set 22 op dh"}


def test_a_package_that_was_changed_on_the_card_is_not_installed(kiosk):
    kiosk.write("/root/first-boot.sh", SCRIPT.read_text())
    seed = "/boot/firmware/vaora"
    kiosk.run("mkdir", "-p", f"{seed}/packages")
    kiosk.write(f"{seed}/packages.sha256", f"{'0' * 64}  vaora.deb\n")
    kiosk.write(f"{seed}/vaora.deb", "other bytes")
    try:
        step = kiosk.run("sh", "/root/first-boot.sh", "step", "packages", check=False)
    finally:
        kiosk.run("rm", "-r", seed, "/root/first-boot.sh")
    assert step.returncode != 0
    assert "write the card again" in step.stdout


def enrolment(machine):
    return json.loads(machine.run("vaora-sync", "enrolment", "--json").stdout)


def start(made, name, *arguments):
    program = Program(name, [sys.executable, "-m", *map(str, arguments)])
    made.programs.append(program)


def at_the_central(made):
    if not made.database.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{made.database.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute("select count(*) from checkins").fetchone()[0]
    except sqlite3.OperationalError:  # being made just now
        return 0


def test_it_is_enrolled_once_and_what_it_scans_is_confirmed(kiosk, made):
    root = made.fleet.folder.root
    made.database = root / "central.db"
    port = made.fleet.settings.broker_port
    start(made, "enrol", "provisioning", "enrol", "--fleet", root)
    start(
        made, "central", "central", "run", "--database", made.database, "--host", "127.0.0.1",
        "--port", port, "--ca-file", made.fleet.folder.ca,
        "--cert-file", made.fleet.folder.central / "central.pem",
        "--tls-key-file", made.fleet.folder.central / "central.key",
    )  # fmt: skip
    wait_until(lambda: enrolment(kiosk)["standing"] == "enrolled", STEP_S, "a certificate")
    wait_until(lambda: at_the_central(made) >= VISITORS, STEP_S, "check-ins at the central")
    wait_until(lambda: "confirmed" in kiosk.run("vaora-sync", "status").stdout, STEP_S, "receipts")
    with made.fleet.register() as register:
        assert len([one for one in register.certificates() if one.name == card.KIOSK]) == 1
    left = kiosk.run("ls", "-A", "/var/lib/vaora-identity").stdout.split()
    assert left == ["kiosk.pem"]


def replace_claim(machine, card_secrets):
    """As a technician does who was given new ones: the daemon finds them."""
    owned = ["--owner=vaora-sync", "--group=vaora", "--mode=600"]
    for name, content in (
        ("claim.token", card_secrets.token),
        ("claim.pem", card_secrets.claim_pem),
    ):
        beside = machine.shared / "written"
        beside.write_bytes(content if isinstance(content, bytes) else content.encode())
        machine.run("install", *owned, "/mnt/shared/written", f"/var/lib/vaora-identity/{name}")
    machine.run("rm", "-f", "/var/lib/vaora-identity/kiosk.pem")
    machine.run("systemctl", "restart", SYNC)


def used(made):
    return made.secrets


def forged(made):
    """Of this fleet, and yet not what it made: the right fingerprint can't be had without it."""
    return Secrets(secrets(made).claim_pem, Token(bytes(16)).text)


def expired(made):
    """A drawer's: the card's credential still opens the broker, the token's time is over."""
    with made.fleet.register() as register:
        late = tokens.new_token(
            register, card.KIOSK, card.CHECKPOINT, at=fleet.now() - timedelta(days=30), days=1,
            random=random.randbytes,
        )  # fmt: skip
    return Secrets(made.secrets.claim_pem, late.text)


@pytest.mark.parametrize(
    ("claim", "why"),
    [(used, "refused: used"), (expired, "refused: expired"), (forged, "refused: unknown")],
)
def test_a_token_that_is_no_good_is_refused_and_it_says_so(kiosk, made, claim, why):
    replace_claim(kiosk, claim(made))
    wait_until(lambda: enrolment(kiosk)["standing"] == why, STEP_S, why)
    said = kiosk.run("vaora-sync", "enrolment").stdout
    assert "new card" in said
    before = len(kiosk.log(KIOSK))
    wait_until(lambda: len(kiosk.log(KIOSK)) > before, STEP_S, "visitors that are served")
