"""A coverage-guided fuzzer on a target: `python -m tests.fuzz.coverage_guided TARGET|all SECONDS`.

Atheris (libFuzzer) fuzzes in a process of its own, in which our packages and the parsers written in
Python are instrumented; what was slow there is timed in another, in which nothing is. Both are
forked from processes that have loaded all that: loading takes half as long as a short run.
The exit status is 1 where something was found: an exception that isn't documented, more than
`MOST_CPU_S`, more memory than `ROOM_MB`. The input is a file under `build/fuzz/`, named in the
last line, and is tried first when the same target is fuzzed again.
"""

import hashlib
import logging
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from random import Random

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "fuzz"

# Prefixes of the modules in which branches are counted. cbor2, msgspec and cryptography are
# compiled: to the fuzzer they are one branch.
INSTRUMENTED = [
    "checkin", "kiosk.logic", "kiosk.trusted", "sync_daemon", "base45", "tomllib",
    "tests.fuzz.planted",
]  # fmt: skip

# What the process may grow by, whether at once or little by little.
ROOM_MB = 512

# A hundred times what is allowed: on however busy a machine, that is a hang.
HANG_S = 5

# A share of inputs is ours: words, splices and nesting, which libFuzzer comes to slowly.
OURS = 0.3

# So many of the slowest inputs are timed again where nothing is instrumented.
RETIMED = 12
# Instrumented code is a few times slower; whatever took this long is looked at.
MOST_KEPT = 100


SLOWEST = "slowest: "


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `finding` is the input's file, or None; `why` says what was wrong."""

    name: str
    executions: int
    slowest_s: float
    slowest_bytes: int
    finding: Path | None
    why: str

    def __str__(self):
        slowest = f"slowest {1000 * self.slowest_s:.2f} ms ({self.slowest_bytes} bytes)"
        said = [f"{self.name}: {self.executions} executions, {slowest}"]
        said += [self.why, str(self.finding or "no input is known")] if self.why else []
        return "\n".join(said)


class Fuzzers:
    """Fuzzes targets, `at_once` at most; each run is a process of its own."""

    def __init__(self, at_once, folder=FOLDER):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._loaded = {what: [_Loaded(what, folder) for _ in range(at_once)] for what in WORK}
        self._free = {what: Queue() for what in WORK}
        for what, all_of_them in self._loaded.items():
            for one in all_of_them:
                self._free[what].put(one)

    def fuzz(self, name, seconds):
        """Fuzz target `name` for so many seconds."""
        place = self._folder / name
        _make_ready(place, name)
        return _outcome(name, place, self._run, seconds)

    def _run(self, what, *more):
        one = self._free[what].get()
        try:
            return one.run(*more)
        finally:
            self._free[what].put(one)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for one in (one for all_of_them in self._loaded.values() for one in all_of_them):
            one.close()


def _outcome(name, place, run, seconds):
    status, words = run("fuzz", name, place, seconds)
    found = sorted((place / "found").iterdir())
    if not found and not status:
        status, words = run("time", name, place)
    if found or status:
        why = f"exit status {status}\n" + "\n".join(words.splitlines()[-40:])
        return Outcome(name, _executions(place), 0.0, 0, found[0] if found else None, why)
    # Libraries may warn on the same output.
    said = next(line for line in words.splitlines() if line.startswith(SLOWEST))
    slowest_s, size, file = said.removeprefix(SLOWEST).split(" ", 2)
    finding, why = _judged(float(slowest_s), place, Path(file))
    return Outcome(name, _executions(place), float(slowest_s), int(size), finding, why)


class _Loaded:
    """A process that has loaded what `what` needs, and does it in a fork each time."""

    def __init__(self, what, folder):
        self._what, self._log = what, folder / f"loading-{what}.log"
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.coverage_guided", f"--{what}"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip

    def run(self, name, place, *seconds):
        """Do it with target `name`; return the fork's exit status and what it said."""
        print(name, place, *seconds, sep="\t", file=self._process.stdin, flush=True)
        status = self._process.stdout.readline()
        if not status:
            raise RuntimeError(f"the process that should fork has ended: see {self._log}")
        log = place / f"{self._what}.log"
        return int(status), log.read_text(encoding="utf-8", errors="replace")

    def close(self):
        self._process.stdin.close()  # at its end it ends
        self._process.wait()
        self._process.stdout.close()


def _target(name):
    # Imported here: where it is instrumented, that has to be the first import.
    from tests.fuzz import targets

    return (targets.TARGETS | targets.PLANTED)[name]


def _make_ready(place, name):
    target = _target(name)
    for kind in ("corpus", "seeds", "found", "slow"):
        (place / kind).mkdir(parents=True, exist_ok=True)
    for old in [*(place / "slow").iterdir(), place / "count"]:
        old.unlink(missing_ok=True)
    for found in (place / "found").iterdir():
        found.replace(place / "corpus" / found.name)  # tried again, first of all
    for seed in target.seeds:
        (place / "seeds" / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.tokens)
    (place / "words").write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")


def _executions(place):
    count = place / "count"
    return int(count.read_text()) if count.exists() else 0


