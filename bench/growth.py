"""What an append and the next batch cost in a small outbox and in one of five million rows."""

import random
import shutil
import sqlite3
import sys
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import median, report, seconds
from checkin.outbox import Entry, Outbox

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "5m": 5_000_000}
ROUNDS = 200
BATCH_ROWS = 350  # what fits into a message of 256 kB
BODY = b"x" * 690
ROW_BYTES = 900
ENTRY = Entry("id", datetime.now(UTC), "in", "cccd", "boot", 1.0, b"t" * 16)


def growth() -> None:
    """`growth_5m_ratio`: the same in an outbox of 5,000,000 rows; reference: of 10,000.

    Appends, and batches from anywhere in the file; the figure is that of the two which grew more.
    One of each size in turn, so that a disk in a bad mood is so for all.
    """
    build = Path.cwd() / "build"
    needed = ROW_BYTES * sum(SIZES.values())
    if shutil.disk_usage(build).free < 2 * needed:
        print(f"growth_5m_ratio needs {2 * needed // 10**9} GB of free disk", file=sys.stderr)
        return
    chance = random.Random(1)
    appends: dict[str, list[float]] = {size: [] for size in SIZES}
    batches: dict[str, list[float]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory(dir=build) as name:
        boxes = {size: _filled(Path(name) / f"{size}.db", rows) for size, rows in SIZES.items()}
        for _ in range(ROUNDS):
            for size, box in boxes.items():
                appends[size].append(seconds(lambda: box.append(ENTRY, lambda *_: BODY)) * 1000)  # noqa: B023  called at once
                after = chance.randrange(SIZES[size] - BATCH_ROWS)
                batches[size].append(seconds(lambda: box.pending(after, BATCH_ROWS)) * 1000)  # noqa: B023
        for box in boxes.values():
            box.close()
    for what, found in (("append", appends), ("batch", batches)):
        costs = ", ".join(f"{size} {median(times):.3f}" for size, times in found.items())
        print(f"{what}, ms: {costs}", file=sys.stderr)
    worst = max((appends, batches), key=lambda found: median(found["5m"]) / median(found["10k"]))
    report("growth_5m_ratio", median(worst["5m"]), "ms", median(worst["10k"]))


def _filled(path: Path, rows: int) -> Outbox:
    box = Outbox(path, limit_rows=10**9)
    db = sqlite3.connect(path)
    db.execute("pragma synchronous = off")
    db.execute(
        "insert into checkins with recursive n(i) as"
        " (values (1) union all select i + 1 from n where i < ?)"
        " select i, printf('%036d', i), '2026-03-02T07:00:00+00:00', 'in', 'cccd', 'boot', i,"
        " zeroblob(16), ?, cast(? as blob) from n",
        (rows, zlib.crc32(BODY), BODY),
    )
    db.commit()
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    return box
