"""Instructions per code-free frame, counted by callgrind: repeatable on the busiest machine.

The count is of a run with many frames less a run with few, so that starting up isn't in it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import report

FEW, MANY = 3, 43

# What the counted program does: the door's decoder, or zxing-cpp alone, over an idle door's frames.
DRIVER = """
import sys
from itertools import islice
import cv2
from bench.door import decoder
from demo import scenes
from kiosk.devices import zxing
cv2.setNumThreads(1)
reader = decoder() if sys.argv[1] == "ours" else zxing.local()
frames = list(islice(scenes.empty_frames(3, seed=1), 3))
for number in range(int(sys.argv[2])):
    reader.read(frames[number % 3])
"""


def empty_instructions() -> None:
    """`empty_frame_instructions`: millions a frame; reference: plain zxing-cpp's."""
    if shutil.which("valgrind") is None:
        print("# empty_frame_instructions: needs valgrind (apt install valgrind)", flush=True)
        return
    counted = {
        who: (_count(who, MANY) - _count(who, FEW)) / (MANY - FEW) / 1e6
        for who in ("ours", "plain")
    }
    report("empty_frame_instructions", counted["ours"], "million", counted["plain"])


def _count(who: str, frames: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            sys.executable,
            "-c",
            DRIVER,
            who,
            str(frames),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    collected = re.search(r"Collected : (\d+)", ran.stderr)
    if collected is None:
        raise RuntimeError(f"callgrind said no count: {ran.stderr[-300:]}")
    return int(collected[1])
