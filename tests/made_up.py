"""Made-up values that several suites need."""

from datetime import UTC, datetime, timedelta

from checkin import event
from checkin.clock import Moment
from checkin.event import Believed, CheckIn, Data, Shown
from checkin.outbox import Entry

NOON = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
BOOT = "11111111-2222-4333-8444-555555555555"
KEY = bytes(range(32))

CARD = "010090999901||Nguyễn Văn Mẫu|02011990|Nam|Thôn Mẫu, Phúc Khánh, Bảo Yên, Lào Cai|15052021"


class FakeClock:
    """A clock that tests move. Ticks and wall time move together, until a test says otherwise."""

    def __init__(self, at=NOON, boot=BOOT, synced=True):
        self.at, self.tick, self.boot, self.synced = at, 100.0, boot, synced

    def pass_(self, seconds):
        self.tick += seconds
        self.at += timedelta(seconds=seconds)

    def moment(self):
        return Moment(self.at, self.tick, self.boot, self.synced)


def data(**changes):
    fields = {
        "checkpoint": "cp",
        "kiosk": "k1",
        "direction": "in",
        "direction_by": "mounting",
        "credential": Shown(kind="visitor", verified=False),
        "clock": Believed(boot=BOOT, tick_s=1.5, synced=True),
        "person": {"code": "ABC"},
    }
    return Data(**(fields | changes))


def check_in(seq, outbox="ob", id=None, **changes):
    body = data(**changes)
    return CheckIn(
        id=id or f"{outbox}-{seq}",
        source=event.source(body.checkpoint, body.kiosk),
        time=NOON + timedelta(seconds=seq),
        sequence=event.sequence(seq),
        outbox=outbox,
        data=body,
    )


def body(seq, outbox="ob", **changes):
    return event.encode(check_in(seq, outbox, **changes))


def entry(n=0, **changes):
    fields = {
        "id": f"id-{n}",
        "at": NOON + timedelta(seconds=n),
        "direction": "in",
        "kind": "visitor",
        "boot": BOOT,
        "tick": float(n),
        "tag": bytes([n % 256]) * 16,
    }
    return Entry(**(fields | changes))


def append(outbox, n, **changes):
    """Append made-up check-in `n`, as the door does."""
    return outbox.append(entry(n, **changes), lambda box, seq: body(seq, box, id=f"id-{n}"))
