"""A backlog of any length, with events as the door writes them, made fast."""

import random
import sqlite3
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkin import event
from checkin.event import Believed, CheckIn, Data, Sealed, Shown
from checkin.outbox import Outbox

AT = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
BOX = "A" * 180  # a sealed card's box has 170 to 250 letters


def fill(path: Path, count: int, *, checkpoint: str, kiosk: str) -> None:
    """Append `count` check-ins to the outbox at `path`, in one transaction: that isn't measured."""
    outbox = Outbox(path)
    begin, name = outbox.appended() + 1, outbox.id
    outbox.close()
    db = sqlite3.connect(path)
    db.execute("pragma synchronous = off")
    rows = _rows(begin, begin + count, name, checkpoint, kiosk)
    db.executemany("insert into checkins values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.commit()
    db.close()


def bodies(path: Path) -> Iterator[bytes]:
    """The events in the outbox at `path`, in order."""
    db = sqlite3.connect(path)
    for (body,) in db.execute("select body from checkins order by seq"):
        yield bytes(body)
    db.close()


def _rows(
    first: int, end: int, outbox: str, checkpoint: str, kiosk: str
) -> Iterator[tuple[object, ...]]:
    chance = random.Random(first)
    source = event.source(checkpoint, kiosk)
    for seq in range(first, end):
        at = AT + timedelta(seconds=seq)
        id = event.uuid7(at, chance.randbytes(10))
        data = Data(
            checkpoint=checkpoint,
            kiosk=kiosk,
            direction="in",
            direction_by="mounting",
            credential=Shown("cccd", verified=False),
            clock=Believed("boot", float(seq), synced=True),
            sealed=Sealed("00000000", BOX),
        )
        body = event.encode(CheckIn(id, source, at, event.sequence(seq), outbox, data))
        crc = zlib.crc32(body)
        yield seq, id, at.isoformat(), "in", "cccd", "boot", float(seq), b"t" * 16, crc, body
