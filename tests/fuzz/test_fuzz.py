"""Every parser that the wire, the settings and the camera reach takes any bytes.

No exception but the documented ones, no more than 50 ms, bounded memory. `make fuzz` does the same
for as long as somebody has.
"""

import platform
import resource
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from checkin import event, health
from sync_daemon import topics
from tests import made_up
from tests.fuzz import coverage_guided, targets
from tests.fuzz.targets import LONGEST_INPUT_BYTES, MOST_CPU_S, PLANTED, TARGETS

# Atheris has wheels for these alone, as pyproject.toml says; there it has to be installed.
HAS_ATHERIS = (
    sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 15)
)
guided_only = pytest.mark.skipif(not HAS_ATHERIS, reason="atheris has no wheel for this machine")

# The share of CI: two processes, a quarter of a minute, all targets; starting each comes on top.
IN_CI_S = 15
AT_ONCE = 2
SHARE_S = IN_CI_S * AT_ONCE // len(TARGETS)

# Enough for each planted mistake; a hang is let go on until libFuzzer calls it one.
PLANTED_S = 5
# A crash ends the run; on a busy machine it takes longer to be come upon.
CRASH_S = 40

# Of Python's own memory, for an input of 16 kB: ten times what the largest, a health card's header,
# was measured to take.
MOST_MEMORY_BYTES = 16 * 2**20

any_target = pytest.mark.parametrize("name", TARGETS)
quickly = how(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def bounded():
    """No test here takes all the memory there is, whatever it finds."""
    if sys.platform != "linux":
        yield
        return
    before = coverage_guided.bound_memory()
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def check(target, data):
    assert targets.took_s(target, data) <= MOST_CPU_S, f"{len(data)} bytes, {data[:80]!r}…"


@any_target
def test_what_is_right_is_read(name):
    for seed in TARGETS[name].seeds:
        check(TARGETS[name], seed)


@any_target
@quickly
@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(name, data):
    check(TARGETS[name], data)


@any_target
@quickly
@given(st.data())
def test_what_was_right_and_was_changed_is_read_or_refused(name, data):
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(target.seeds))
    chance = data.draw(st.randoms(use_true_random=True))
    check(target, targets.mutated(seed, target, chance))


@any_target
def test_what_is_very_long_or_deep_is_read_or_refused_in_time(name):
    for data in targets.stretched(TARGETS[name]):
        check(TARGETS[name], data)


@any_target
def test_what_is_very_long_takes_bounded_memory(name):
    target = TARGETS[name]
    longest = [(word * LONGEST_INPUT_BYTES)[: target.longest_bytes] for word in target.tokens]
    tracemalloc.start()
    try:
        for data in [*longest, *target.seeds]:
            target.run(data)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY_BYTES
    finally:
        tracemalloc.stop()


# ── what was found once ──────────────────────────────────────────────────────────────────────────


def test_a_number_of_more_digits_than_python_reads_is_no_setting():
    check(TARGETS["settings.parse"], b"a=" + b"1" * 4_301)


def test_a_key_of_eight_thousand_parts_is_refused_in_time():
    check(TARGETS["settings.parse"], b"a." * 8_000 + b"a=1")


def test_a_health_file_nested_too_deep_says_nothing(tmp_path):
    file = tmp_path / "health.json"
    file.write_bytes(b'{"x":' + b"[" * 2_000)
    assert health.read(file, health.KioskHealth, boot=made_up.BOOT, tick=1.0) is None


@pytest.mark.parametrize("seq", [2**62 + 2, 2**63 - 1])
def test_a_receipt_for_a_sequence_out_of_its_range_is_never_written(seq):
    body = made_up.body(1).replace(event.sequence(1).encode(), event.sequence(seq).encode())
    check(TARGETS["protocol.receive"], targets.batch(body))


def test_two_check_ins_far_apart_cost_no_more_than_two_in_order():
    first = made_up.body(1)
    for seq in (10**6, 10**7, 2**62):
        last = first.replace(event.sequence(1).encode(), event.sequence(seq).encode())
        check(TARGETS["protocol.receive"], targets.batch(first, last))


@pytest.mark.parametrize("outbox", ["", "o" * 65])
def test_a_receipt_for_an_outbox_without_a_right_name_is_never_written(outbox):
    told = topics.OutboxState(outbox, 1, 1, 0, None, 0)
    check(TARGETS["topics.read_state"], topics.encode(topics.State(online=True, outbox=told)))


def test_an_event_too_long_by_itself_is_too_long_among_others():
    long = made_up.body(1, person={"name": "M" * event.LONGEST_EVENT_BYTES})
    check(TARGETS["protocol.receive"], targets.batch(long, made_up.body(2), made_up.body(3)))


# ── by branches, in a process of its own ─────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name of a target to its run to come: all of them, two at once."""
    folder = tmp_path_factory.mktemp("fuzz")
    # The longest first, so that none is left alone at the end.
    shares = (
        dict.fromkeys(PLANTED, PLANTED_S)
        | {"planted.crashes": CRASH_S}
        | dict.fromkeys(TARGETS, SHARE_S)
    )
    with (
        coverage_guided.Fuzzers(AT_ONCE, folder) as fuzzers,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        yield {name: pool.submit(fuzzers.fuzz, name, share_s) for name, share_s in shares.items()}
        pool.shutdown(cancel_futures=True)


@guided_only
@any_target
def test_nothing_is_found_by_branches(name, runs):
    outcome = runs[name].result()
    print(outcome)
    assert not outcome.why, str(outcome)
    assert outcome.executions > len(TARGETS[name].seeds)


@guided_only
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("planted.crashes", "KeyError: 'planted'"),
        ("planted.hangs", "timeout after"),
        ("planted.dawdles", "ms of CPU"),
        ("planted.swells", "MemoryError"),
    ],
)
def test_a_planted_mistake_is_found(name, said, runs):
    outcome = runs[name].result()
    assert said in outcome.why
    assert outcome.finding.read_bytes().startswith(b"VR1:")


def test_what_a_run_found_is_tried_first_by_the_next(tmp_path):
    found = tmp_path / "planted.crashes" / "found"
    found.mkdir(parents=True)
    (found / "crash-1").write_bytes(b"VR1:")
    coverage_guided._make_ready(tmp_path / "planted.crashes", "planted.crashes")
    assert (tmp_path / "planted.crashes" / "corpus" / "crash-1").read_bytes() == b"VR1:"
    assert list(found.iterdir()) == []


@pytest.mark.parametrize("name", ["planted.crashes", "planted.dawdles"])
def test_the_check_itself_bites(name):
    with pytest.raises((KeyError, AssertionError)):
        check(PLANTED[name], b"VR1:|boom|")
