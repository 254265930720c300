"""A frame without a code, through the door's decoder and through zxing-cpp alone."""

from itertools import islice

from bench.door import engines
from bench.figure import report, seconds
from demo import scenes
from kiosk.devices import zxing
from kiosk.devices.decoder import RotatingDecoder

FRAMES = 300


def empty_frame() -> None:
    """`empty_frame_ms`: the mean over ten seconds of an idle door; reference: plain zxing-cpp."""
    frames = list(islice(scenes.empty_frames(10, seed=1), 10))
    ours = RotatingDecoder(zxing.local(), engines(), every=10)
    plain = zxing.local()
    spent = {"ours": 0.0, "plain": 0.0}
    for number in range(FRAMES):
        frame = frames[number % len(frames)]
        spent["ours"] += seconds(lambda frame=frame: ours.read(frame))  # type: ignore[misc]
        spent["plain"] += seconds(lambda frame=frame: plain.read(frame))  # type: ignore[misc]
    mean = {name: total / FRAMES * 1000 for name, total in spent.items()}
    report("empty_frame_ms", mean["ours"], "ms", mean["plain"])
