"""What comes for the kiosk, signed: put down for it in the folder both share, whatever it is.

Nothing is judged here: the kiosk has the authority's key at hand and decides. All that is bounded
is the length.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checkin import whole
from checkin.settings import Settings
from checkin.signed_list import LONGEST_FILE_BYTES
from sync_daemon import topics
from sync_daemon.broker import Message
from sync_daemon.topics import Address

log = logging.getLogger("vaora.sync")

LONGEST_SETTINGS_BYTES = 65_536

DISK_AGAIN_S = 5.0

# What a broker may have us write: some lists at once, and in the long run 1.4 GB a day. More would
# wear out the card in a year or two, and make the check-ins wait for it.
MOST_BYTES = 4 * LONGEST_FILE_BYTES
BYTES_PER_S = 16_384


@dataclass(frozen=True, slots=True)
class Place:
    """Where to put what comes on a topic, as long as it has no more than so many bytes."""

    file: Path
    longest_bytes: int


class Arrivals:
    """Puts down the last document of each topic.

    One that the disk doesn't take waits in memory: the broker hands it out once a connection.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._waiting: dict[str, bytes] = {}
        self._due = 0.0
        self._trouble = ""
        self._allowed_bytes = float(MOST_BYTES)
        self._allowed_at: float | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._places)

    def hear(self, message: Message) -> bool:
        """Whether `message` is for one of these topics; it is put down with the next `put_down`."""
        place = self._places.get(message.topic)
        if place is None:
            return False
        if len(message.body) > place.longest_bytes:
            log.warning(
                "%s: %d bytes came, and nothing there is longer than %d: left out",
                message.topic,
                len(message.body),
                place.longest_bytes,
            )
        elif message.body:  # an empty one only says that nothing is retained any more
            self._waiting[message.topic] = message.body
            self._due = 0.0
        return True

    def put_down(self, tick: float) -> None:
        """Write what waits, each file whole; what can't be written is tried again."""
        if not self._waiting or tick < self._due:
            return
        self._due = tick + DISK_AGAIN_S
        self._allow(tick)
        try:
            for topic, body in list(self._waiting.items()):
                if self._allowed_bytes < len(body):
                    raise OSError("more has come than a card stands")  # noqa: TRY301  said, waited
                self._put(self._places[topic].file, body)
                del self._waiting[topic]
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("what came for the kiosk can't be put down: %s; trying again", error)
        else:
            self._trouble = ""

    def _allow(self, tick: float) -> None:
        since = tick if self._allowed_at is None else self._allowed_at
        self._allowed_at = tick
        more = self._allowed_bytes + (tick - since) * BYTES_PER_S
        self._allowed_bytes = min(more, float(MOST_BYTES))

    def _put(self, file: Path, body: bytes) -> None:
        if file.exists() and file.stat().st_size == len(body) and file.read_bytes() == body:
            return  # the broker says it again with each connection
        self._allowed_bytes -= len(body)
        whole.write(file, body)
        log.info("%s came; the kiosk takes it if it is signed and newer", file.name)


def arrivals(loaded: Settings) -> Arrivals:
    """What this kiosk listens for: nothing without an authority, since nobody could be believed."""
    if not loaded.policy.authority:
        return Arrivals({})
    here = Address(loaded.kiosk.checkpoint, loaded.kiosk.id)
    return Arrivals(
        {
            here.settings: Place(loaded.settings_arrived, LONGEST_SETTINGS_BYTES),
            topics.TRUST: Place(loaded.trust_arrived, LONGEST_FILE_BYTES),
            topics.REVOCATIONS: Place(loaded.revocations_arrived, LONGEST_FILE_BYTES),
        }
    )
