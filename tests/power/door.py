"""A door and its daemon on one outbox, without a pause and without an end.

    python -m tests.power.door FILE SEED [--synchronous normal]

Says in a line each what happened, once it may be relied on: `green SEQ` when `append` returned,
as the light does, and `settled SEQ`. `opening` and `settling SEQ` come before the deed.
"""

import argparse
import os
import random
import threading
from datetime import timedelta
from pathlib import Path

from checkin.outbox import Anchor, Outbox
from tests.made_up import BOOT, NOON, append

LONGEST_PAUSE_S = 0.05  # of the daemon's: some ten deeds of it before the cut
REFUSED, PRUNED = 0.2, 0.1  # how often a deed of the daemon's has this in it


def say(*words):
    # One write, not print's two: neither the other thread nor the kill comes in between.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def opened(file, synchronous, *, create):
    outbox = Outbox(file, create=create)
    if synchronous:
        outbox._db.execute(f"pragma synchronous = {synchronous}")
    return outbox


def carry(file, synchronous, chance):
    outbox = opened(file, synchronous, create=False)
    while True:
        threading.Event().wait(chance.uniform(0, LONGEST_PAUSE_S))
        now = outbox.summary()
        through = chance.randint(now.confirmed, now.appended)
        refused = {through: "made up"} if through and chance.random() < REFUSED else {}
        say("settling", through)
        outbox.settle(through, refused, NOON + timedelta(seconds=through))
        say("settled", through)
        outbox.note_anchor(Anchor(BOOT, float(through), NOON, 0.1))
        if chance.random() < PRUNED:
            while outbox.prune(None):
                pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--synchronous")
    wanted = parser.parse_args()
    say("opening")
    outbox = opened(wanted.file, wanted.synchronous, create=True)
    daemon = (wanted.file, wanted.synchronous, random.Random(wanted.seed))
    threading.Thread(target=carry, args=daemon, daemon=True).start()
    seq = outbox.appended()
    while True:
        seq = append(outbox, seq)
        say("green", seq)


if __name__ == "__main__":
    main()
