"""From the front desk to the central: passes made, shown, taken, refused, called back."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import segno

from checkin.outbox import Outbox
from checkin.settings import Camera, Policy
from checkin.settings import Door as DoorSettings
from kiosk.devices import zxing
from kiosk.logic.examination import TEST_CODE
from sync_daemon.broker import Broker, Connected, Options, Received
from tests.contract_document import check_topic
from tests.made_up import CARD
from tests.system.conftest import Door, code_frames, wait_until
from tests.system.test_nothing_lost import drain
from tests.system.test_programs import MODULES, kiosks_ended, run


@pytest.fixture
def desk(tmp_path):
    """The desk's two keys: the one for passes, and the authority's for lists."""
    made = Desk(tmp_path)
    made.trust()
    made.revoke()
    return made


class Desk:
    def __init__(self, folder):
        self.folder = folder
        self.public = {
            name: run("vaora-pass", "keygen", folder / name, check=True).stdout.strip()
            for name in ("desk.key", "authority.key")
        }
        self.versions = 0

    def issue(self, holder, *more):
        told = run(
            "vaora-pass", "issue", "--key", self.folder / "desk.key", "--holder", holder, *more,
            check=True,
        )  # fmt: skip
        pass_id, text = told.stdout.strip().split("\t")
        return pass_id, text

    def sign(self, command, out, *more):
        self.versions += 1
        run(
            "vaora-pass", command, "--key", self.folder / "authority.key",
            "--out", self.folder / out, "--version", self.versions, *more, check=True,
        )  # fmt: skip

    def trust(self):
        self.sign("trust", "trust.list", "--pass-key", self.public["desk.key"])

    def revoke(self, *pass_ids):
        self.sign("revoke", "revoked.list", *pass_ids)

    @property
    def policy(self):
        return Policy(
            authority=self.public["authority.key"],
            trust_file=str(self.folder / "trust.list"),
            revocations_file=str(self.folder / "revoked.list"),
        )


def frames(folder, texts, blank=3):
    folder.mkdir()
    for number, text in enumerate(texts):
        code = segno.make(text, micro=False, error="q", boost_error=False)
        dark = np.array([[bool(module) for module in row] for row in code.matrix])
        grey = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
        shown = np.kron(grey, np.ones((4, 4), dtype=np.uint8))
        for count in range(blank):
            cv2.imwrite(str(folder / f"{number:03}-{count}.png"), shown)
            cv2.imwrite(str(folder / f"{number:03}-{count + 5}.png"), np.full_like(shown, 200))
    return folder


def test_passes_from_the_desk_to_the_central(tmp_path, broker, desk):
    good, text = desk.issue("Phan Thị Mẫu")
    elsewhere = desk.issue("Đỗ Hữu Mẫu", "--checkpoint", "9999")[1]
    gone_id, gone = desk.issue("Trần Văn Mất", "--kind", "staff")
    stranger = Desk(make(tmp_path / "stranger")).issue("Kẻ Lạ")[1]
    inspector = desk.issue("Thanh Tra Mẫu", "--kind", "inspector")[1]
    desk.revoke(gone_id)
    shown = frames(tmp_path / "frames", [text, elsewhere, gone, stranger, inspector, CARD])
    door = Door(
        tmp_path / "bench",
        broker.port,
        camera=Camera(source="replay", path=str(shown), fps=15),
        door=DoorSettings(hold_off_s=600),
        policy=desk.policy,
    )
    door.prepare()
    listener = Broker(Options("127.0.0.1", broker.port, "listener", ("vaora/#",)))
    listener.connect()
    wait_until(
        lambda: any(isinstance(one, Connected) for one in listener.wait(0.1)), 10, "connected"
    )
    central, sync, kiosk = door.start_central(), door.start_sync(), door.start_kiosk()
    assert kiosk.wait(60) == 0
    wait_until(lambda: door.summary().pending == 0, 20, "everything confirmed")
    heard = []
    while more := listener.wait(1):
        heard += [one.message for one in more if isinstance(one, Received)]
    listener.close()
    for message in heard:
        check_topic(message.topic, message.body)
    assert sync.stop() == 0
    assert central.stop() == 0
    listed = run(
        "vaora-central", "list", "--database", door.database, "--key-file", door.key_file,
        "--json", "--limit", 100, check=True,
    ).stdout  # fmt: skip
    rows = [json.loads(line) for line in listed.splitlines()][::-1]
    assert [row["turned_away"] for row in rows] == [
        "", "other-checkpoint", "revoked", "unknown-signer", "", "",
    ]  # fmt: skip
    assert [row["verified"] for row in rows] == [True, True, False, False, True, False]
    assert (rows[0]["name"], rows[0]["pass_id"]) == ("Phan Thị Mẫu", good)
    assert not any("name" in row for row in rows if row["turned_away"])
    panels = [line.text for line in list(door.said.queue) if line.text.startswith("panel ")]
    assert any("accepted-in+status-" in line for line in panels)
    outbox = Outbox(door.settings.outbox_file, create=False)
    bodies = b"".join(outbox.pending(0, 100).bodies)
    outbox.close()
    for private in ("Phan", "Đỗ", "Trần", "Kẻ Lạ", good, gone_id):
        assert private.encode() not in bodies


def make(folder):
    folder.mkdir()
    return folder


def test_who_watches_a_running_kiosk_sees_it(tmp_path, desk):
    shown = frames(tmp_path / "frames", [desk.issue("Phan Thị Mẫu")[1], "https://x.example"], 20)
    door = Door(
        tmp_path / "bench",
        1,
        camera=Camera(source="replay", path=str(shown), fps=30, repeat=True),
        policy=desk.policy,
    )
    door.prepare()
    kiosk = door.start_kiosk()
    try:
        wait_until(lambda: door.appended() > 0, 20, "somebody came")
        seen = run("vaora-kiosk", "--settings", door.settings_file, "watch", "--once", check=True)
    finally:
        kiosk.stop()
    assert "frames a second" in seen.stdout
    assert "accepted in: pass, verified" in seen.stdout
    assert "Phan" not in seen.stdout + seen.stderr
    alone = run("vaora-kiosk", "--settings", door.settings_file, "watch", "--once")
    assert "is vaora-kiosk running" in alone.stderr


def test_a_drawn_pass_is_read_and_verified(tmp_path, desk):
    svg = tmp_path / "pass.svg"
    _, text = desk.issue("Phan Thị Mẫu", "--svg", svg, "--hours", "4")
    assert svg.read_text(encoding="utf-8").count("<path") >= 1
    shown = cv2.imread(str(next(frames(tmp_path / "f", [text]).glob("000-0.png"))), 0)
    (code,) = zxing.local().read(shown)
    line = {"payload": code.text, "pass_keys": [desk.public["desk.key"]], "id": 7}
    ran = subprocess.run(
        [sys.executable, "-m", MODULES["vaora-kiosk"], "read"],
        input=json.dumps(line) + "\n\nrubbish\n",
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    first, second = map(json.loads, ran.stdout.splitlines())
    assert (first["id"], first["verified"], first["holder"]) == (7, True, "Phan Thị Mẫu")
    assert "error" in second


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["issue", "--key", "KEY", "--holder", ""], "1 to 100 printable characters"),
        (["issue", "--key", __file__, "--holder", "x"], "is no key made by `vaora-pass keygen`"),
        (["issue", "--key", "KEY", "--holder", "x", "--hours", "0"], "--hours"),
        (["issue", "--key", "KEY", "--holder", "x", "--svg", "/nowhere/x.svg"], "No such file"),
        (["revoke", "--key", "KEY", "--out", "OUT", "--version", "1", "xyz"], "is no pass id"),
        (["revoke", "--key", "KEY", "--out", "OUT", "--version", "0"], "--version"),
        (["trust", "--key", "KEY", "--out", "OUT", "--version", "1", "--pass-key", "x"], "no publ"),
        (
            ["trust", "--key", "KEY", "--out", "OUT", "--version", "1", "--signers", __file__],
            "Expected",
        ),
        (["keygen", "KEY"], "can't be made (File exists)"),
    ],
)
def test_what_the_desk_cant_do_is_said(tmp_path, desk, arguments, said):
    places = {"KEY": str(tmp_path / "desk.key"), "OUT": str(tmp_path / "out")}
    ran = run("vaora-pass", *(places.get(argument, argument) for argument in arguments))
    assert ran.returncode != 0
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


CANNOT_BE = {
    '[policy]\nkeep = ["cccd.shoe"]\n': "[policy] cccd.shoe: nothing of that name",
    '[policy]\nbegins = "2026-02-30"\n': "[policy] day",
    '[policy]\nhours = "25:00-26:00"\n': "[policy] hour",
    '[epidemic]\nbegins = "2026-02-02"\nends = "2026-02-01"\n': "[epidemic] ends",
    '[policy]\ntrust_file = "x"\n': "authority is missing",
    '[policy]\nauthority = "x"\n': "[policy] authority: is no public key",
    '[policy]\nmust_verify = ["cccd"]\n': "one of hc1, shc, pass",
    '[door]\ndirection = "button"\n': "needs [panel] direction_button_pin",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cannot-be")
    frame = frames(folder / "frames", ["VISITOR:ABC"], 1)
    base = f'[camera]\nsource = "replay"\npath = "{frame}"\n[panel]\nkind = "terminal"\n'
    return kiosks_ended(folder, [f'seal = "off"\n{text}' for text in CANNOT_BE], base)


@pytest.mark.parametrize(("text", "said"), CANNOT_BE.items())
def test_rules_that_cant_be_are_said_at_the_start(ended, text, said):
    kiosk = ended[f'seal = "off"\n{text}']
    assert said in kiosk.stderr
    assert "Traceback" not in kiosk.stderr


def test_a_doctor_asks_the_running_kiosk_and_waits_for_the_test_code(tmp_path):
    frames = code_frames(tmp_path / "frames", 1, blank=60, payloads=[TEST_CODE])
    bench = Door(
        tmp_path / "bench",
        broker_port=1,
        camera=Camera(source="replay", path=str(frames), fps=30, repeat=True),
    )
    bench.prepare()
    kiosk = bench.start_kiosk()
    try:
        wait_until(bench.settings.kiosk_health_file.exists, 15, "a kiosk that runs")
        said = run(
            "vaora-kiosk", "doctor", "--settings", bench.settings_file, "--json",
            "--code-wait", "20",
        )  # fmt: skip
    finally:
        kiosk.stop()
    parts = {part["part"]: part for part in json.loads(said.stdout)["parts"]}
    assert "test code read" in parts["camera"]["told"], parts["camera"]
    assert parts["camera"]["told"].startswith("replay of frames: ")
    assert (parts["lights"]["well"], parts["kiosk"]["well"]) == (True, True)
    assert parts["outbox"]["told"] == "sound, 0 check-ins wait"
    assert said.returncode == 1  # no daemon, no broker
    assert any("self-test" in line.text for line in drain(bench.said))
