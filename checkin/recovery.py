"""What can still be read of an outbox file that was damaged, cut short or half overwritten.

Not by SQLite, which stops at the first page that is wrong: the bytes themselves are searched for
events, in the file and in its log. Each was written with its CRC-32 right before it (the last two
columns of a row lie next to each other: https://www.sqlite.org/fileformat2.html#record_format),
so what is found is what was written, or it isn't found.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from checkin import event
from checkin.event import CheckIn, EventError

# Every event that a door writes begins and ends so, and has no such end inside.
EVENT = re.compile(
    rb'\{"id":"[^"\\]{1,64}","source":.{1,15000}?"datacontenttype":"application/json"\}', re.DOTALL
)

# The file is searched in pieces: a 64 GB card must not be read into memory.
PIECE_BYTES = 16 * 1024 * 1024
OVERLAP_BYTES = event.LONGEST_EVENT_BYTES + 8

CRC_BYTES = 4


@dataclass(slots=True)
class Recovered:
    """The events that were found, by outbox and `seq`; `doubtful` counts what had no right CRC."""

    found: dict[tuple[str, int], bytes] = field(default_factory=dict)
    doubtful: int = 0

    def add(self, checkin: CheckIn, body: bytes) -> None:
        self.found.setdefault((checkin.outbox, checkin.seq), body)

    @property
    def outboxes(self) -> list[str]:
        return sorted({outbox for outbox, _ in self.found})

    def of(self, outbox: str) -> list[bytes]:
        """The events of one outbox, in order."""
        return [body for (name, _), body in sorted(self.found.items()) if name == outbox]


def recover(file: Path) -> Recovered:
    """Search `file` and the log beside it. Reads only. Raises `OSError` where there is nothing."""
    recovered = Recovered()
    parts = [file, file.with_name(file.name + "-wal")]
    for part in parts:
        if part == file or part.exists():
            for body, sure in _events(part):
                _take(recovered, body, sure=sure)
    return recovered


def _take(recovered: Recovered, body: bytes, *, sure: bool) -> None:
    try:
        checkin = event.decode(body)
    except EventError:
        recovered.doubtful += 1
        return
    if sure:
        recovered.add(checkin, body)
    else:
        recovered.doubtful += 1


def _events(part: Path) -> Iterator[tuple[bytes, bool]]:
    """What looks like an event, and whether the CRC before it says that it is whole."""
    with part.open("rb") as opened:
        before = b""
        while piece := opened.read(PIECE_BYTES):
            searched = before + piece
            end = 0
            for match in EVENT.finditer(searched):
                body, end = match.group(), match.end()
                yield (
                    body,
                    _has_crc(searched[max(0, match.start() - CRC_BYTES) : match.start()], body),
                )
            # What begins near the end may go on in the next piece.
            before = searched[max(end, len(searched) - OVERLAP_BYTES) :]


def _has_crc(before: bytes, body: bytes) -> bool:
    """SQLite writes a number in as few bytes as it needs: 4 or 6, seldom 3 or less."""
    crc = zlib.crc32(body)
    for count in (4, 3, 2, 1):
        if count == CRC_BYTES or crc < 1 << (8 * count - 1):
            wanted = crc.to_bytes(max(count, CRC_BYTES), "big")[-count:]
            if before[-count:] == wanted:
                return True
    return False
