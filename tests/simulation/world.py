"""A kiosk, a daemon and a central on one virtual clock, with seeded weather between them.

Everything is real but the clock, the camera's pixels and the network: the loops, the station, the
outbox and the central's store (both on real SQLite), the protocol. Processes die between two steps
and right behind a commit, the disk fills up, the camera stalls, the clock jumps, the network
loses, doubles and reorders.

The promises are asserted after every step.
"""

import random
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np

from central.loop import CentralLoop
from central.store import Store, StoreError
from checkin import event
from checkin.outbox import Outbox, OutboxError
from checkin.seal import CentralKey, CentralSeal, new_private_key
from kiosk.devices.simulated_panel import RecordingPanel
from kiosk.logic.station import Rules, Station
from kiosk.loop import KioskLoop
from kiosk.memory import Memory
from kiosk.ports import CameraError, Code, Frame, Optics
from sync_daemon.broker import Acknowledged, BrokerError, Connected, Lost, Message, Received
from sync_daemon.loop import SyncLoop
from sync_daemon.protocol import Sender, Terms
from sync_daemon.topics import ALL_CHECKINS, ALL_STATES, Address
from tests.contract_document import check_topic
from tests.made_up import FakeClock

HERE = Address("cp", "k1")
STEP_S = 0.5
HOLD_OFF_S = 5.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Not taken here. "ẫ" is no letter of base64: a sealed field can't spell the name by chance.
REFUSED = "MECARD:N:Mẫu;TEL:0900000001;;".encode()
BLANK = np.zeros((1, 1), dtype=np.uint8)
KEY = CentralKey(new_private_key())


class Net:
    """The broker and the ways to it: two clients, each with its own bad luck."""

    def __init__(self, world):
        self.world, self.clients, self.retained = world, [], {}

    def deliver(self, topic, body, retain=False):
        if self.world.keeps_contract:
            check_topic(topic, body)
        if retain:
            self.retained[topic] = body
        for client in self.clients:
            client.hear_message(topic, body)


class Client:
    """A link to the simulated broker: what `Broker` is to a real one."""

    def __init__(self, net, world, subscriptions, will=None):
        self.net, self.world, self.subscriptions, self.will = net, world, subscriptions, will
        self.online, self.waiting, self.mid = False, [], 0
        net.clients.append(self)

    def connect(self):
        if self.world.chance(0.3) or not self.world.network:
            raise BrokerError("nobody listens there")
        self.online = True
        self.waiting = [Connected(20, 2**20)]
        for topic, body in self.net.retained.items():
            self.hear_message(topic, body)

    def publish(self, message, content_type="", *, retain=False):
        if not self.online:
            raise BrokerError("not connected")
        self.mid += 1
        if self.world.chance(0.03):
            self.drop()  # in mid-message: nobody knows whether it arrived
            if self.world.chance(0.5):
                return self.mid
        self.waiting.append(Acknowledged(self.mid))
        # Acknowledged is not delivered: a broker with a slow subscriber drops.
        if not self.world.chance(0.05):
            copies = 2 if self.world.chance(0.1) else 1
            for _ in range(copies):
                self.net.deliver(message.topic, message.body, retain)
        return self.mid

    def acknowledge(self, received):
        pass

    def wait(self, timeout_s):
        if self.online and (self.world.chance(0.02) or not self.world.network):
            self.drop()
        ready = [one for one in self.waiting if not self.world.chance(0.15)]
        self.waiting = [one for one in self.waiting if one not in ready]
        if self.world.chance(0.1):
            self.world.random.shuffle(ready)
        return ready

    def hear_message(self, topic, body):
        if self.online and any(matches(topic, wanted) for wanted in self.subscriptions):
            self.waiting.append(Received(Message(topic, body), 0))

    def drop(self):
        self.online = False
        self.waiting = [Lost("dropped")]
        if self.will is not None:
            self.net.retained[self.will.topic] = self.will.body

    def close(self, *, with_will=False):
        self.online = False
        self.waiting = []


