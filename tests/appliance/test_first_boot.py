"""A card's first boot in a booted Debian 13: real cloud-init, package, broker, and enrolment.

One card, whose power is cut at the beginning of every step: each boot goes on where the one before
was ended. The tests run in their order and each goes on where the one before ended.
"""

import json
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest

from checkin.blinks import STEPS
from demo.programs import Program
from tests import fleet
from tests.appliance import card
from tests.appliance.conftest import ROOT
from tests.appliance.machine import Machine
from tests.system.conftest import code_frames, wait_until

KIOSK, SYNC = "vaora-kiosk.service", "vaora-sync.service"
FIRST_BOOT = "vaora-first-boot.service"
VISITORS = 8

# One step, on a busy machine; the packages' takes longest.
STEP_S = 25

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


@pytest.fixture(scope="module")
def kiosk(made, package, debian_13, tmp_path_factory):
    token, tls = made.fleet.card(card.KIOSK, card.CHECKPOINT)
    made.token = token
    with open(tls.cert_file, "rb") as claim_pem:  # noqa: PTH123
        written = tmp_path_factory.mktemp("card")
        card.make(written, made.fleet, package, token, claim_pem.read())
    code_frames(written / "opt" / "frames", VISITORS, blank=8)
    machine = Machine(debian_13, tmp_path_factory.mktemp("shared"), written)
    yield machine
    print("\n".join(machine.said()[-150:]))
    machine.close()


def on_the_boot_partition(machine):
    found = machine.run("find", "/boot/firmware", "-type", "f").stdout.split()
    return {name.rpartition("/")[2] for name in found}


def begins(number):
    return f"step {number} of {len(TAKEN)}, {TAKEN[number - 1]}"


# Beside the beginning of each step: packages half unpacked, and half configured.
CUTS = [[begins(1)], ["Unpacking vaora"], ["Setting up vaora"]]
CUTS += [[begins(number)] for number in range(2, len(TAKEN) + 1)]


def test_the_power_is_cut_as_each_step_begins_and_it_goes_on(kiosk):
    """Where a step was over before the power was, the next one's beginning is as good."""
    cut = []
    for number, words in enumerate(CUTS):
        kiosk.cut_power_at(*words, *(word for later in CUTS[number + 1 :] for word in later))
        cut.append(kiosk.wait_for_cut(STEP_S))
        print(cut[-1])
        if "step 7" in cut[-1]:
            break
    assert len(set(cut)) > len(CUTS) / 2, cut


def test_the_last_boot_ends_it(kiosk):
    kiosk.wait_for_boot()
    wait_until(
        lambda: kiosk.show(KIOSK, "ActiveState") == "active", STEP_S, "a kiosk that is ready"
    )
    assert on_the_boot_partition(kiosk) == {"user-data", "meta-data", "network-config"}
    assert kiosk.run("systemctl", "is-enabled", FIRST_BOOT, check=False).returncode != 0
    assert kiosk.run("ls", "-A", "/usr/local/lib").stdout.split() == ["python3.13"]
