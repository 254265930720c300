"""From the fleet's folder to a kiosk at its door and back, over TLS, with the real programs."""

import csv
import json
from datetime import UTC, datetime

import pytest

from checkin import event
from checkin.outbox import Outbox
from checkin.settings import Camera, Policy
from checkin.settings import Door as DoorSettings
from provisioning import passes_list
from provisioning.columns import COLUMNS
from tests import fleet as made_up_fleets
from tests.system.conftest import Door, wait_until
from tests.system.test_desk import frames
from tests.system.test_programs import run

KIOSK, CHECKPOINT = "cong-chinh", "0100123"  # of the bench


@pytest.fixture
def fleet(tmp_path):
    made = made_up_fleets.made_up(tmp_path / "fleet")
    row = {column.name: column.example for column in COLUMNS}
    with made.folder.inventory.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, list(row))
        rows.writeheader()
        rows.writerow(row | {"kiosk": KIOSK, "checkpoint": CHECKPOINT})
    with made.served():
        yield made


def provision(fleet, *arguments):
    return run("vaora-provision", *arguments, "--fleet", fleet.folder.root, check=True).stdout


def state(fleet):
    """The kiosk's row of the table."""
    (row,) = json.loads(provision(fleet, "fleet", "--json"))["kiosks"]
    return row


def events(door):
    outbox = Outbox(door.settings.outbox_file, create=False)
    try:
        found = outbox.pending(0, 10_000)
        return [event.decode(body).data for body in found.bodies]
    finally:
        outbox.close()


def health(door):
    return json.loads(door.settings.kiosk_health_file.read_bytes())


def a_pass(fleet):
    key = fleet.folder.pass_key
    told = run("vaora-pass", "issue", "--key", key, "--holder", "Phan Thị Mẫu", check=True)
    pass_id, text = told.stdout.strip().split("\t")
    at = datetime.now(UTC)
    row = passes_list.Row(pass_id, "visitor", "Phan Thị Mẫu", at, at, "", "", at)
    passes_list.add(fleet.folder.passes, [row])
    return pass_id, text


def bench(fleet, folder, shown):
    tls = fleet.tls(KIOSK)
    door = Door(
        folder,
        fleet.settings.broker_port,
        # A pass for a third of a second, gone for longer than the hold-off, over and over.
        camera=Camera(source="replay", path=str(shown), fps=15, repeat=True),
        door=DoorSettings(hold_off_s=1),
        policy=Policy(authority=fleet.folder.settings_public.read_text().strip()),
        broker={
            "tls": True, "ca_file": tls.ca_file, "cert_file": tls.cert_file,
            "key_file": tls.key_file,
        },
    )  # fmt: skip
    door.prepare()
    return door


def test_what_is_sent_is_in_force_at_the_door(tmp_path, fleet):
    pass_id, text = a_pass(fleet)
    shown = frames(tmp_path / "frames", [text], 5)
    for number in range(20, 45):  # and nobody
        blank = shown / f"{number:03}-0.png"
        blank.write_bytes((shown / "000-5.png").read_bytes())
    door = bench(fleet, tmp_path / "bench", shown)
    sync, kiosk = door.start_sync(), door.start_kiosk()
    try:
        wait_until(lambda: door.appended() > 0, 20, "the pass was shown")
        assert events(door)[0].refused == "unknown-signer"
        provision(fleet, "send", "trust")
        wait_until(lambda: not events(door)[-1].refused, 15, "the pass is taken")

        at = datetime.now(UTC)
        passes_list.change(
            fleet.folder.passes,
            lambda rows: passes_list.called_back(rows, ids=frozenset({pass_id}), holder="", at=at),
        )
        provision(fleet, "send", "revocations")
        wait_until(lambda: events(door)[-1].refused == "revoked", 15, "it is refused again")
        wait_until(lambda: health(door)["revocations_version"] == 1, 10, "and known so")
        wait_until(lambda: state(fleet)["revocations_version"] == 1, 10, "and said so")

        rules = tmp_path / "rules.toml"
        rules.write_text('[door]\ndirection = "out"\nhold_off_s = 1\n')
        provision(fleet, "send", "settings", "--file", rules)
        assert kiosk.wait(20) == 0  # systemd starts it again
        count = door.appended()
        kiosk = door.start_kiosk()
        wait_until(lambda: door.appended() > count, 20, "the pass was shown again")
        assert (events(door)[-1].direction, events(door)[-1].refused) == ("out", "revoked")
        before = health(door)["tick"]
        wait_until(lambda: health(door)["tick"] > before + 4, 20, "it goes on with them")
        assert kiosk.is_running  # and doesn't start again and again
        told = state(fleet)
        assert (told["settings_version"], told["trust_version"], told["not_taken"]) == (1, 2, [])
        said = run("vaora-kiosk", "--settings", door.settings_file, "settings", check=True).stdout
        assert '[door]\ndirection = "out"' in said
        assert "# as signed: version 1 of " in said
    finally:
        kiosk.stop()
        sync.stop()
    assert state(fleet)["condition"] == "silent"