def matches(topic, wanted):
    parts = zip(topic.split("/"), wanted.split("/"), strict=True)
    return all(want in ("+", part) for part, want in parts)


class Camera:
    """Shows the code that a visitor holds now, or nothing; stalls when the weather says so."""

    name = "simulated"

    def __init__(self, world):
        self.world = world

    @contextmanager
    def frame(self):
        if self.world.chance(0.005):
            raise CameraError("no frame in 3 s")
        yield Frame(BLANK, self.world.clock.tick)

    def optics(self):
        return Optics()

    def restart(self):
        if self.world.chance(0.2):
            raise CameraError("still none")

    def close(self):
        pass


class Eyes:
    """The decoder: reads what is held up, most of the time."""

    def __init__(self, world):
        self.world = world

    def read(self, _grey):
        if self.world.chance(0.1):
            return []
        return [Code(payload, "", ((0, 0),) * 4) for payload in self.world.held]


class BadDisk:
    """The outbox, on a disk that is full now and then."""

    def __init__(self, outbox, world):
        self._outbox, self._world = outbox, world

    def __getattr__(self, name):
        return getattr(self._outbox, name)

    def append(self, entry, encode):
        if self._world.disk_full:
            raise OutboxError("full")
        seq = self._outbox.append(entry, encode)
        self._world.true_times[self._outbox.id, seq] = self._world.central_clock.at
        self._world.refusals += not entry.tag
        self._world.every_time_says_how_sure_it_is(encode(self._outbox.id, seq))
        if self._world.chance(0.02):
            self._world.killed_behind_commit += 1
            raise Killed  # on disk, and nobody was told
        return seq

    def settle(self, through, refused=None, at=None):
        if self._world.disk_full:
            raise OutboxError("full")
        self._outbox.settle(through, refused, at)

    def pending(self, after, limit, through=2**62):
        if self._world.chance(0.02):
            raise OutboxError("can't be read")
        return self._outbox.pending(after, limit, through)

    def try_writing(self):
        if self._world.disk_full:
            raise OutboxError("full")


class Killed(BaseException):
    """SIGKILL, in the middle of something."""


class BadStore:
    """The central's file, after whose commit the process may die, and on a bad disk."""

    def __init__(self, store, world):
        self._store, self._world = store, world

    def __getattr__(self, name):
        return getattr(self._store, name)

    def keep(self, deliveries, at):
        if self._world.chance(0.01):
            raise StoreError("full")
        kept = self._store.keep(deliveries, at)
        if self._world.chance(0.01):
            raise Killed  # kept, and nobody was told
        return kept


