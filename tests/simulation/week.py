"""A week at one door: 50,000 check-ins and 300 faults, on a virtual clock, seeded.

The world is that of the shorter days (`world.py`); here faults come by a plan, one by one, of every
kind that the list below names. The promises are asserted after each step, by what changed in it.
"""

import shutil
from collections import Counter
from datetime import timedelta

from checkin import recovery
from sync_daemon import topics
from sync_daemon.broker import Lost, Message, Received
from sync_daemon.protocol import Receiver
from sync_daemon.topics import Receipt
from tests.simulation.world import EPOCH, HERE, World

WEEK_S = 7 * 24 * 3600.0
SHOWN_S, AWAY_S = 5.0, 7.0  # a visitor before the camera, and nobody


class Week(World):
    """`visits` visitors, one after the other, and `faults` faults spread over them."""

    answer_s = 60.0  # a step is seconds long here
    keep_confirmed_h = 72.0

    def __init__(self, seed, folder, visits, faults):
        self.kinds = Counter()
        self.counted = (None, 0, 0)
        self.confirmed_before = (0, "")
        self.recovered = []
        self.backup_at = None
        super().__init__(seed, folder)
        self.storm = False
        self.planned = self.random.choices(FAULTS, k=faults)
        # Each kind at least once, whatever the dice say.
        self.planned[: len(FAULTS)] = FAULTS
        self.random.shuffle(self.planned)
        self.at_visit = sorted(self.random.sample(range(1, visits), faults))
        self.visits_made, self.visits_planned = 0, visits
        self.spells = []  # (visit at which it ends, what ends it)

    def run(self):
        plan = dict(zip(self.at_visit, self.planned, strict=True))
        while self.visits_made < self.visits_planned:
            self.visits_made += 1
            for ends, end in [one for one in self.spells if one[0] <= self.visits_made]:
                self.spells.remove((ends, end))
                end()
            if fault := plan.get(self.visits_made):
                self.kinds[fault.__name__] += 1
                fault(self)
            payload = b"VISITOR:V%06d" % self.visits_made
            self.visits.append((len(self.visits), payload))
            self.held = [payload]
            self.move(SHOWN_S)
            self.held = []
            self.move(AWAY_S)
        for _, end in self.spells:
            end()
        self.calm(3600)

    def move(self, seconds):
        self.pass_(seconds)
        self.live()

    def calm(self, seconds):
        """No more visitors, no more faults: everything has to arrive."""
        self.storm, self.network, self.disk_full = False, True, False
        end = self.clock.tick + seconds
        while self.clock.tick < end and self.sync_box.pending_count():
            self.move(1.0)

    def for_some(self, visits, end):
        """Let `end` come after so many visitors."""
        self.spells.append((self.visits_made + visits, end))

    # ── what the central is compared with

    @property
    def appended(self):
        return set(self.true_times)

    def at_central(self):
        return {(kept.checkin.outbox, kept.seq) for kept in self.store.all_checkins()}

    # ── the promises, by what changed

    def greens_now(self):
        """As in the shorter days, but each pattern is looked at once: a week has many."""
        panel, looked_at, greens = self.counted
        if panel is not self.panel:
            looked_at, greens = 0, 0
        fresh = self.panel.played[looked_at:]
        greens += sum("accepted-" in pattern.name for _, pattern in fresh)
        self.counted = (self.panel, looked_at + len(fresh), greens)
        return greens

    def check(self):
        summary = self.sync_box.summary()
        assert self.greens_shown <= len(self.true_times) - self.refusals
        before, outbox = self.confirmed_before
        if outbox == summary.outbox and summary.confirmed > before:
            self.all_there(outbox, before + 1, summary.confirmed)
        self.confirmed_before = (summary.confirmed, summary.outbox)
        if self.visits_made % 500 == 0:  # counts every row
            assert self.store.count() <= len(self.true_times)

    def all_there(self, outbox, first, last):
        """Each check-in behind the watermark is at the central, or set aside and reported."""
        number = self.store._db.execute(
            "select number from outboxes where outbox = ?", (outbox,)
        ).fetchone()
        found = set()
        for begin, end in self.store._db.execute(
            "select first, last from runs where outbox = ? and last >= ? and first <= ?",
            (number[0] if number else 0, first, last),
        ):
            found |= set(range(begin, end + 1))
        assert set(range(first, last + 1)) <= found | set(self.sync_box.set_aside())


KEPT = timedelta(hours=72)


# ── the faults


def kiosk_killed(week):
    week.kill_kiosk()


