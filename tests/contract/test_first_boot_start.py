"""First boot's last step, by the script itself in folders of its own: what it says if it fails."""

import subprocess

import pytest

from provisioning import seed

# What the script asks of the machine. Nothing is slept for, and / is no partition of a card.
PROGRAMS = {
    "findmnt": "echo overlay",
    "sleep": "",
    "pinctrl": 'echo "$*" >> "$SAID/pins"',
    "systemctl": 'echo "$*" >> "$SAID/systemctl"; [ "$2" != enable ] || exit "$ENABLES"',
}


@pytest.fixture
def run(tmp_path):
    """Runs the script as its unit does when all but the last step is done."""
    for name, does in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    text = seed.SCRIPT.read_text(encoding="utf-8")
    for name, place in (
        ("boot", "boot"), ("mine", "mine"), ("unit", "unit"), ("told", "run/first-boot"),
        ("settings", "kiosk.toml"),
    ):  # fmt: skip
        (line,) = [each for each in text.splitlines() if each.startswith(f"{name}=")]
        text = text.replace(f"\n{line}\n", f"\n{name}={tmp_path}/{place}\n")
    text = text.replace("PATH=/usr/sbin", f"PATH={tmp_path}/bin:/usr/sbin")
    # What is this machine's own stays so.
    text = text.replace("/etc/", f"{tmp_path}/etc/").replace("/sys/class/leds", f"{tmp_path}/leds")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "carried").touch()
    (tmp_path / "kiosk.toml").write_text("[panel]\nred_pin = 9\nbuzzer_pin = 0\n")
    (tmp_path / "mine" / "first-boot.sh").write_text(text)

    def run(enables):
        command = ["sh", str(tmp_path / "mine" / "first-boot.sh"), "run"]
        environment = {"SAID": str(tmp_path), "ENABLES": str(enables)}
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)

    return run


def test_programs_that_do_not_start_are_counted_out_and_tried_again(run, tmp_path):
    ended = run(enables=1)
    assert ended.returncode == 1  # by which systemd begins it again
    assert "step 7, start, failed" in ended.stdout
    assert (tmp_path / "run" / "first-boot").read_text() == "start\n"
    lit = (tmp_path / "pins").read_text().splitlines().count("set 9 op dh")
    assert lit == 5 * 7  # five times its number, on the pin that this kiosk has
    assert (tmp_path / "mine" / "carried").exists()


def test_what_started_leaves_nothing_behind(run, tmp_path):
    ended = run(enables=0)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not (tmp_path / "mine").exists()
    assert not (tmp_path / "run" / "first-boot").exists()
    assert "start vaora.target" in (tmp_path / "systemctl").read_text()
