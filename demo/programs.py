"""The real programs as processes: a broker, a kiosk, a sync daemon, a central."""

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from checkin import settings
from checkin.seal import CentralKey, new_private_key
from checkin.settings import Broker, Camera, Door, Kiosk, Panel, Policy, Settings

START_S = 15.0
STOP_S = 10.0

# Debian puts it where an ordinary user's PATH doesn't look.
MOSQUITTO_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


class ProgramError(RuntimeError):
    """A program didn't start, or ended when it should not have."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something a program said."""

    at: float
    who: str
    text: str


Said = queue.Queue[Line]


class Program:
    """A process whose every line goes to `said`. Ended by its id, and by nothing else."""

    def __init__(self, who: str, command: list[str], said: Said | None = None) -> None:
        self.who = who
        self._said: Said = said or queue.Queue()
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  it is a pipe
        for text in self.process.stdout:
            self._said.put(Line(time.monotonic(), self.who, text.rstrip()))

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no goodbye, as when the power goes."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """SIGTERM, and the exit status; SIGKILL for one that doesn't listen."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._ended()

    def wait(self, timeout_s: float) -> int:
        self.process.wait(timeout_s)
        return self._ended()

    def _ended(self) -> int:
        status = self.process.wait()
        self._reader.join(STOP_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def mosquitto_path() -> str | None:
    return shutil.which("mosquitto", path=MOSQUITTO_PATH)


@dataclass(slots=True)
class BrokerProgram:
    """A real broker on a port of loopback: mosquitto, or amqtt where there is none."""

    folder: Path
    port: int = field(default_factory=free_port)
    said: Said | None = None
    extra: str = ""
    program: Program | None = None

    @property
    def kind(self) -> str:
        return "mosquitto" if mosquitto_path() else "amqtt"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        mosquitto = mosquitto_path()
        if mosquitto is not None:
            configuration = self.folder / "mosquitto.conf"
            configuration.write_text(
                f"listener {self.port} 127.0.0.1\n{self.extra or 'allow_anonymous true'}\n"
            )
            command = [mosquitto, "-c", str(configuration)]
        else:
            command = [sys.executable, "-m", "demo.amqtt_broker", str(self.port)]
        self.program = Program("broker", command, self.said)
        wait_for_port(self.port, self.program)

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()


def wait_for_port(port: int, program: Program) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if not program.is_running:
            raise ProgramError(f"{program.who} ended at once; its port {port} may be taken")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise ProgramError(f"{program.who} doesn't listen on port {port}")


@dataclass(slots=True)
class Bench:
    """A kiosk, its daemon, a central, and the files of all three, in one folder."""

    folder: Path
    broker_port: int
    said: Said = field(default_factory=queue.Queue)
    daemon_port: int = 0  # where the daemon thinks the broker is; 0: at the broker's own port
    camera: Camera = Camera()  # noqa: RUF009  frozen
    door: Door = Door()  # noqa: RUF009  frozen
    policy: Policy = Policy()  # noqa: RUF009  frozen
    broker: dict[str, Any] = field(default_factory=dict)

    @property
    def key_file(self) -> Path:
        return self.folder / "central.key"

    @property
    def database(self) -> Path:
        return self.folder / "central.db"

    @property
    def settings_file(self) -> Path:
        return self.folder / "kiosk.toml"

    @property
    def settings(self) -> Settings:
        return settings.load(self.settings_file)

    def prepare(self) -> None:
        """Write the key and the settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.key_file.exists():
            self.key_file.touch(0o600)
            self.key_file.write_text(new_private_key())
        quick = {
            "host": "127.0.0.1",
            "port": self.daemon_port or self.broker_port,
            "tls": False,
            "answer_s": 3.0,
            "wait_initial_s": 0.2,
            "wait_max_s": 1.0,
            "state_every_s": 5.0,
        }
        wanted = Settings(
            seal=CentralKey(self.key_file.read_text()).public,
            kiosk=Kiosk(
                id="cong-chinh",
                checkpoint="0100123",
                data_dir=str(self.folder / "data"),
                runtime_dir=str(self.folder / "run"),
            ),
            door=self.door,
            policy=self.policy,
            camera=self.camera,
            panel=Panel(kind="terminal"),
            outbox=settings.Outbox(min_free_mb=1),
            broker=msgspec.structs.replace(Broker(), **(quick | self.broker)),
        )
        self.settings_file.write_text(settings.as_toml(wanted), encoding="utf-8")

    def start_central(self) -> Program:
        command = [sys.executable, "-m", "central", "run", "--database", str(self.database)]
        command += ["--host", "127.0.0.1", "--port", str(self.broker_port), "--no-tls"]
        return Program("central", command, self.said)

    def start_sync(self) -> Program:
        command = [sys.executable, "-m", "sync_daemon", "--settings", str(self.settings_file)]
        return Program("sync", [*command, "run", "--verbose"], self.said)

    def start_kiosk(self) -> Program:
        command = [sys.executable, "-m", "kiosk", "--settings", str(self.settings_file), "run"]
        return Program("kiosk", command, self.said)
