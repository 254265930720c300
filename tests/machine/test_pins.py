"""The panel on a kernel's pins: what the installed package asks for is what the kernel then has.

The tests run in their order; the kiosk's service goes on from one to the next.
"""

import json
import re
from statistics import median

import cv2
import numpy as np
import pytest

from checkin import settings
from kiosk.logic import feedback
from kiosk.ports import Pattern
from tests.machine.conftest import PANEL, WIRED
from tests.machine.machine import until
from tests.system.conftest import drawn, payload

KIOSK = "vaora-kiosk.service"
GREEN, RED, AMBER, BUZZER = PANEL.green_pin, PANEL.red_pin, PANEL.amber_pin, PANEL.buzzer_pin
DIRECTION = PANEL.direction_button_pin
PYTHON = "/usr/lib/vaora/current/bin/python"

# A machine that is emulated on a busy host is late by this much at most; the shortest step is
# half of it. How exact the player is, real_libraries/ measures.
LATE_S = 0.1

# What a visitor, an inspector and a technician see, each once.
PLAYED = (*feedback.VERDICTS, *feedback.BUTTONS)

SIMULATED = "/sys/devices/platform/gpio-sim.0/gpiochip0/sim_gpio"

READY_S = 90
SEEN_S = 15
FROZEN_S = 6.0


def due(pattern):
    """{pin: the second of each of its changes}, from the first light of the pattern on."""
    changes, now, at_s = {}, {}, 0.0
    for step in (*pattern.steps, None):
        level = step and step.level
        wanted = {
            GREEN: bool(level and level.green),
            RED: bool(level and level.red),
            AMBER: bool(level and level.amber),
            BUZZER: bool(level and level.tone_hz),
        }
        for pin, is_high in wanted.items():
            if is_high != now.get(pin, False):
                changes.setdefault(pin, []).append(at_s)
        now = wanted
        at_s += step.seconds if step else 0
    first = min(seconds[0] for seconds in changes.values())
    return {pin: [second - first for second in seconds] for pin, seconds in changes.items()}


def came(edges, begun, end):
    changes = {}
    for at_s, pin, level in edges:
        if begun <= at_s < end:
            assert level == 1 - len(changes.setdefault(pin, [])) % 2
            changes[pin].append(at_s)
    first = min(seconds[0] for seconds in changes.values())
    return {pin: [second - first for second in seconds] for pin, seconds in changes.items()}


def rises(edges, pin, begin=0.0, end=float("inf")):
    return [at_s for at_s, its, level in edges if its == pin and level and begin <= at_s < end]


class Watching:
    """Looks at all pins for some seconds; `edges` are (monotonic second, pin, level)."""

    def __init__(self, machine, seconds, *freeze):
        self._machine, self._seconds = machine, seconds
        machine.run("rm", "-f", "/run/watching", "/run/held")
        self._number = machine.start("python3", "/opt/pins.py", "watch", seconds, *freeze)
        self.wait_for("/run/watching")

    def wait_for(self, file):
        until(lambda: self._machine.status("test", "-e", file) == 0, SEEN_S, file)

    def end(self):
        done = self._machine.ended(self._number, self._seconds + 60)
        assert done.status == 0, done.stderr
        told = json.loads(done.stdout)
        self.held, self.pace = told["held"], told["rounds"] / self._seconds
        return [tuple(edge) for edge in told["edges"]]


@pytest.fixture(scope="module")
def played(machine):
    """The panel that the package brought, without its service; and what the kernel had then."""
    names = [pattern.name for pattern in PLAYED]
    lasts = sum(sum(step.seconds for step in pattern.steps) + 0.5 for pattern in PLAYED)
    watching = Watching(machine, lasts + 45)
    script = "mount --bind /opt/cpuinfo /proc/cpuinfo && cd /run && exec "
    script += f'env LG_WD=/run PYTHONPATH=/opt {PYTHON} /opt/panel.py "$@"'
    machine.run("unshare", "--mount", "sh", "-euc", script, "sh", *names)
    told = json.loads(machine.run("cat", "/run/played"))
    return told, watching.end(), watching.pace


def test_every_pattern_is_on_the_kernels_lines(played):
    told, edges, pace = played
    begins = [at_s for _, at_s in told["played"]] + [float("inf")]
    by_name = {one.name: one for one in vars(feedback).values() if isinstance(one, Pattern)}
    late = []
    for (name, begun), end in zip(told["played"], begins[1:], strict=True):
        wanted = due(by_name[name])
        found = came([e for e in edges if e[1] in {GREEN, RED, AMBER, BUZZER}], begun, end)
        assert {p: len(s) for p, s in found.items()} == {p: len(s) for p, s in wanted.items()}, name
        off = [abs(a - b) for pin in wanted for a, b in zip(found[pin], wanted[pin], strict=True)]
        assert max(off) < LATE_S, name
        late += off
    assert [name for name, _ in told["played"]] == [pattern.name for pattern in PLAYED]
    print(
        f"{len(PLAYED)} patterns, {len(late)} edges read back from the kernel ({pace:.0f} looks a "
        f"second): median {median(late) * 1e3:.0f} ms, worst {max(late) * 1e3:.0f} ms off"
    )


