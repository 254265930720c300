"""A kiosk's card becomes its certificate: the real daemon, the fleet's broker and its desk.

Processes are killed where they stand, and the desk's register says how often a card was used.
"""

import json
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from central.loop import CentralLoop
from central.store import Store
from checkin import identity, settings
from checkin.claim import Token
from checkin.clock import SystemClock
from checkin.outbox import Outbox
from checkin.settings import Broker as BrokerSettings
from checkin.settings import Kiosk as KioskSettings
from checkin.settings import Settings
from demo.programs import Program
from provisioning.fleet_folder import kiosks_authority
from provisioning.register import Issued
from sync_daemon import topics
from sync_daemon.broker import Broker, Connected, Message, Options, Received
from sync_daemon.identity import Identity
from tests import fleet
from tests.made_up import append
from tests.system.conftest import wait_until

PATIENCE_S = 40

# Kills itself before the so-manieth change on its disk, with no word to anybody.
FUSED = """
import os, signal, sys
from checkin import whole
left = int(sys.argv.pop(1))
def guarded(change):
    def done(*given):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        change(*given)
    return done
whole.write, whole.remove = guarded(whole.write), guarded(whole.remove)
from sync_daemon.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fleet and its broker, running."""
    found = fleet.made_up(tmp_path_factory.mktemp("fleet") / "fleet")
    with found.served() as broker:
        found.port = broker.port
        yield found


@pytest.fixture(autouse=True)
def unfrozen(monkeypatch):
    monkeypatch.setattr(fleet.MadeUpFleet, "port", 0, raising=False)


@dataclass
class Kiosk:
    """One card in a kiosk, and the daemon there."""

    folder: Path
    settings: Settings
    program: Program | None = None

    @property
    def own(self) -> Identity:
        return Identity(self.folder / "identity" / "kiosk.pem")

    def start(self, *, cut=None):
        end = ["--settings", str(self.folder / "kiosk.toml"), "run"]
        fused = ["-c", FUSED, str(cut)]
        how = ["-m", "sync_daemon"] if cut is None else fused
        self.program = Program("sync", [sys.executable, *how, *end])

    def stop(self):
        if self.program is not None:
            self.program.stop()

    def said(self):
        lines = []
        while not self.program._said.empty():
            lines.append(self.program._said.get().text)
        return "\n".join(lines)

    def standing(self):
        """What `vaora-sync enrolment --json` says, by the same code."""
        from sync_daemon import enrolment_words

        clock = SystemClock(self.settings.clock_file)
        return json.loads(
            enrolment_words.as_json(enrolment_words.look(self.settings, clock.moment()))
        )

    def names(self):
        return sorted(file.name for file in self.own.file.parent.iterdir())

    def waiting(self):
        outbox = Outbox(self.settings.outbox_file, create=False)
        try:
            return outbox.pending_count()
        finally:
            outbox.close()
