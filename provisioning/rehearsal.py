"""A made-up check-in goes its whole way through a new version's own programs, beside the door.

Frame image, decoder, station, outbox, daemon, receiver, receipt, settled: the programs that would
be put in force are started as the users they will be, in a folder of their own, and what they did
is judged by the version that is asked, not by the new one. Whoever fails here never reaches the
door.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from checkin import health, outbox, settings
from checkin.clock import Clock
from checkin.health import KioskHealth
from checkin.outbox import Outbox, OutboxError
from checkin.settings import Settings
from provisioning import qr
from provisioning.loopback import Loopback
from provisioning.trial import SERIOUS

VISITOR = "VISITOR:REHEARSAL"

# From the first program's start to the receipt: a Zero 2 W needs a quarter of it.
LONGEST_S = 120.0
TURN_S = 0.1
SETTINGS_S = 60.0  # for a program to read a file, on the slowest board
STOP_S = 10.0

KIOSK_USER, SYNC_USER, GROUP = "vaora-kiosk", "vaora-sync", "vaora"


class RehearsalError(RuntimeError):
    """The new version didn't do it; the message says what it failed at."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A version's programs. `as_users` starts them as the services' users, which takes root."""

    bin: Path
    as_users: bool = True

    def start(self, program: str, user: str, words: list[str], said: IO[bytes]) -> "Running":
        command = [str(self.bin / program), *words]
        # Whatever this process was told is not what a service is told.
        environment = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            umask=0o007,
            user=user if self.as_users else None,
            group=GROUP if self.as_users else None,
            extra_groups=[] if self.as_users else None,
        )
        return Running(program, process, Path(said.name))


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    process: subprocess.Popen[bytes]
    said: Path

    def last_words(self) -> str:
        lines = self.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:120] if lines else "without a word"

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def rehearse(
    programs: Programs,
    real: Settings,
    settings_file: Path,
    clock: Clock,
    *,
    longest_s: float = LONGEST_S,
) -> float:
    """Seconds that the check-in took. Raises `RehearsalError`, and `OSError` of this machine's."""
    scratch = Path(tempfile.mkdtemp(prefix="vaora-rehearsal-"))
    try:
        _for_the_group(scratch, programs)
        _reads_the_settings(programs, settings_file, scratch)
        return _rehearse(programs, real, scratch, clock, longest_s)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reads_the_settings(programs: Programs, file: Path, scratch: Path) -> None:
    """The settings of this kiosk are settings to the new version too."""
    with (scratch / "settings").open("wb") as said:
        words = ["--settings", str(file), "settings"]
        running = programs.start("vaora-kiosk", KIOSK_USER, words, said)
        try:
            ended = running.process.wait(SETTINGS_S)
        except subprocess.TimeoutExpired:
            running.stop()
            ended = -1
    if ended:
        raise RehearsalError(f"it can't read {file}: {running.last_words()}")


def _rehearse(
    programs: Programs, real: Settings, scratch: Path, clock: Clock, longest_s: float
) -> float:
    receiver = Loopback()
    running: list[Running] = []
    try:
        file = scratch / "kiosk.toml"
        file.write_text(_settings(programs, real, scratch, receiver.port), encoding="utf-8")
        made_up = settings.load(file)
        before = _make_outbox(programs, made_up)
        began = clock.moment().tick
        for program, user in (("vaora-kiosk", KIOSK_USER), ("vaora-sync", SYNC_USER)):
            with (scratch / program).open("wb") as said:
                words = ["--settings", str(file), "run"]
                running.append(programs.start(program, user, words, said))
        _until(
            lambda: receiver.confirmed >= 1 and _is_settled(made_up, clock),
            receiver,
            running,
            lambda: clock.moment().tick - began < longest_s,
        )
        took_s = clock.moment().tick - began
        for one in running:
            one.stop()
        _keeps_the_form(made_up, before)
        return took_s
    finally:
        for one in running:
            one.stop()
        receiver.close()


def _until(
    done: Callable[[], bool],
    receiver: Loopback,
    running: list[Running],
    in_time: Callable[[], bool],
) -> None:
    while not done():
        receiver.turn(TURN_S)
        for one in running:
            if one.process.poll() is not None:
                raise RehearsalError(f"{one.name} ended by itself: {one.last_words()}")
        if not in_time():
            how_far = "wasn't settled" if receiver.confirmed else "didn't come to the receiver"
            raise RehearsalError(f"the made-up check-in {how_far} in time")


def _is_settled(made_up: Settings, clock: Clock) -> bool:
    """Whether the outbox counts it as confirmed, and the kiosk says that it is well."""
    now = clock.moment()
    said = health.read(made_up.kiosk_health_file, KioskHealth, boot=now.boot, tick=now.tick)
    if said is None or SERIOUS & set(said.faults):
        return False
    try:
        with closing(Outbox(made_up.outbox_file, create=False)) as opened:
            found = opened.summary()
    except OutboxError:
        return False
    return found.appended >= 1 and found.pending == 0


def _make_outbox(programs: Programs, made_up: Settings) -> tuple[str, ...]:
    """An outbox of the version that is asked, for the new one to go on with; its form."""
    Outbox(made_up.outbox_file).close()
    _for_the_group(made_up.outbox_file, programs)
    return outbox.form(made_up.outbox_file)


def _keeps_the_form(made_up: Settings, before: tuple[str, ...]) -> None:
    """Going back must be possible at any time, so the file must stay one that can be gone back to.

    A copy from before the change would be no way back: it lacks what came in since.
    """
    try:
        after = outbox.form(made_up.outbox_file)
    except OutboxError as error:
        raise RehearsalError(f"its outbox can't be read by the version before: {error}") from error
    if after != before:
        raise RehearsalError(
            "it changes the form of the outbox, which there is no way back from: install the "
            "package by hand"
        )


def _settings(programs: Programs, real: Settings, scratch: Path, port: int) -> str:
    """A bench: the kiosk's own name and seal, a picture for a camera, nobody outside.

    As few lines as will do: the new version may be one that doesn't know every setting of ours.
    """
    frames, data, run = (scratch / name for name in ("frames", "data", "run"))
    for folder in (frames, data, run):
        folder.mkdir()
        _for_the_group(folder, programs)
    (frames / "0.pgm").write_bytes(qr.frame(VISITOR))
    return f"""seal = "{real.seal or "off"}"
[kiosk]
id = "{real.kiosk.id}"
checkpoint = "{real.kiosk.checkpoint}"
data_dir = "{data}"
runtime_dir = "{run}"
[camera]
source = "replay"
path = "{frames}"
fps = 5
repeat = true
[panel]
kind = "terminal"
[outbox]
min_free_mb = 0
[broker]
host = "127.0.0.1"
port = {port}
tls = false
wait_initial_s = 1.0
wait_max_s = 2.0
"""


def _for_the_group(place: Path, programs: Programs) -> None:
    """Without the bit by which new files take a folder's group: root's unit may set none."""
    if programs.as_users:
        os.chown(place, 0, pwd.getpwnam(KIOSK_USER).pw_gid)
    place.chmod(0o770 if place.is_dir() else 0o660)
