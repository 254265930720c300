"""What a kiosk process leaves to the one after it: the hold-off's key and who was in sight.

Both lie in memory (`runtime_dir`) and end with the power. The key turns visitors into tags; the
outbox has a tag beside each check-in, which after a power cut nobody can link to anyone, not even
with the whole list of the country's card numbers at hand.
"""

import logging
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from checkin import health
from checkin.clock import Moment

log = logging.getLogger("vaora.kiosk")

KEY_BYTES = 32
LONGEST_FILE_BYTES = 4 * 1024 * 1024


class Remembered(msgspec.Struct, frozen=True):
    """`sightings` are (tag, tick) as of `tick` in boot `boot`."""

    boot: str
    key: bytes
    tick: float = 0.0
    sightings: list[tuple[bytes, float]] = []


class Memory:
    """One file, replaced whole. A file of another boot, or a damaged one, is as none."""

    def __init__(self, file: Path, now: Moment) -> None:
        self._file = file
        self._saved: Sequence[tuple[bytes, float]] = ()
        found = _read(file)
        if found is None or found.boot != now.boot or len(found.key) != KEY_BYTES:
            found = Remembered(boot=now.boot, key=secrets.token_bytes(KEY_BYTES), tick=now.tick)
        self.begin = found
        self._write(found)  # before the first check-in is tagged with the key

    def save(self, sightings: Sequence[tuple[bytes, float]], now: Moment) -> None:
        """Keep who is in sight, and that this was noted now. An empty door costs nothing."""
        if not sightings and not self._saved:
            return
        self._saved = sightings
        self._write(
            Remembered(self.begin.boot, self.begin.key, tick=now.tick, sightings=list(sightings))
        )

    def _write(self, remembered: Remembered) -> None:
        beside = None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # By a name that nobody knows before, and nobody else's to read: the daemon may write in
            # this folder, and who has the key can tell from the tags who came.
            opened, beside = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}-")
            with open(opened, "wb") as out:  # noqa: PTH123  a descriptor
                out.write(msgspec.msgpack.encode(remembered))
            Path(beside).replace(self._file)
        except OSError as error:
            if beside is not None:
                with suppress(OSError):
                    Path(beside).unlink()
            # A door without this memory still serves; only a restart in mid-visit counts twice.
            log.warning("%s could not be written: %s", self._file, error)


def _read(file: Path) -> Remembered | None:
    """What is remembered; nothing of a file that another user made: its key may be theirs."""
    try:
        with health.ordinary(file) as opened:
            if os.fstat(opened.fileno()).st_uid != os.geteuid():
                return None
            return msgspec.msgpack.decode(opened.read(LONGEST_FILE_BYTES), type=Remembered)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
