"""The programs that the arm64 package installed, each run as a visitor to the shell would.

Their machine code is that of a Pi; the processor is QEMU's, the kernel this machine's.
"""

import base64
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from checkin import settings
from checkin.outbox import Outbox
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Settings
from tests.arm import made
from tests.arm.conftest import ROOT
from tests.machine.made import in_root
from tests.made_up import append
from tests.system.conftest import drawn, payload

# Payloads and what is to be made of each; no part of the project.
SAMPLES = ROOT.parent / "shared" / "samples.jsonl"

BENCH = Settings(
    seal="off",
    kiosk=Kiosk(id="k1", checkpoint="cp", data_dir="/srv/data", runtime_dir="/srv/run"),
    door=Door(hold_off_s=1),
    camera=Camera(source="replay", path="/srv/frames"),
    panel=Panel(kind="terminal"),
    outbox=settings.Outbox(min_free_mb=1),
    broker=Broker(host="127.0.0.1", port=1883, tls=False),  # nobody is there
)


@pytest.fixture
def shell(installed, tmp_path, monkeypatch):
    """Run a line in the root with the package; what it writes outside /srv is gone at its end."""
    monkeypatch.chdir(ROOT)  # where `python -m tests…` is found
    places = {name: tmp_path / name for name in ("frames", "data", "run")}
    for place in places.values():
        place.mkdir()
    (tmp_path / "kiosk.toml").write_text(settings.as_toml(BENCH), encoding="utf-8")
    shown = {tmp_path / "kiosk.toml": "/etc/vaora/kiosk.toml", places["frames"]: "/srv/frames"}
    shared = {places["data"]: "/srv/data", places["run"]: "/srv/run"}

    def run(line, *, given=""):
        (places["run"] / "given").write_text(given, encoding="utf-8")
        began = time.monotonic()
        said = in_root(installed / "root", line, show=shown, share=shared, env=made.CPU)
        print(f"{line}: {time.monotonic() - began:.1f} s")
        return said

    run.places = places
    return run


def test_it_installs_without_a_network(installed):
    log = (installed / "install.log").read_text(encoding="utf-8")
    print(log.splitlines()[-1])
    (wanted,) = (installed / "root/usr/lib/vaora").glob("env-*")
    current = (installed / "root/usr/lib/vaora/current").readlink()
    assert current.name == wanted.name
    status = (installed / "root/var/lib/dpkg/status").read_text(encoding="utf-8")
    (ours,) = [part for part in status.split("\n\n") if part.startswith("Package: vaora\n")]
    assert "Status: install ok installed" in ours
    assert "Architecture: arm64" in ours


def test_what_runs_there_is_for_arm(shell):
    asked = "import platform, numpy, cv2, zxingcpp, nacl; print(platform.machine())"
    assert shell(f'/usr/lib/vaora/current/bin/python -c "{asked}"').strip() == "aarch64"


def test_decode_reads_a_code_from_an_image(shell):
    code = drawn(payload(7))
    assert cv2.imwrite(str(shell.places["frames"] / "code.png"), code)
    told = json.loads(shell("vaora-kiosk decode /srv/frames/code.png"))
    assert [base64.b64decode(one["bytes_base64"]) for one in told["codes"]] == [payload(7)]
    print(f"decoded in {told['ms']:.0f} ms")


def test_read_makes_of_every_sample_what_it_should(shell):
    if not SAMPLES.exists():
        pytest.skip("the samples by others aren't here (../shared/samples.jsonl)")
    text = SAMPLES.read_text(encoding="utf-8")
    wanted = [json.loads(line) for line in text.splitlines()]
    told = [
        json.loads(line)
        for line in shell("vaora-kiosk read < /srv/run/given", given=text).splitlines()
    ]
    assert [one["id"] for one in told] == [one["id"] for one in wanted]
    # This machine's own reader, which tests/logic/ holds to every sample: the two are the same.
    here = subprocess.run(
        [sys.executable, "-m", "kiosk", "read"],
        check=True, input=text, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert told == [json.loads(line) for line in here.stdout.splitlines()]
    expected = [
        all(answer.get(name) == value for name, value in one["expected"].items())
        for one, answer in zip(wanted, told, strict=True)
    ]
    print(f"{len(told)} samples, {sum(expected)} as its line expects")
    assert all(expected)


def test_settings_prints_what_is_in_force(shell):
    assert 'checkpoint = "cp"' in shell("vaora-kiosk settings")
    assert "checkpoint" in shell("vaora-kiosk settings --defaults")


def test_status_tells_what_waits_in_an_outbox_of_this_machines(shell):
    outbox = Outbox(shell.places["data"] / "outbox.db")
    seq = 0
    for _ in range(3):
        seq = append(outbox, seq)
    outbox.close()
    told = json.loads(shell("vaora-sync status --json || true"))
    assert told["waiting"] == 3


def test_a_whole_day_at_the_door_is_on_disk(shell):
    """The kiosk itself, from the camera to the disk, until the replay's end."""
    for number in range(3):
        code = drawn(payload(number))
        assert cv2.imwrite(str(shell.places["frames"] / f"{number}.png"), code)
    said = shell("timeout 300 vaora-kiosk run 2>&1 || true")
    assert said.count("on disk") == 3, said
    copied = shutil.copytree(shell.places["data"], Path(shell.places["run"]) / "copied")
    with sqlite3.connect(copied / "outbox.db") as db:
        assert db.execute("select max(seq) from checkins").fetchone() == (3,)


def test_the_doctor_looks_at_every_part(shell):
    assert cv2.imwrite(str(shell.places["frames"] / "code.png"), drawn(payload(1)))
    # The panel's lines, where a terminal is the panel, come before.
    told = json.loads(shell("vaora-kiosk doctor --json || true").splitlines()[-1])
    parts = {part["part"]: part["well"] for part in told["parts"]}
    assert {"camera", "lights", "clock", "disk", "outbox", "broker"} <= set(parts)
    assert parts["lights"]
    assert parts["disk"]
    assert told["well"] is False  # nobody carries check-ins there