def daemon_killed(week):
    week.kill_sync()


def central_killed(week):
    week.kill_central()


def power_cut(week):
    week.cut_power()


def booted_in_1970(week):
    week.cut_power()
    week.clock.at = EPOCH


def clock_set_by_the_network(week):
    week.clock.at, week.clock.synced = week.central_clock.at, True


def clock_jumped(week):
    week.clock.at += timedelta(days=week.random.choice((-400, -1, 1, 3650)))
    week.clock.synced = False


def disk_full_of_somebody_elses_file(week):
    def over():
        week.disk_full = False

    week.disk_full = True
    week.for_some(week.random.randrange(1, 5), over)


def no_network(week):
    def over():
        week.network = True

    week.network = False
    week.sync_client.drop()
    week.central_client.drop()
    week.for_some(week.random.choice((3, 30, 300, 1500)), over)


def bad_weather(week):
    """Loss, doubling, reordering, unreadable disks, deaths right behind a commit."""

    def over():
        week.storm = False

    week.storm = True
    week.for_some(20, over)


def link_cut_in_mid_message(week):
    week.sync_client.drop()


def broker_lost_its_store(week):
    for client in (week.sync_client, week.central_client):
        client.waiting = [Lost("the broker began anew")]
        client.online = False
    week.net.retained.clear()


def central_restored_from_a_backup(week):
    """To how it was when the last one was made: what came since is asked for again.

    What came by hand is imported by hand again. A backup older than what kiosks keep is too old.
    """
    folder = week.folder / "backup"
    if week.backup_at is not None and week.central_clock.at - week.backup_at < KEPT:
        week.net.clients.remove(week.central_client)
        week.store.close()
        for file in week.folder.glob("central.db*"):
            file.unlink()
        shutil.copy(folder / "central.db", week.folder / "central.db")
        week.start_central()
        for file in week.recovered:
            import_by_hand(week, file)
    week.store._db.execute("pragma wal_checkpoint(truncate)")
    folder.mkdir(exist_ok=True)
    shutil.copy(week.folder / "central.db", folder / "central.db")
    week.backup_at = week.central_clock.at


def receipts_forged(week):
    """By somebody at the broker: more than was sent, another outbox, rubbish."""
    beyond = Receipt(week.sync_box.id, 2**60)
    for body in (
        topics.encode(Receipt("another", 10**6)),
        b"\xff" * 100,
        topics.encode(Receipt("another", 1, again=[(1, 2**60)])),
    ):
        week.sync_client.hear_message(HERE.receipt, body)
    if not week.sync_client.online or week.sync._sender.in_flight == 0:
        week.sync_client.hear_message(HERE.receipt, topics.encode(beyond))


def receipts_doubled_and_late(week):
    confirmed = week.sync_box.summary().confirmed
    for through in (confirmed, confirmed // 2, 0):
        body = topics.encode(Receipt(week.sync_box.id, through))
        week.sync_client.waiting += [Received(Message(HERE.receipt, body), 0)] * 2


def replay_by_a_technician(week):
    confirmed = week.sync_box.summary().confirmed
    if confirmed:
        week.sync_box.ask_again(max(1, confirmed - 300), confirmed)


def card_changed(week):
    """The outbox is damaged and set aside; what is left of it goes to the central by hand."""
    week.kill_kiosk()
    week.kiosk_box.close()
    week.net.clients.remove(week.sync_client)
    week.sync_box.close()
    old = week.folder / f"outbox.db.damaged-{len(week.recovered) + 1}"
    database = week.folder / "outbox.db"
    for ending in ("-wal", "-shm", ""):
        part = database.with_name(database.name + ending)
        if part.exists():
            part.rename(old.with_name(old.name + ending))
    week.start_kiosk()
    week.start_sync()
    import_by_hand(week, old)
    week.recovered.append(old)


def import_by_hand(week, file):
    found = recovery.recover(file)
    for outbox in found.outboxes:
        bodies = found.of(outbox)
        delivery = Receiver().receive(HERE, b"[" + b",".join(bodies) + b"]")
        week.store.keep([delivery], week.central_clock.at)


FAULTS = [
    kiosk_killed, daemon_killed, central_killed, power_cut, booted_in_1970,
    clock_set_by_the_network, clock_jumped, disk_full_of_somebody_elses_file, no_network,
    bad_weather, link_cut_in_mid_message, broker_lost_its_store, central_restored_from_a_backup,
    receipts_forged, receipts_doubled_and_late, replay_by_a_technician, card_changed,
]  # fmt: skip
