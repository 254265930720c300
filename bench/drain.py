"""A backlog carried to a real broker and a real central, beside `mosquitto_pub`."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import backlog
from bench.figure import median, report
from demo.programs import Bench, BrokerProgram, mosquitto_path
from tests.authority import authority, certificate, readable_by_mosquitto

CHECK_INS = 100_000
FEW, MANY = 10_000, 1_000_000
ROUNDS = 3
PATIENCE_S = 300

# One core for whoever sends, the other for whoever receives, in every measurement alike.
SENDER, RECEIVER = "0", "1"

# CONNACK is 4 bytes in MQTT 3.1.1, and so is each PUBACK (OASIS MQTT 3.1.1, 3.2 and 3.4).
PUBACK_BYTES = 4


def drain() -> None:
    """`drain_ratio` and its kin: 100,000 check-ins that wait, until every one is settled.

    `drain_ratio`: confirmed by the broker. `drain_receipts_ratio`: stored by the central, each
    message flushed to its disk, and confirmed by receipts. The reference of both is
    `mosquitto_pub -l -q 1` with the same events one by one. `drain_tls_ratio`: as the first, by
    mutual TLS; its reference is the first. Medians of three, in turn; at the end every check-in
    that the central has is compared with what was sent.
    """
    if mosquitto_path() is None or shutil.which("mosquitto_pub") is None:
        print("the drain's figures need mosquitto and mosquitto-clients", file=sys.stderr)
        return
    ours: dict[str, list[float]] = {"broker": [], "tls": [], "central": []}
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        yard = Yard(Path(name))
        yard.fill(CHECK_INS)
        with yard.brokers():
            for _ in range(ROUNDS):
                ours["broker"].append(CHECK_INS / yard.carry("broker")["took_s"])
                ours["tls"].append(CHECK_INS / yard.carry("broker", tls=True)["took_s"])
                ours["central"].append(CHECK_INS / yard.carry_to_central())
                theirs.append(CHECK_INS / yard.mosquitto_pub(CHECK_INS))
    reference = median(theirs)
    report("drain_ratio", median(ours["broker"]), "1/s", reference)
    report("drain_tls_ratio", median(ours["tls"]), "1/s", median(ours["broker"]))
    report("drain_receipts_ratio", median(ours["central"]), "1/s", reference)


def drain_memory() -> None:
    """`drain_rss_mb`: the daemon's largest resident memory, draining a million check-ins.

    Reference: draining 10,000. `drain_rss_growth_mb` is the difference. The kernel's own figure
    (VmHWM).
    """
    if mosquitto_path() is None:
        print("the drain's figures need mosquitto", file=sys.stderr)
        return
    peaks: list[float] = []
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
            yard = Yard(Path(name))
            yard.fill(count)
            with yard.brokers():
                peaks.append(yard.carry("broker")["rss_mb"])
    report("drain_rss_mb", peaks[1], "MB", peaks[0])
    report("drain_rss_growth_mb", peaks[1] - peaks[0], "MB", peaks[0])


@dataclass(slots=True)
class Yard:
    """One outbox, and brokers with and without TLS to carry it to."""

    folder: Path
    plain: BrokerProgram | None = None
    secure: BrokerProgram | None = None

    def bench(self, confirm: str, *, tls: bool = False) -> Bench:
        assert self.plain is not None
        assert self.secure is not None
        extra: dict[str, Any] = {"confirm": confirm, "answer_s": 20.0}
        port = self.plain.port
        if tls:
            files = {key: str(self.folder / name) for key, name in TLS_FILES.items()}
            port = self.secure.port
            extra |= {"tls": True, **files}
        bench = Bench(self.folder / "bench", port, broker=extra)
        bench.prepare()
        return bench

    def fill(self, count: int) -> None:
        self.plain = BrokerProgram(self.folder / "plain", extra=PLAIN)
        self.secure = BrokerProgram(self.folder / "secure", extra=self._tls())
        made = self.bench("broker").settings
        Path(made.kiosk.data_dir).mkdir(parents=True, exist_ok=True)
        names = {"checkpoint": made.kiosk.checkpoint, "kiosk": made.kiosk.id}
        backlog.fill(made.outbox_file, count, **names)
        self.lines.write_bytes(b"\n".join(backlog.bodies(made.outbox_file)) + b"\n")

    @property
    def lines(self) -> Path:
        return self.folder / "lines"

    @contextmanager
    def brokers(self) -> Iterator[None]:
        assert self.plain is not None
        assert self.secure is not None
        for broker in (self.plain, self.secure):
            broker.start()
            assert broker.program is not None
            _pin(broker.program.process.pid, RECEIVER)
        try:
            yield
        finally:
            self.plain.stop()
            self.secure.stop()

    def carry(self, confirm: str, *, tls: bool = False) -> dict[str, float]:
        """Empty the outbox once with the daemon's own loop; what `bench.carrier` says of it."""
        bench = self.bench(confirm, tls=tls)
        _everything_waits_again(bench.settings.outbox_file)
        command = ["taskset", "-c", SENDER, sys.executable, "-m", "bench.carrier"]
        with subprocess.Popen(
            [*command, str(bench.settings_file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as carrier:  # fmt: skip
            assert carrier.stdin is not None
            assert carrier.stdout is not None
            assert carrier.stdout.readline() == "ready\n"
            carrier.stdin.write("go\n")
            carrier.stdin.flush()
            found: dict[str, float] = json.loads(carrier.stdout.readline())
        assert found["left"] == 0
        return found

    def carry_to_central(self) -> float:
        assert self.plain is not None
        # A broker anew: it keeps for a central that is away what the other measurements send.
        self.plain.stop()
        self.plain.start()
        assert self.plain.program is not None
        _pin(self.plain.program.process.pid, RECEIVER)
        bench = self.bench("central")
        for file in bench.folder.glob("central.db*"):
            file.unlink()
        central = bench.start_central()
        _pin(central.process.pid, RECEIVER)
        while bench.said.get(timeout=30).text != "INFO broker there":
            pass
        took = self.carry("central")["took_s"]
        central.stop()
        _assert_all_there(bench)
        return took

    def mosquitto_pub(self, count: int) -> float:
        """Seconds from the first line until `mosquitto_pub` has heard the last acknowledgement.

        Its input stays open until then: at its end `mosquitto_pub -l` (2.0.11, 2.0.18) exits with
        0 and most of its queue unsent. What it has read (`/proc/PID/io`) tells how far it is.
        """
        assert self.plain is not None
        command = ["taskset", "-c", SENDER, "mosquitto_pub", "-h", "127.0.0.1"]
        command += ["-p", str(self.plain.port), "-V", "311", "-t", "bench", "-q", "1", "-l"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as publisher:
            time.sleep(0.5)  # noqa: TID251  it connects; nothing of this is measured
            goal = _read_bytes(publisher.pid) + self.lines.stat().st_size + PUBACK_BYTES * count
            began = time.perf_counter()
            cat = ["taskset", "-c", SENDER, "cat", str(self.lines)]
            with subprocess.Popen(cat, stdout=publisher.stdin):
                while _read_bytes(publisher.pid) < goal:
                    assert time.perf_counter() - began < PATIENCE_S
                    time.sleep(0.001)  # noqa: TID251
                took = time.perf_counter() - began
            assert publisher.stdin is not None
            publisher.stdin.close()
        return took

    def _tls(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority(self.folder)
        for name in ("server", "kiosk"):
            certificate(self.folder, name)
        readable_by_mosquitto(self.folder)
        return (
            f"{PLAIN}\ncafile {self.folder}/ca.pem\nrequire_certificate true\n"
            f"certfile {self.folder}/server.pem\nkeyfile {self.folder}/server.key"
        )


TLS_FILES = {"ca_file": "ca.pem", "cert_file": "kiosk.pem", "key_file": "kiosk.key"}

PLAIN = "allow_anonymous true\nset_tcp_nodelay true"


def _pin(pid: int, core: str) -> None:
    os.sched_setaffinity(pid, {int(core)})


def _read_bytes(pid: int) -> int:
    """What a process has read so far, files, pipes and sockets alike (proc(5), rchar)."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def _everything_waits_again(outbox: Path) -> None:
    db = sqlite3.connect(outbox)
    db.execute("update state set confirmed = 0")
    db.execute("delete from confirmations")
    db.commit()
    db.close()


def _assert_all_there(bench: Bench) -> None:
    db = sqlite3.connect(bench.database)
    there = db.execute("select sum(last - first + 1), min(first), max(last) from runs").fetchone()
    db.close()
    assert there == (CHECK_INS, 1, CHECK_INS), there
