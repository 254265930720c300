"""One check-in, committed, against the raw device: the same bytes written and flushed."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import median, report, seconds
from checkin.outbox import Entry, Outbox

ROUNDS = 300
BODY = b"x" * 640  # a sealed card's event has 600 to 700 bytes


def append() -> None:
    """`append_ratio`: one `Outbox.append`; reference: `write` and `fdatasync` of the same bytes.

    One of each in turn, so that a disk in a bad mood is so for both.
    """
    entry = Entry("id", datetime.now(UTC), "in", "cccd", "boot", 1.0, b"t" * 16)
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as name:
        outbox = Outbox(Path(name) / "outbox.db")
        raw = os.open(Path(name) / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def flushed() -> None:
            os.write(raw, BODY)
            os.fdatasync(raw)

        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(seconds(lambda: outbox.append(entry, lambda _box, _seq: BODY)) * 1000)
            theirs.append(seconds(flushed) * 1000)
        os.close(raw)
        outbox.close()
    report("append_ratio", median(ours), "ms", median(theirs))