class World:
    """One door for some virtual minutes."""

    answer_s = 5.0
    keep_confirmed_h = 0.01

    def __init__(self, seed, folder, confirm="central", direction="in", contract=False):
        self.random = random.Random(seed)
        self.folder, self.confirm, self.direction = folder, confirm, direction
        self.keeps_contract = contract
        self.clock = FakeClock()
        self.central_clock = FakeClock()  # a server's: set, and without jumps
        self.true_times = {}
        self.storm, self.network, self.disk_full = True, True, False
        self.held, self.visits, self.until = [], [], 0.0
        self.refusals, self.killed_behind_commit = 0, 0
        self.greens = Counter()
        self.greens_before = 0
        self.net = Net(self)
        self.kiosk_box = self.sync_box = self.store = None
        self.start_kiosk()
        self.start_sync()
        self.start_central()

    def chance(self, p):
        return self.storm and self.random.random() < p

    # ── processes, which begin and die

    def start_kiosk(self):
        now = self.clock.moment()
        self.kiosk_box = Outbox(self.folder / "outbox.db")
        memory = Memory(self.folder / "sightings.bin", now)
        rules = Rules(direction=self.direction, hold_off_s=HOLD_OFF_S)
        station = Station(rules, memory.begin.key)
        visits = [(v.tag, v.tick, v.direction) for v in self.kiosk_box.visits(now.boot, 1000)]
        begin = memory.begin
        station.restore(visits, begin.sightings, noted=begin.tick, tick=now.tick)
        self.panel = RecordingPanel(tick=lambda: self.clock.tick)
        self.kiosk = KioskLoop(
            checkpoint="cp",
            kiosk="k1",
            camera=Camera(self),
            decoder=Eyes(self),
            station=station,
            outbox=BadDisk(self.kiosk_box, self),
            panel=self.panel,
            clock=self.clock,
            seal=CentralSeal(KEY.public),
            random=self.random.randbytes,
            memory=memory,
            health_file=self.folder / "kiosk-health.json",
        )

    def start_sync(self):
        self.sync_box = Outbox(self.folder / "outbox.db", create=False)
        terms = Terms(
            confirm=self.confirm, batch_rows=5, window=4, answer_s=self.answer_s, wait_max_s=10
        )
        confirmed = self.sync_box.summary().confirmed
        self.sync_client = Client(self.net, self, (HERE.receipt,))
        self.sync = SyncLoop(
            address=HERE,
            outbox=BadDisk(self.sync_box, self),
            sender=Sender(self.sync_box.id, confirmed, terms, self.random.random),
            broker=self.sync_client,
            clock=self.clock,
            kiosk_health=self.folder / "kiosk-health.json",
            sync_health=self.folder / "sync-health.json",
            state_every_s=20,
            keep_confirmed_h=self.keep_confirmed_h,
        )

    def start_central(self):
        self.store = Store(self.folder / "central.db")
        self.central_client = Client(self.net, self, (ALL_CHECKINS, ALL_STATES))
        self.central = CentralLoop(
            store=BadStore(self.store, self),
            broker=self.central_client,
            clock=self.central_clock,
        )

    def kill_kiosk(self):
        self.greens_before += self.greens_now()
        self.kiosk_box.close()
        self.start_kiosk()

    def kill_sync(self):
        self.net.clients.remove(self.sync_client)
        self.sync_box.close()
        self.start_sync()

    def kill_central(self):
        self.net.clients.remove(self.central_client)
        self.store.close()
        self.start_central()

    def cut_power(self):
        """Both processes go, and with the memory the key of the hold-off."""
        (self.folder / "sightings.bin").unlink(missing_ok=True)
        self.pass_(60)
        self.clock.boot = f"boot-{self.random.random()}"
        self.clock.tick = self.random.uniform(10, 30)
        self.clock.at = self.random.choice((EPOCH, self.clock.at - timedelta(hours=1)))
        self.clock.synced = False
        self.held, self.until = [], 0.0  # a Pi boots longer than anybody holds a card
        self.kill_kiosk()
        self.kill_sync()

    def close(self):
        for opened in (self.kiosk_box, self.sync_box, self.store):
            opened.close()

    def pass_(self, seconds):
        self.clock.pass_(seconds)
        self.central_clock.pass_(seconds)

    # ── what happens

    def step(self):
        self.pass_(STEP_S)
        self.weather()
        self.visitors()
        self.live()

    def live(self):
        """One turn of everybody, and the promises."""
        try:
            self.kiosk.turn()
        except (CameraError, Killed):
            self.kill_kiosk()  # and systemd starts another
        self.sync.turn(0)
        try:
            self.central.turn(0)
        except Killed:
            self.kill_central()
        self.check()

    def weather(self):
        if self.chance(0.01):
            self.kill_kiosk()
        if self.chance(0.01):
            self.kill_sync()
        if self.chance(0.01):
            self.kill_central()
        if self.chance(0.003):
            self.cut_power()
        if self.chance(0.01):  # somebody sets the clock by hand, forth or back
            self.clock.at = self.clock.at.replace(year=self.random.choice((1970, 2026, 2031)))
            self.clock.synced = False
        if self.chance(0.03):  # the network sets it
            self.clock.at, self.clock.synced = self.central_clock.at, True
        self.network = not self.storm or (self.network != self.chance(0.02))
        self.disk_full = self.storm and (self.disk_full != self.chance(0.03))

    def visitors(self):
        """Somebody comes, holds a code for a while, and goes for longer than the hold-off."""
        if self.clock.tick < self.until:
            return
        if self.held:
            self.held = []
            self.until = self.clock.tick + HOLD_OFF_S + self.random.uniform(1, 5)
        elif self.storm:
            payload = b"VISITOR:V%04d" % self.random.randrange(40)
            self.held = [payload]
            if self.chance(0.1):
                self.held.append(b"VISITOR:W%04d" % self.random.randrange(40))
            if self.chance(0.1):
                self.held.append(b"https://menu.example/")
            if self.chance(0.1):
                self.held.append(REFUSED)
            self.visits += [(len(self.visits), who) for who in self.held if who[:1] == b"V"]
            self.until = self.clock.tick + self.random.uniform(1, 12)

    # ── the promises

    def greens_now(self):
        return sum(pattern.name.count("accepted-") for _, pattern in self.panel.played)

    @property
    def greens_shown(self):
        return self.greens_before + self.greens_now()

    def check(self):
        summary = self.sync_box.summary()
        self.green_means_on_disk(summary)
        self.nothing_leaves_unconfirmed(summary)
        self.one_visit_is_one_check_in(summary)

    def green_means_on_disk(self, summary):
        assert self.greens_shown <= summary.appended - self.refusals

    def nothing_leaves_unconfirmed(self, summary):
        """What isn't in the outbox any more, or is behind its watermark, is at the central."""
        if self.confirm == "broker":
            return  # there the broker's word is taken: the test below says what that costs
        at_central = {kept.seq for kept in self.store.all_checkins()}
        at_central |= set(self.sync_box.set_aside())  # kept at the door, and reported
        assert set(range(1, summary.confirmed + 1)) <= at_central
        found = self.sync_box.pending(0, 100_000)
        there = {*found.seqs, *found.damaged}  # one that the disk spoilt isn't gone in silence
        assert set(range(1, summary.appended + 1)) <= at_central | there

    def one_visit_is_one_check_in(self, summary):
        """As many check-ins as visits at the most: never two of one, however it is seen."""
        assert summary.appended - self.refusals <= len(self.visits)
        assert self.store.count() <= summary.appended

    def every_time_says_how_sure_it_is(self, body):
        checkin, now = event.decode(body), self.clock.moment()
        assert checkin.time == now.at
        believed = checkin.data.clock
        assert (believed.boot, believed.synced) == (now.boot, now.synced)
        assert abs(believed.tick_s - now.tick) < 0.001

    def only_the_central_can_read_who_came(self):
        for body in self.sync_box.pending(0, 100_000).bodies:
            assert b"VISITOR" not in body
            assert b'"code"' not in body
            assert "Mẫu".encode() not in body
            assert b"0900000001" not in body
        for kept in self.store.all_checkins():
            data = kept.checkin.data
            if data.refused:
                assert (data.sealed, data.person) == (None, None)
                continue
            sealed = data.sealed
            opened = event.open_person(KEY.open(event.sealed_bytes(sealed)))
            assert opened["code"][0] in "VW"

    def every_time_is_as_sure_as_it_says(self):
        """The true time lies within the bounds, and close by where the clock was ever set."""
        how = Counter()
        for kept in self.store.all_checkins():
            true, found = self.true_times[kept.checkin.outbox, kept.seq], kept.known
            assert found.earliest <= true <= found.latest
            if found.sure != "bounded":
                assert abs(found.at - true) < timedelta(seconds=1)
            how[found.sure] += 1
        return how

    def calm(self, seconds):
        """No more visitors, no more storm: everything has to arrive."""
        self.storm = False
        end = self.clock.tick + seconds
        while self.clock.tick < end:
            self.step()
            if self.sync_box.pending_count() == 0:
                break
