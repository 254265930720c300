"""A backlog carried to a real broker and a real central, beside mosquitto_pub."""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import report, seconds
from checkin import event
from checkin.event import Believed, CheckIn, Data, Sealed, Shown
from checkin.outbox import Entry, Outbox
from demo.programs import Bench, BrokerProgram, mosquitto_path

CHECK_INS = 20_000
PATIENCE_S = 120


def drain() -> None:
    """`drain_receipts_per_s`: a backlog, published, stored by the central, confirmed by receipts.

    Reference: `mosquitto_pub -l -q 1` sending the same events one by one to the same broker.
    """
    if mosquitto_path() is None or shutil.which("mosquitto_pub") is None:
        print("drain_receipts_per_s needs mosquitto and mosquitto-clients", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        folder = Path(name)
        broker = BrokerProgram(folder / "broker", extra="allow_anonymous true")
        broker.start()
        bench = Bench(folder / "bench", broker.port)
        bench.prepare()
        bodies = _fill(bench)
        central = bench.start_central()
        time.sleep(2)  # noqa: TID251  the central subscribes; nothing of this is measured
        outbox = Outbox(bench.settings.outbox_file, create=False)
        began = time.perf_counter()
        sync = bench.start_sync()
        while outbox.pending_count() and time.perf_counter() - began < PATIENCE_S:
            time.sleep(0.01)  # noqa: TID251
        ours = CHECK_INS / (time.perf_counter() - began)
        assert outbox.pending_count() == 0
        for program in (sync, central):
            program.stop()
        lines = folder / "lines"
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        theirs = CHECK_INS / seconds(lambda: _mosquitto_pub(broker.port, lines))
        broker.stop()
    report("drain_receipts_per_s", ours, "1/s", theirs)


def _fill(bench: Bench) -> list[bytes]:
    """A backlog with events as the door writes them."""
    chance = random.Random(1)
    kiosk = bench.settings.kiosk
    outbox = Outbox(bench.settings.outbox_file)
    outbox._db.execute("pragma synchronous = off")  # noqa: SLF001  making it isn't measured
    bodies: list[bytes] = []

    def encode(box: str, seq: int) -> bytes:
        data = Data(
            checkpoint=kiosk.checkpoint,
            kiosk=kiosk.id,
            direction="in",
            direction_by="mounting",
            credential=Shown("cccd", verified=False),
            clock=Believed("boot", 1.0, synced=True),
            sealed=Sealed("00000000", "A" * 180),
        )
        now = datetime.now(UTC)
        source = event.source(kiosk.checkpoint, kiosk.id)
        id = event.uuid7(now, chance.randbytes(10))
        bodies.append(event.encode(CheckIn(id, source, now, event.sequence(seq), box, data)))
        return bodies[-1]

    for number in range(CHECK_INS):
        entry = Entry(f"{number}", datetime.now(UTC), "in", "cccd", "boot", 1.0, b"t" * 16)
        outbox.append(entry, encode)
    outbox.close()
    return bodies


def _mosquitto_pub(port: int, lines: Path) -> None:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-V", "5"]
    with lines.open("rb") as events:
        subprocess.run([*command, "-t", "bench", "-q", "1", "-l"], stdin=events, check=True)
