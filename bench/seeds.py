"""How long the seeds of a fleet take, beside what openssl alone takes for a card's credential."""

import os
import random
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import report, seconds
from provisioning import founding, inventory, seed
from provisioning.fleet_folder import FleetFolder, FleetSettings, kiosks_authority, open_fleet
from provisioning.founding import Founding
from provisioning.register import open_register
from provisioning.seed import Secrets
from provisioning.tokens import card_secrets

KIOSKS = 200
OPENSSL_CARDS = 20

HEADER = (
    "kiosk,checkpoint,name,type,unit,responsible,phone,direction,network,wifi_name,wifi_password"
)
DOOR = (
    "cong-{number},0{code},Điểm {number},office,Xã Thử,Nguyễn Văn Thử,0203000000,in,"
    "wifi,Thử,hoa-mai-vang"
)


def seeds() -> None:
    """`seeds_200_s`: a list of 200 doors read and checked, and a checked seed made for each.

    With its token and claim credential in the register. Reference: a key, a request and a
    certificate for as many, by the openssl program.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        root = Path(name) / "fleet"
        settings = FleetSettings("Bench", "mqtt.example.vn")
        founding.found(
            root,
            Founding(
                settings, at=datetime.now(UTC), random=os.urandom, inventory=_list(),
                broker_names=("mqtt.example.vn",),
            ),
        )  # fmt: skip
        folder, _settings = open_fleet(root)
        took = seconds(lambda: _all(folder, settings))
        reference = seconds(lambda: _openssl(Path(name), folder)) / OPENSSL_CARDS * KIOSKS
    report(f"seeds_{KIOSKS}_s", took, "s", reference)


def _list() -> bytes:
    rows = (DOOR.format(number=number, code=100_000 + number) for number in range(KIOSKS))
    return "\n".join([HEADER, *rows]).encode()


def _all(folder: FleetFolder, settings: FleetSettings) -> None:
    public, authority = seed.public_of(folder), kiosks_authority(folder)
    with open_register(folder.register) as register:
        for place in inventory.read(folder.inventory):
            token, credential = card_secrets(
                register, authority, place.kiosk, place.checkpoint, at=datetime.now(UTC), days=90,
                random=random.randbytes,
            )  # fmt: skip
            seed.seed(place, settings, public, Secrets(credential, token.text))


def _openssl(yard: Path, folder: FleetFolder) -> None:
    for number in range(OPENSSL_CARDS):
        key, asked = yard / f"{number}.key", yard / f"{number}.csr"
        made = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        made += ["-nodes", "-subj", "/CN=vaora-claim", "-keyout", str(key), "-out", str(asked)]
        signed = ["openssl", "x509", "-req", "-in", str(asked), "-CA", str(folder.kiosks)]
        signed += ["-CAkey", str(folder.kiosks_key), "-days", "90", "-out", f"{key}.pem"]
        for command in (made, signed):
            subprocess.run(command, check=True, capture_output=True)
