"""`python -m bench.carrier SETTINGS`: the daemon's own loop, told when to begin, and timed.

Prints `ready` once everything is imported and the outbox is open; begins with the first line on
its standard input; prints one JSON line when every check-in is settled. A daemon runs for months:
that Python needs half a second to start is no part of how fast it carries.
"""

import json
import sys
import time
from pathlib import Path

from checkin import settings
from checkin.outbox import Outbox
from sync_daemon.__main__ import make_loop

PATIENCE_S = 300


def main() -> None:
    loaded = settings.load(Path(sys.argv[1]))
    outbox = Outbox(loaded.outbox_file, create=False)
    loop = make_loop(loaded, outbox)
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.perf_counter(), time.process_time()
    while outbox.pending_count() and time.perf_counter() - began < PATIENCE_S:
        loop.turn()
    took = time.perf_counter() - began
    loop.stop()
    line = {
        "took_s": took,
        "cpu_s": time.process_time() - cpu,
        "left": outbox.pending_count(),
        "rss_mb": _peak_mb(),
    }
    print(json.dumps(line), flush=True)


def _peak_mb() -> float:
    """The largest resident memory so far. Not by `getrusage`: that counts its parent's too."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
