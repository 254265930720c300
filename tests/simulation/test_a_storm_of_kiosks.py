"""Five thousand kiosks lose one broker in the same second: how they come back."""

import math
import random
from collections import Counter, defaultdict

from sync_daemon.protocol import Connect, Link, Sender, Terms

KIOSKS = 5_000
STEP_S = 0.25

# One kiosk in so many is asked at every step of its waits; the others at the last step of each and
# when it is over. Nothing happens to a kiosk in between, and asking them all is 75 million calls.
WATCHED = 100


def storm(outage_s, seed=1):
    """Attempts by second, and when the last kiosk was back; the broker answers after the outage."""
    chance = random.Random(seed)
    kiosks = [Sender("ob", 0, Terms(), chance.random) for _ in range(KIOSKS)]
    due = defaultdict(list)
    for number, kiosk in enumerate(kiosks):
        assert kiosk.actions(0.0) == [Connect()]
        kiosk.connected(20, 0.0)
        kiosk.lost(0.0)
        due[_over(kiosk, 0)].append(number)
    attempts, step = Counter(), 0
    while due:
        step += 1
        tick = step * STEP_S
        trying = sorted(due.pop(step, ()))  # in one order always: they draw from one chance
        for number in trying:
            kiosk = kiosks[number]
            assert kiosk.actions(tick) == [Connect()]
            attempts[int(tick)] += 1
            if tick < outage_s:
                kiosk.lost(tick)
                due[_over(kiosk, step)].append(number)
            else:
                kiosk.connected(20, tick)
        for kiosk in kiosks[::WATCHED]:
            assert Connect() not in kiosk.actions(tick)
    assert all(kiosk.link is Link.ONLINE for kiosk in kiosks)
    return attempts, tick


def _over(kiosk, step):
    """The step at which the wait of a `kiosk` that was lost at `step` is over, and none before."""
    over = max(step + 1, math.ceil(kiosk._deadline / STEP_S))
    if over - 1 > step:
        assert kiosk.actions((over - 1) * STEP_S) == []
    return over


def test_after_a_restart_they_come_back_over_ten_seconds_and_not_in_one():
    attempts, last = storm(outage_s=0)
    assert sum(attempts.values()) == KIOSKS
    # Full jitter over the first wait of 10 s: 500 a second, give or take 22 (a binomial's sigma).
    assert max(attempts.values()) < 500 + 6 * 22
    assert 9 < last <= 10.5


def test_after_an_hour_without_it_they_come_back_over_five_minutes():
    outage_s = 3600
    attempts, last = storm(outage_s)
    after = {second: count for second, count in attempts.items() if second >= outage_s}
    assert sum(after.values()) == KIOSKS
    # All wait up to 300 s by then. An attempt ends a wait of 150 s on average: 33 a second.
    assert max(after.values()) < 33 + 6 * 6
    assert last - outage_s <= 301
    during = [count for second, count in attempts.items() if 900 < second < outage_s]
    assert max(during) < 33 + 6 * 6
