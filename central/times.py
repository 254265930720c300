"""When a check-in really was: how sure the central is of each time, and by what.

A kiosk writes the time that it believes, and what its monotonic clock said. `synced`: the network
had set the clock. `corrected`: it was set later in the same boot, and the monotonic clock leads
back. `bounded`: never in that boot; it was after the last known time before it, and before the
first known after it. Nothing that is stored is changed: this is worked out when somebody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from checkin.event import SYNCED_ERROR_S, CheckIn
from sync_daemon.topics import Anchor

# A Pi's crystal, uncorrected: a few tens of millionths in the datasheets, some more in the sun.
DRIFT = 100e-6

Sure = Literal["synced", "corrected", "bounded"]

BEGIN_OF_TIME = datetime.min.replace(tzinfo=UTC)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """The best time for a check-in, and the earliest and latest that it can have been."""

    at: datetime
    sure: Sure
    earliest: datetime
    latest: datetime


def known(checkin: CheckIn, anchors: Mapping[str, Anchor]) -> Known | None:
    """The time of `checkin` where its clock was set then or (by `anchors`) later, else None."""
    clock = checkin.data.clock
    if clock.synced:
        return _around(checkin.time, "synced", SYNCED_ERROR_S)
    anchor = anchors.get(clock.boot)
    return None if anchor is None else _led_back(checkin, anchor)


def between(
    checkin: CheckIn,
    before: tuple[CheckIn, Known] | None,
    after: tuple[CheckIn, Known] | None,
    received_at: datetime,
) -> Known:
    """The time of a check-in of a boot that no anchor is known of.

    `before` and `after` are its nearest neighbours in the outbox whose time is known. One of the
    same boot is as good as an anchor.
    """
    for neighbour in (after, before):
        if neighbour is not None and _same_boot(checkin, neighbour[0]):
            return _led_back(checkin, _anchor(*neighbour))
    earliest, latest = EPOCH, received_at
    if before is not None:
        # The tick counts from a boot that began after that neighbour.
        earliest = _moved(before[1].earliest, checkin.data.clock.tick_s)
    if after is not None:
        latest = min(latest, _moved(after[1].latest, -after[0].data.clock.tick_s))
    latest = max(earliest, latest)
    return Known(min(max(checkin.time, earliest), latest), "bounded", earliest, latest)


def _led_back(checkin: CheckIn, anchor: Anchor) -> Known:
    apart_s = checkin.data.clock.tick_s - anchor.tick_s
    at = _moved(anchor.at, apart_s)
    return _around(at, "corrected", anchor.error_s + DRIFT * abs(apart_s))


def _anchor(checkin: CheckIn, found: Known) -> Anchor:
    error_s = (found.latest - found.earliest).total_seconds() / 2
    clock = checkin.data.clock
    return Anchor(boot=clock.boot, tick_s=clock.tick_s, at=found.at, error_s=error_s)


def _same_boot(one: CheckIn, other: CheckIn) -> bool:
    return one.data.clock.boot == other.data.clock.boot


def _around(at: datetime, sure: Sure, error_s: float) -> Known:
    return Known(at, sure, _moved(at, -error_s), _moved(at, error_s))


def _moved(at: datetime, seconds: float) -> datetime:
    """`at`, later by `seconds`; a stranger's numbers may lead out of the calendar, to its end."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return END_OF_TIME if seconds > 0 else BEGIN_OF_TIME
