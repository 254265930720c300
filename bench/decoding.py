"""What reading costs where there is nothing to read, and what it gains where reading is hard."""

import contextlib
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from bench.door import decoder, engines
from bench.figure import median, report, seconds
from bench.hard import FPS, SHOWN_FRAMES, VISITORS, hard_frames
from demo import scenes
from kiosk.devices import zxing
from kiosk.ports import Code

if TYPE_CHECKING:
    from kiosk.ports import Grey

# A minute of an idle door.
IDLE_FRAMES = 60 * FPS
INTERVAL_MS = 1000 / FPS

# Between two visitors: half a second.
GAP_FRAMES = 15

Read = Callable[["Grey"], Sequence[Code]]


def empty_frame() -> None:
    """A minute of an idle door: CPU time a frame, ours and plain zxing-cpp's, and our worst."""
    frames = list(islice(scenes.empty_frames(10, seed=1), 10))
    ours, plain = decoder(), zxing.local()
    spent = {"ours": 0.0, "plain": 0.0}
    worst = 0.0
    for number in range(IDLE_FRAMES):
        frame = frames[number % len(frames)]
        took = seconds(lambda frame=frame: ours.read(frame), time.thread_time)  # type: ignore[misc]
        spent["ours"] += took
        worst = max(worst, took)
        spent["plain"] += seconds(lambda frame=frame: plain.read(frame), time.thread_time)  # type: ignore[misc]
    mean = {name: total / IDLE_FRAMES * 1000 for name, total in spent.items()}
    report("empty_frame_ms", mean["ours"], "ms", mean["plain"])
    report("empty_frame_ratio", mean["ours"] / mean["plain"], "of plain zxing-cpp", 1.0)
    report("empty_frame_max_ms", worst * 1000, "ms", INTERVAL_MS)


def hard() -> None:
    """One second of a code that is hard to read: how many are read, and how soon.

    The door's decoder and each engine alone see the same frames in real time: whoever takes
    longer than a frame misses the next ones. Unread visitors count with the whole second.
    """
    readers = _readers()
    waits: dict[str, list[float]] = {name: [] for name in readers}
    for visitor in range(VISITORS):
        payload, shown = hard_frames(visitor)
        empty, frames = list(scenes.empty_frames(GAP_FRAMES, visitor)), list(shown)
        for name, read in readers.items():
            for frame in empty if name == "ours" else ():  # the engines remember nothing
                read(frame)
            waits[name].append(_wait(read, payload, frames))
    second = SHOWN_FRAMES / FPS
    rates = {name: sum(wait < second for wait in each) / len(each) for name, each in waits.items()}
    alone = {name: rate for name, rate in rates.items() if name != "ours"}
    report("read_rate_hard", rates["ours"], "of visitors", max(alone.values()))
    for name, rate in alone.items():
        report(f"read_rate_hard_{name}", rate, "of visitors", rates["ours"])
    report("read_rate_hard_best_single", max(alone.values()), "of visitors", rates["ours"])
    for what, middle in (("time_to_read", median), ("time_to_read_mean", _mean)):
        times = {name: middle(each) * 1000 for name, each in waits.items()}
        best = min(value for name, value in times.items() if name != "ours")
        report(f"{what}_ms", times["ours"], "ms", best)
        report(f"{what}_ratio", times["ours"] / best, "of the best engine alone", 1.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _readers() -> dict[str, Read]:
    """Ours, and each engine alone; tapirscan too where somebody installed it to compare."""
    known = engines()
    readers: dict[str, Read] = {
        "ours": decoder().read,
        "zxing_local": known.local.read,
        "zxing_overall": known.overall.read,
    }
    if known.second is not None:
        readers["zbar"] = known.second.read
    with contextlib.suppress(ImportError):
        readers["tapirscan"] = _tapirscan()
    return readers


def _tapirscan() -> Read:
    import tapirscan  # noqa: PLC0415  a peer to compare with, never a part of the kiosk

    scanner = tapirscan.Scanner("medium", formats=["QRCode"], parallel=False)

    def read(grey: "Grey") -> Sequence[Code]:
        nowhere = ((0, 0), (0, 0), (0, 0), (0, 0))
        found = (code.payload_bytes or code.text.encode() for code in scanner.scan(grey).barcodes)
        return [Code(payload, "", nowhere) for payload in found]

    return read


def _wait(read: Read, payload: bytes, frames: "Sequence[Grey]") -> float:
    free_at = 0.0
    for number, frame in enumerate(frames):
        shown_at = number / FPS
        if free_at > shown_at + 1 / FPS:
            continue  # the camera has a newer one by now
        found: Sequence[Code] = []

        def look(frame: "Grey" = frame) -> None:
            nonlocal found
            found = read(frame)

        free_at = max(free_at, shown_at) + seconds(look, time.thread_time)
        if any(code.payload == payload for code in found):
            return free_at
    return len(frames) / FPS
