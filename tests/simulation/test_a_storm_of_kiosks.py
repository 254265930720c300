"""Five thousand kiosks lose one broker in the same second: how they come back."""

import random
from collections import Counter

from sync_daemon.protocol import Connect, Link, Sender, Terms

KIOSKS = 5_000
STEP_S = 0.25


def storm(outage_s, seed=1):
    """Attempts by second, and when the last kiosk was back; the broker answers after the outage."""
    chance = random.Random(seed)
    kiosks = [Sender("ob", 0, Terms(), chance.random) for _ in range(KIOSKS)]
    for kiosk in kiosks:
        assert kiosk.actions(0.0) == [Connect()]
        kiosk.connected(20, 0.0)
        kiosk.lost(0.0)
    attempts, tick = Counter(), 0.0
    away = kiosks
    while away:
        tick += STEP_S
        for kiosk in away:
            if Connect() in kiosk.actions(tick):
                attempts[int(tick)] += 1
                if tick < outage_s:
                    kiosk.lost(tick)
                else:
                    kiosk.connected(20, tick)
        away = [kiosk for kiosk in away if kiosk.link is not Link.ONLINE]
    return attempts, tick


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
