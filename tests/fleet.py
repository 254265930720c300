"""One made-up fleet, by the real founding, and its broker by the real configuration.

made = fleet.made_up(tmp_path / "fleet")     # a copy of its own, register and all
with made.served() as broker:                # mosquitto, on a free port of loopback
    Options("127.0.0.1", broker.port, "k1", tls=made.tls("k1"))
"""

import atexit
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec
import pytest

from checkin import identity
from demo.programs import BrokerProgram, free_port, mosquitto_path
from provisioning import founding
from provisioning.fleet_folder import (
    FleetFolder,
    FleetSettings,
    kiosks_authority,
    open_fleet,
    written,
)
from provisioning.founding import Founding
from provisioning.register import Register, open_register
from provisioning.tokens import CLAIM_NAME, card_secrets
from sync_daemon.broker import Tls
from tests.authority import readable_by_mosquitto

SETTINGS = FleetSettings(
    "Bệnh viện Mẫu", "127.0.0.1", support="Tổ CNTT mẫu, 000 000 0000", language="vi"
)

# Where the programs of the fleet have their certificates.
PLACES = {"vaora-central": "central", "vaora-enrol": "enrol", "vaora-fleet": "fleet_client"}


@dataclass(frozen=True)
class MadeUpFleet:
    """`folder` is a whole fleet's folder."""

    folder: FleetFolder

    @property
    def settings(self) -> FleetSettings:
        return open_fleet(self.folder.root)[1]

    def tls(self, name: str) -> Tls:
        """What `name` connects with. A kiosk gets a certificate, past the register."""
        if name in PLACES:
            place = self.folder.root / PLACES[name]
            pem, key = (place / f"{name.removeprefix('vaora-')}.{end}" for end in ("pem", "key"))
        else:
            pem, key = (self.folder.root / "clients" / f"{name}.{end}" for end in ("pem", "key"))
            if not pem.exists():
                pem.parent.mkdir(exist_ok=True)
                made = identity.new_key()
                asked = identity.request(made, name)
                key.write_bytes(made)
                authority = kiosks_authority(self.folder)
                pem.write_bytes(authority.certify(asked, name=name, at=now(), days=365))
        return Tls(str(self.folder.ca), str(pem), str(key))

    def card(self, kiosk: str, checkpoint: str = "cp", *, at=None, days=90):
        """A token in the register, and what connects with the card's claim credential."""
        with self.register() as register:
            token, credential = card_secrets(
                register, kiosks_authority(self.folder), kiosk, checkpoint,
                at=at or now(), days=days, random=random.randbytes,
            )  # fmt: skip
        file = self.folder.root / f"claim-{kiosk}.pem"
        file.write_bytes(credential)
        return token, Tls(str(self.folder.ca), str(file), str(file))

    @contextmanager
    def register(self) -> Iterator[Register]:
        with open_register(self.folder.register) as register:
            yield register

    @contextmanager
    def served(self) -> Iterator[BrokerProgram]:
        """Run the fleet's broker. Its port is written into fleet.toml."""
        if mosquitto_path() is None:
            pytest.skip("mosquitto isn't installed")
        # Not among pytest's own, which another pytest of the same user closes to mosquitto's.
        with tempfile.TemporaryDirectory(prefix="fleet-") as place:
            folder = Path(place) / "broker"
            port = free_port()
            broker = BrokerProgram(Path(place) / "run", port, extra=self.configuration(folder))
            changed = msgspec.structs.replace(self.settings, broker_port=port)
            self.folder.settings_file.write_text(written(changed), encoding="utf-8")
            self.copy_to_broker(folder)
            broker.start()
            try:
                yield broker
            finally:
                broker.stop()

    def configuration(self, folder: Path) -> str:
        """The fleet's mosquitto.conf for `folder`; the listener's own line is the test's."""
        text = (self.folder.broker / "mosquitto.conf").read_text(encoding="utf-8")
        text = text.replace(founding.BROKER_FOLDER, str(folder))
        lines = [one for one in text.splitlines() if not one.startswith(("listener", "persist"))]
        return "\n".join(lines)

    def copy_to_broker(self, folder: Path) -> None:
        """As the README in the folder says."""
        shutil.copytree(self.folder.broker, folder, dirs_exist_ok=True)
        readable_by_mosquitto(folder)


def now() -> datetime:
    """OpenSSL asks the machine's clock, and nobody can tell it another time."""
    return datetime.now(UTC)


def made_up(root: Path) -> MadeUpFleet:
    """A copy of the fleet at `root`. Tests may change it as they like."""
    shutil.copytree(_founded(), root, dirs_exist_ok=True)
    return MadeUpFleet(FleetFolder(root))


@cache
def _founded() -> Path:
    place = Path(tempfile.mkdtemp(prefix="founded-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = place / "fleet"
    chance = random.Random(1)
    founding.found(
        folder,
        Founding(
            SETTINGS, at=now(), random=chance.randbytes, inventory=b"", broker_names=("localhost",)
        ),
    )
    return folder


__all__ = ["CLAIM_NAME", "SETTINGS", "MadeUpFleet", "made_up"]