def _judged(slowest_s, place, file):
    from tests.fuzz.targets import MOST_CPU_S

    if slowest_s <= MOST_CPU_S:
        return None, ""
    kept = file.replace(place / "found" / f"slow-{file.name}")
    return kept, f"took {1000 * slowest_s:.0f} ms of CPU, {1000 * MOST_CPU_S:.0f} are allowed"


# ── the processes that load and fork ─────────────────────────────────────────────────────────────


def fork_for_each_line(what):
    """Load what `what` needs; then do it in a fork for each line, and print its exit status.

    A fork ends as a process of its own would: libFuzzer writes a finding when that exits.
    """
    load, work = WORK[what]
    load()
    for line in sys.stdin:
        name, place, *seconds = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            _say_all_in(Path(place) / f"{what}.log")
            work(name, Path(place), *map(int, seconds))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _say_all_in(log):
    with log.open("wb") as said, Path(os.devnull).open("rb") as nothing:
        for ours, theirs in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(ours.fileno(), theirs)


# ── a process in which nothing is instrumented ───────────────────────────────────────────────────


def load():
    from tests.fuzz import targets

    return targets


def retime(name, place):
    """Print how long the slowest input takes, its length and its file."""
    from tests.fuzz import targets

    target = _target(name)
    logging.disable()
    bound_memory()
    slowest = (0.0, 0, "")
    # Their names begin with the time that each took.
    for file in sorted((place / "slow").iterdir(), reverse=True)[:RETIMED]:
        data = file.read_bytes()
        slowest = max(slowest, (targets.took_s(target, data), len(data), str(file)))
    print(SLOWEST + " ".join(map(str, slowest)))


# ── the process that is instrumented ─────────────────────────────────────────────────────────────


def load_instrumented():
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz import targets
    return targets


def fuzz_here(name, place, seconds):
    import atheris

    from tests.fuzz import targets

    target = _target(name)
    watched = _Watched(target, place)
    logging.disable()  # a million warnings about a million lists are no news
    bound_memory()

    def mutate(data, max_size, seed):
        chance = Random(seed)
        if chance.random() < OURS:
            return targets.mutated(data, target, chance)[:max_size]
        return atheris.Mutate(data, max_size)

    flags = {
        "max_total_time": seconds,
        "max_len": target.longest_bytes,
        "timeout": HANG_S,
        # Off: it counts what the process that started this one had. `bound_memory` is stricter.
        "rss_limit_mb": 0,
        "artifact_prefix": f"{place / 'found'}/",
        "print_final_stats": 1,
    }
    if target.tokens:
        flags["dict"] = place / "words"
    words = [f"-{flag}={value}" for flag, value in flags.items()]
    folders = [str(place / "corpus"), str(place / "seeds")]
    atheris.Setup([name, *words, *folders], watched, custom_mutator=mutate)
    atheris.Fuzz()


class _Watched:
    """Runs a target, counts, and keeps on disk what was slower than all before it."""

    def __init__(self, target, place):
        self._run, self._place = target.run, place
        self._slowest_s, self._kept, self._count = 0.0, 0, 0
        self._told = time.monotonic()
        from tests.fuzz.targets import MOST_CPU_S

        self._bar_s = MOST_CPU_S

    def __call__(self, data):
        begin = time.thread_time()
        try:
            self._run(data)
        finally:
            self._note(data, time.thread_time() - begin)

    def _note(self, data, took_s):
        self._count += 1
        if self._count < 10 or time.monotonic() - self._told > 0.5:
            # libFuzzer ends the process without a goodbye.
            (self._place / "count").write_text(str(self._count))
            self._told = time.monotonic()
        slower = took_s > 1.2 * self._slowest_s
        self._slowest_s = max(self._slowest_s, took_s)
        if slower or (took_s > self._bar_s and self._kept < MOST_KEPT):
            self._kept += 1
            name = f"{int(took_s * 1e6):09}-{hashlib.sha256(data).hexdigest()[:16]}"
            (self._place / "slow" / name).write_bytes(data)


def bound_memory():
    """Give this process `ROOM_MB` beyond what it has now, however quickly it asks.

    Returns the limits there were before.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    room = taken_pages * resource.getpagesize() + ROOM_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (room, before[1]))
    return before


# What a process does after it has loaded what: two kinds.
WORK = {"fuzz": (load_instrumented, fuzz_here), "time": (load, retime)}


def main(words):
    match words:
        case ["--fuzz" | "--time"]:
            fork_for_each_line(words[0].removeprefix("--"))
            return 0
    from tests.fuzz import targets

    known = targets.TARGETS | targets.PLANTED
    if len(words) != 2 or not words[1].isdigit() or words[0] not in {*known, "all"}:
        print("usage: python -m tests.fuzz.coverage_guided TARGET|all SECONDS; targets:", *known)
        return 2
    names = list(targets.TARGETS) if words[0] == "all" else words[:1]
    at_once = min(os.cpu_count(), len(names))
    with Fuzzers(at_once) as fuzzers, ThreadPoolExecutor(at_once) as pool:
        outcomes = []
        for outcome in pool.map(fuzzers.fuzz, names, [int(words[1])] * len(names)):
            print(outcome, flush=True)
            outcomes.append(outcome)
    return int(any(outcome.why for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