def test_the_kernel_pulls_the_buttons_up_and_a_press_is_seen(played):
    told, _, _ = played
    (before, after), *seen = told["buttons"]
    assert (before, after) == (["pull-down"] * 2, ["pull-up"] * 2)
    nothing, direction, test = [False, False], [True, False], [False, True]
    assert seen == [nothing, direction, test, nothing]
    assert told["lamp"] == ["1", "0"]


def show(machine, number):
    """A visitor comes; nobody else is in sight."""
    ok, image = cv2.imencode(".png", drawn(payload(number)))
    assert ok
    machine.write("/opt/frames/code.png", image.tobytes())


def nobody(machine):
    machine.run("sh", "-c", "rm -f /opt/frames/code.png; sync /opt/frames")


def shown(machine):
    return [int(seq) for seq in re.findall(r"check-in (\d+) on disk", machine.log(KIOSK))]


def serve(machine):
    """The kiosk's service as it is installed, before an empty wall."""
    ok, wall = cv2.imencode(".png", np.full((100, 100), 200, np.uint8))
    assert ok
    for number in range(2):
        machine.write(f"/opt/frames/wall-{number}.png", wall.tobytes())
    machine.write("/etc/vaora/kiosk.toml", settings.as_toml(WIRED))
    machine.run("systemctl", "start", "--no-block", "vaora.target")
    active = lambda: machine.show(KIOSK, "ActiveState") == "active"  # noqa: E731
    until(active, READY_S, "a kiosk that is ready")


@pytest.fixture(scope="module")
def served(machine, played):
    serve(machine)
    return machine


def held(machine):
    """{pin: how}, of the lines that a program with lgpio holds."""
    said = machine.run("cat", "/sys/kernel/debug/gpio")
    return {int(pin): how for pin, how in re.findall(r"(?m)^ *gpio-(\d+) +\(lg\) (\S+)", said)}


def test_the_service_holds_its_lines_inside_its_sandbox(served):
    outputs = dict.fromkeys((GREEN, RED, AMBER, BUZZER, PANEL.lamp_pin), "output")
    inputs = dict.fromkeys((DIRECTION, PANEL.test_button_pin), "input,pull-up")
    found = {
        pin: "output" if how.startswith("output") else how for pin, how in held(served).items()
    }
    assert found == outputs | inputs
    assert served.show(KIOSK, "DevicePolicy") == "closed"
    assert served.show(KIOSK, "NRestarts") == "0"


def test_a_code_becomes_a_row_and_then_a_green_line(served):
    before = len(shown(served))
    watching = Watching(served, 12)
    show(served, 1)
    until(lambda: len(shown(served)) == before + 1, SEEN_S, "a check-in")
    nobody(served)
    edges = watching.end()
    # On a busy machine frames come late, and who stands there is taken for one who came back: a
    # tick more, without a check-in.
    beep, *_ = rises(edges, BUZZER)
    wanted = due(feedback.ACCEPTED_IN)
    found = came([e for e in edges if e[1] in wanted], beep - LATE_S, beep + 1.5)
    assert {pin: len(seconds) for pin, seconds in found.items()} == {GREEN: 2, BUZZER: 2}
    for pin, seconds in wanted.items():
        assert found[pin] == pytest.approx(seconds, abs=LATE_S)


def test_green_waits_for_the_disk(served):
    """While nothing reaches the outbox's disk the line stays low; the moment it does, it rises."""
    watching = Watching(served, 20, "/var/lib/vaora", 2, FROZEN_S)
    before = len(shown(served))
    watching.wait_for("/run/held")
    show(served, 2)
    edges = watching.end()
    nobody(served)
    begun, ended = watching.held
    (beep,) = rises(edges, BUZZER)
    # The code was in sight all the time: what the kiosk waited for was the disk.
    print(f"the disk was held for {ended - begun:.1f} s; green {beep - ended:.2f} s after")
    assert ended < beep < ended + 3
    # Ready's own short flashes are no promise, and go on from the panel's thread.
    long = [at for at in rises(edges, GREEN, begun, ended) if not falls_soon(edges, at)]
    assert long == []
    assert len(shown(served)) == before + 1


def falls_soon(edges, at):
    return any(pin == GREEN and not level and 0 < s - at < 0.5 for s, pin, level in edges)


def test_a_press_on_the_kernels_line_turns_the_direction_round(served):
    watching = Watching(served, 15)
    pull = f"{SIMULATED}{DIRECTION}/pull"
    served.run("sh", "-euc", f"echo pull-down > {pull}; sleep 1; echo pull-up > {pull}")
    until(lambda: "direction button: out" in served.log(KIOSK), SEEN_S, "the other direction")
    show(served, 4)
    edges = watching.end()
    nobody(served)
    # A high tone and a low one for the button, two for the visitor who leaves.
    assert len(rises(edges, BUZZER)) == 2 + 2
    assert re.findall(r"on disk: (\w+)", served.log(KIOSK))[-1] == "out"


def test_a_stopped_kiosk_leaves_every_line_low_and_free(served):
    served.run("systemctl", "stop", KIOSK)
    pins = " ".join(map(str, (GREEN, RED, AMBER, BUZZER, PANEL.lamp_pin)))
    look = f"for pin in {pins}; do cat {SIMULATED}$pin/value; done"
    assert served.run("sh", "-c", look).split() == ["0"] * 5
    assert held(served) == {}
