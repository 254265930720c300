"""The central's SQLite file: a row per check-in, and per outbox what is here and what isn't."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec
from sqlite_utils import Database, Migrations

from central.times import Known, between, known
from checkin import event
from checkin.event import CheckIn
from checkin.open_file import OpenFile
from sync_daemon.protocol import Delivery, Ledger, Ledgers, Pair, Refused, Run, run_of
from sync_daemon.topics import Address, Anchor

LOCK_WAIT_S = 10.0

# A row may be a message of 256 kB: the fewer pages, the quicker.
PAGE_BYTES = 16_384

# 256 MB of log at most: a backlog is copied into the file when it has come, not while it comes.
LOG_PAGES = 16_384

# Events that `outboxes` looks at, to tell what they are sealed to.
NEWEST = 300

_Event = tuple[int, int, str, bytes]  # outbox number, seq, received_at, body

_ANOTHER = "name the central's with --database"
_RIGHTS = "run it with sudo, or as the user that runs the central"
_CURES = {
    sqlite3.SQLITE_CANTOPEN: _RIGHTS,
    sqlite3.SQLITE_READONLY: _RIGHTS,
    sqlite3.SQLITE_NOTADB: _ANOTHER,
    sqlite3.SQLITE_CORRUPT: "bring it back from a backup: kiosks send again what they still keep",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_BUSY: "another program has it open: wait for it, or end it",
}

_TAKEN = "another check-in is at {} of this outbox already"

migrations = Migrations("vaora-central")


@migrations()
def m001_begin(db: Database) -> None:
    db.execute(
        """
        create table checkins (
            id text primary key,
            checkpoint text not null,
            kiosk text not null,
            outbox text not null,
            seq integer not null,
            at text not null,          -- as the kiosk believed it, ISO 8601, UTC
            received_at text not null, -- by this machine's clock
            synced integer not null,
            direction text not null,
            direction_by text not null,
            kind text not null,
            verified integer not null,
            body blob not null         -- the event as it came
        )
        """
    )
    db.execute("create unique index checkins_place on checkins (checkpoint, kiosk, outbox, seq)")
    db.execute("create index checkins_at on checkins (at)")
    db.execute(
        """
        create table ledgers (
            checkpoint text not null, kiosk text not null, outbox text not null,
            ledger text not null,      -- JSON of what is here and what is beyond a gap
            primary key (checkpoint, kiosk, outbox)
        )
        """
    )
    db.execute(
        "create table refused (checkpoint text, kiosk text, outbox text, seq integer, reason text,"
        " received_at text, primary key (checkpoint, kiosk, outbox, seq))"
    )
    db.execute(
        "create table gone (checkpoint text, kiosk text, outbox text, first integer, last integer,"
        " received_at text, primary key (checkpoint, kiosk, outbox, first, last))"
    )


@migrations()
def m002_refusals(db: Database) -> None:
    """A kiosk's refusals stand among its check-ins, since they count in the same sequence."""
    db.execute("alter table checkins add column turned_away text not null default ''")


@migrations()
def m003_runs(db: Database) -> None:
    """One row per message instead of one per check-in: a drain is stored five times as fast.

    `checkins` is a view now, for whoever looks with SQL.
    """
    db.execute(
        "create table outboxes (number integer primary key, checkpoint text not null,"
        " kiosk text not null, outbox text not null, unique (checkpoint, kiosk, outbox))"
    )
    db.execute(
        """
        create table runs (            -- no two of an outbox overlap
            outbox integer not null,   -- outboxes.number
            first integer not null,    -- seq of the first event in body, and of the last
            last integer not null,
            received_at text not null, -- by this machine's clock
            body blob not null,        -- a JSON array of events, each as it came
            primary key (outbox, first)
        ) without rowid
        """
    )
    db.execute(
        "insert into outboxes (checkpoint, kiosk, outbox)"
        " select distinct checkpoint, kiosk, outbox from checkins"
    )
    db.execute(
        "insert into runs select o.number, c.seq, c.seq, c.received_at,"
        " cast('[' || cast(c.body as text) || ']' as blob) from checkins c"
        " join outboxes o using (checkpoint, kiosk, outbox) order by o.number, c.seq"
    )
    db.execute("drop table checkins")
    # One refusal a place used to be kept; two cards may each have something to say there.
    db.execute("alter table refused rename to before")
    db.execute(
        "create table refused (checkpoint text, kiosk text, outbox text, seq integer, reason text,"
        " received_at text, body blob, unique (checkpoint, kiosk, outbox, seq, body))"
    )
    db.execute("insert into refused select *, x'' from before")
    db.execute("drop table before")
    fields = {
        "id": "$.id",
        "at": "$.time",
        "synced": "$.data.clock.synced",
        "direction": "$.data.direction",
        "direction_by": "$.data.direction_by",
        "kind": "$.data.credential.kind",
        "verified": "$.data.credential.verified",
        "turned_away": "$.data.refused",
        "event": "$",
    }
    shown = ", ".join(f"one.value ->> '{path}' as {name}" for name, path in fields.items())
    db.execute(
        "create view checkins as select o.checkpoint, o.kiosk, o.outbox, first + one.key as seq,"  # noqa: S608  constants
        f" received_at, {shown} from runs join outboxes o on o.number = runs.outbox,"
        " json_each(cast(body as text)) one"
    )
    # At `tick` of its boot the kiosk's clock said `at`, give or take `error_s`.
    db.execute(
        "create table anchors (checkpoint text not null, kiosk text not null, boot text not null,"
        " tick real not null, at text not null, error_s real not null,"
        " primary key (checkpoint, kiosk, boot))"
    )


@migrations()
def m004_kiosks(db: Database) -> None:
    """What the central knows of a kiosk itself: its last state, and whether it was retired."""
    db.execute("create table states (kiosk text primary key, checkpoint, received_at, state)")
    db.execute(
        "create table retired (kiosk text primary key, at text not null, because text not null)"
    )


class StoreError(OSError):
    """The central's file could not be read or written."""


class StoreLostError(OSError):
    """The open file was moved or deleted. Only a new start helps: on the file that is there now."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One event as it is here, with the best that is known of its time."""

    checkin: CheckIn
    known: Known
    received_at: str  # ISO 8601, by this machine's clock
    body: bytes

    @property
    def seq(self) -> int:
        return self.checkin.seq


@dataclass(frozen=True, slots=True)
class Here:
    """What is here of one outbox, as a whole."""

    address: Address
    outbox: str
    count: int
    received_at: str  # the last one
    first: CheckIn
    newest: list[CheckIn]  # some hundred, the last one first


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Neighbours in an outbox, `first` to `last`, of whose boot nothing is known."""

    first: int
    last: int
    before: tuple[CheckIn, Known] | None
    after: tuple[CheckIn, Known] | None


class Store:
    """One open file. Raises `StoreError` for whatever SQLite or the disk says."""

    def __init__(self, path: Path) -> None:
        with _trouble(f"{path}: can't be opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            self._refuse_another(path)
            self._db.execute(f"pragma page_size = {PAGE_BYTES}")
            self._db.execute("pragma journal_mode = wal")
            # FULL: a receipt lets the kiosk forget; what it confirms must not go with the power.
            self._db.execute("pragma synchronous = full")
            self._bring_up_to_date()
            self._db.execute("pragma wal_checkpoint(truncate)")
            self._db.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
        self._path = path
        self._file = OpenFile(path)
        self._untidy = False
        self._numbers: dict[tuple[Address, str], int] = {}
        self._fresh: dict[tuple[Address, str], int] = {}

    def _refuse_another(self, path: Path) -> None:
        """Not a table is added to what belongs to another program, such as a fleet's register."""
        found = self._db.execute("select name from sqlite_master where type = 'table'")
        tables = {name for (name,) in found if not name.startswith(("_", "sqlite_"))}
        if tables and "ledgers" not in tables:  # which is there from the first version on
            raise StoreError(f"{path}: is the database of something else; {_ANOTHER}")

    def _bring_up_to_date(self) -> None:
        try:
            migrations.apply(Database(self._db))
        except sqlite3.OperationalError as error:
            if "already exists" not in str(error):
                raise
            migrations.apply(Database(self._db))  # another command was just doing it

    def recount(self, address: Address, outbox: str, ledger: Ledger) -> None:
        """Add to `ledger` what came into this file by another way: by hand, say."""
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute(
                "select number from outboxes where (checkpoint, kiosk, outbox) = (?, ?, ?)",
                (address.checkpoint, address.kiosk, outbox),
            ).fetchone()
            if found is not None:
                self._count(ledger, found[0])

    def keep(self, deliveries: Sequence[Delivery], at: datetime) -> list[Delivery]:
        """Write the arrivals, in one transaction; return the deliveries as they were kept.

        A check-in that is here already is not written twice. One whose place is taken by *another*
        check-in (a cloned SD card) becomes a refusal: it can't be confirmed and must not be lost
        in silence.
        """
        with _trouble(f"{self._path}: check-ins could not be kept"), self._transaction():
            kept = [self._keep(delivery, at.isoformat()) for delivery in deliveries]
        self._untidy = True
        self.check_file()
        return kept

    def tidy(self) -> None:
        """Copy the log into the file, as far as nobody reads it. For a quiet moment."""
        if self._untidy:
            with _trouble(f"{self._path}: can't be tidied"):
                self._db.execute("pragma wal_checkpoint(passive)")
            self._untidy = False

    def check_file(self) -> None:
        """Raise `StoreLostError` where what is written here would never be found again."""
        if not self._file.is_current():
            raise StoreLostError(f"{self._path}: was moved or deleted under the running central")

    def _keep(self, delivery: Delivery, at: str) -> Delivery:
        here = delivery.address
        kept: list[Run] = []
        refused = list(delivery.refused)
        for run in delivery.runs:
            number = self._number(here, run.outbox)
            if self._is_new(number, run):
                self._insert(number, run, at)
                kept.append(run)
                continue
            for one in self._one_by_one(number, run, at):
                if isinstance(one, Run):
                    kept.append(one)
                else:
                    refused.append(one)
        if refused:
            place = (here.checkpoint, here.kiosk)
            self._db.executemany(
                "insert or ignore into refused values (?, ?, ?, ?, ?, ?, ?)",
                [(*place, one.outbox, one.seq, one.reason, at, one.body) for one in refused],
            )
        return Delivery(here, tuple(kept), tuple(refused), delivery.trouble)

    def _insert(self, number: int, run: Run, at: str) -> None:
        self._db.execute(
            "insert into runs values (?, ?, ?, ?, ?)", (number, run.first, run.last, at, run.body)
        )

    def _is_new(self, number: int, run: Run) -> bool:
        """Whether nothing of `run` is here. Runs don't overlap, so one look is enough."""
        found = self._run_before(number, run.last)
        return found is None or found.last < run.first

    def _run_before(self, number: int, seq: int) -> Run | None:
        """The run that holds `seq`, or else the last before it."""
        found = self._db.execute(
            "select first, last, body from runs where outbox = ? and first <= ?"
            " order by first desc limit 1",
            (number, seq),
        ).fetchone()
        return None if found is None else Run("", *found)

    def _one_by_one(self, number: int, run: Run, at: str) -> Iterator[Run | Refused]:
        """Keep what of `run` isn't here; yield what is here now, and what others stand before."""
        there: Run | None = None
        bodies_there: list[bytes] = []
        for seq, body in enumerate(run.split(), run.first):
            one = run_of(run.outbox, seq, [body])
            if there is None or not there.first <= seq <= there.last:
                there = self._run_before(number, seq)
                bodies_there = there.split() if there is not None and seq <= there.last else []
            if there is None or seq > there.last:
                self._insert(number, one, at)
                yield one
            else:
                same = bodies_there[seq - there.first] == body
                yield one if same else Refused(run.outbox, seq, _TAKEN.format(seq), body)

    def _number(self, address: Address, outbox: str) -> int:
        """The short name of an outbox in this file."""
        number = self._numbers.get((address, outbox)) or self._fresh.get((address, outbox))
        if number is None:
            place = (address.checkpoint, address.kiosk, outbox)
            self._db.execute(
                "insert or ignore into outboxes (checkpoint, kiosk, outbox) values (?, ?, ?)", place
            )
            (number,) = self._db.execute(
                "select number from outboxes where (checkpoint, kiosk, outbox) = (?, ?, ?)", place
            ).fetchone()
            # For good only with the commit: what is rolled back must not be remembered.
            self._fresh[address, outbox] = int(number)
        return int(number)

    def note_anchors(self, address: Address, anchors: Sequence[Anchor]) -> None:
        """Write down what a kiosk says of its clock in each boot."""
        place = (address.checkpoint, address.kiosk)
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.executemany(
                "insert or replace into anchors values (?, ?, ?, ?, ?, ?)",
                [(*place, a.boot, a.tick_s, a.at.isoformat(), a.error_s) for a in anchors],
            )

    def note_gone(
        self, address: Address, outbox: str, ranges: Sequence[Pair], at: datetime
    ) -> None:
        """Write down what a kiosk says it can't send any more."""
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.executemany(
                "insert or ignore into gone values (?, ?, ?, ?, ?, ?)",
                [(address.checkpoint, address.kiosk, outbox, *r, at.isoformat()) for r in ranges],
            )

    def save(self, ledgers: Ledgers) -> None:
        """Write what is here of each outbox, so that a restart needn't count every row.

        Now and then is enough: what came since is counted from the rows.
        """
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.executemany(
                "insert or replace into ledgers values (?, ?, ?, ?)",
                [
                    (
                        address.checkpoint,
                        address.kiosk,
                        outbox,
                        msgspec.json.encode(ledger).decode(),
                    )
                    for (address, outbox), ledger in ledgers.items()
                ],
            )

    def ledgers(self) -> Ledgers:
        """What is here of each outbox: as it was saved last, and what the rows say since."""
        with _trouble(f"{self._path}: can't be read"):
            found: Ledgers = {}

            def ledger(place: tuple[str, str, str]) -> Ledger:
                return found.setdefault((Address(place[0], place[1]), place[2]), Ledger())

            for *place, text in self._db.execute("select * from ledgers"):
                found[Address(place[0], place[1]), place[2]] = msgspec.json.decode(
                    text, type=Ledger
                )
            for *place, seq, reason in self._db.execute(
                "select checkpoint, kiosk, outbox, seq, reason from refused"
            ):
                ledger((place[0], place[1], place[2])).refuse(seq, reason)
            for *place, first, last, _ in self._db.execute("select * from gone"):
                ledger((place[0], place[1], place[2])).add(first, last)
            for number, *place in self._db.execute("select * from outboxes").fetchall():
                self._count(ledger((place[0], place[1], place[2])), number)
            return found

    def _count(self, ledger: Ledger, number: int) -> None:
        for first, last in self._db.execute(
            "select first, last from runs where outbox = ? and last > ? order by first",
            (number, ledger.through),
        ):
            ledger.add(first, last)

    def checkins(self, limit: int, kiosk: str = "") -> Iterator[Kept]:
        """The `limit` events that came last (of one kiosk, if named), the newest first."""
        with _trouble(f"{self._path}: can't be read"):
            newest = self._db.execute(
                "select runs.outbox, first from runs join outboxes on number = runs.outbox"
                " where ? in ('', kiosk)"
                " order by received_at desc, runs.outbox, first desc limit ?",
                (kiosk, limit),
            ).fetchall()
            rows = (
                self._db.execute(
                    "select * from runs where (outbox, first) = (?, ?)", one
                ).fetchone()
                for one in newest
            )
            events = (one for row in rows for one in reversed(_events(row)))
            yield from self._with_times(islice(events, limit))

    def all_checkins(self) -> Iterator[Kept]:
        """Every event, by kiosk and in the order in which the door made them."""
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute(
                "select runs.* from runs join outboxes on number = runs.outbox"
                " order by checkpoint, kiosk, outboxes.outbox, first"
            )
            yield from self._with_times(one for row in found for one in _events(row))

    def _with_times(self, events: Iterable[_Event]) -> Iterator[Kept]:
        anchors: dict[int, dict[str, Anchor]] = {}
        stretches: dict[int, list[_Stretch]] = {}
        for number, seq, received_at, body in events:
            if number not in anchors:
                anchors[number], stretches[number] = self._anchors(number), []
            checkin = event.decode(body)
            found = known(checkin, anchors[number])
            if found is None:
                stretch = self._stretch(number, seq, anchors[number], stretches[number])
                received = datetime.fromisoformat(received_at)
                found = between(checkin, stretch.before, stretch.after, received)
            yield Kept(checkin, found, received_at, body)

    def _stretch(
        self, number: int, seq: int, anchors: dict[str, Anchor], looked_at: list[_Stretch]
    ) -> _Stretch:
        """The neighbours around `seq` of which nothing is known either, and who comes next."""
        for stretch in looked_at:
            if stretch.first <= seq <= stretch.last:
                return stretch
        first, before = self._nearest_known(number, seq, anchors, -1)
        last, after = self._nearest_known(number, seq, anchors, 1)
        looked_at.append(_Stretch(first, last, before, after))
        return looked_at[-1]

    def _nearest_known(
        self, number: int, seq: int, anchors: dict[str, Anchor], way: Literal[-1, 1]
    ) -> tuple[int, tuple[CheckIn, Known] | None]:
        """The last `seq` on the way of which nothing is known, and what comes then."""
        at = seq
        where = "first <= ? order by first desc" if way < 0 else "last >= ? order by first"
        rows = self._db.execute(f"select * from runs where outbox = ? and {where}", (number, seq))  # noqa: S608  one of two
        for row in rows:
            for _, one, _, body in _events(row)[::way]:
                if (one - seq) * way <= 0:
                    continue
                checkin = event.decode(body)
                found = known(checkin, anchors)
                if found is not None:
                    return at, (checkin, found)
                at = one
        return at, None

    def _anchors(self, number: int) -> dict[str, Anchor]:
        found = self._db.execute(
            "select boot, tick, at, error_s from anchors join outboxes using (checkpoint, kiosk)"
            " where number = ?",
            (number,),
        )
        return {
            boot: Anchor(boot=boot, tick_s=tick, at=datetime.fromisoformat(at), error_s=error_s)
            for boot, tick, at, error_s in found
        }

    def note_states(self, states: Mapping[str, tuple[str, datetime, bytes]]) -> None:
        """Write down the last state of kiosks: checkpoint, when it came, the message."""
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.executemany(
                "insert or replace into states values (?, ?, ?, ?)",
                [
                    (kiosk, checkpoint, at.isoformat(), body)
                    for kiosk, (checkpoint, at, body) in states.items()
                ],
            )

    def state(self, kiosk: str) -> tuple[str, str, bytes] | None:
        """The last state of `kiosk`, as it was noted."""
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute(
                "select checkpoint, received_at, state from states where kiosk = ?", (kiosk,)
            ).fetchone()
        return None if found is None else (str(found[0]), str(found[1]), bytes(found[2]))

    def retire(self, kiosk: str, at: datetime, because: str) -> None:
        """Take nothing of `kiosk` any more. It stays retired since when it was first."""
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.execute(
                "insert or ignore into retired values (?, ?, ?)", (kiosk, at.isoformat(), because)
            )

    def take_again(self, kiosk: str) -> None:
        """Undo `retire`."""
        with _trouble(f"{self._path}: can't be written"), self._transaction():
            self._db.execute("delete from retired where kiosk = ?", (kiosk,))

    def retired(self, kiosk: str) -> tuple[str, str] | None:
        """Since when `kiosk` is retired, and because of what; None where it isn't."""
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute(
                "select at, because from retired where kiosk = ?", (kiosk,)
            ).fetchone()
        return None if found is None else (str(found[0]), str(found[1]))

    def outboxes(self, kiosk: str) -> list[Here]:
        """What is here of each outbox of `kiosk`, the one that came last at the end."""
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute(
                "select checkpoint, o.outbox, number, sum(last - first + 1), max(received_at)"
                " from outboxes o join runs r on r.outbox = number where kiosk = ?"
                " group by number order by max(received_at)",
                (kiosk,),
            ).fetchall()
            return [
                Here(
                    Address(checkpoint, kiosk), outbox, count, at,
                    next(self._in_order(number, "asc")),
                    list(islice(self._in_order(number, "desc"), NEWEST)),
                )
                for checkpoint, outbox, number, count, at in found
            ]  # fmt: skip

    def _in_order(self, number: int, way: Literal["asc", "desc"]) -> Iterator[CheckIn]:
        """The events of an outbox, from the first or from the last."""
        rows = self._db.execute(
            f"select * from runs where outbox = ? order by first {way}",  # noqa: S608  one of two
            (number,),
        )
        step = 1 if way == "asc" else -1
        return (event.decode(body) for row in rows for *_, body in _events(row)[::step])

    def count(self) -> int:
        with _trouble(f"{self._path}: can't be read"):
            found = self._db.execute("select ifnull(sum(last - first + 1), 0) from runs")
            return int(found.fetchone()[0])

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._fresh = {}
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
            self._numbers |= self._fresh
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


def _events(row: tuple[int, int, int, str, bytes]) -> list[_Event]:
    """A row of `runs`, event by event."""
    number, first, last, received_at, body = row
    bodies = Run("", first, last, body).split()
    return [(number, seq, received_at, one) for seq, one in enumerate(bodies, first)]


@contextmanager
def _trouble(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hint = f"; {_CURES[code]}" if code in _CURES else ""
        raise StoreError(f"{what}: {error}{hint}") from error
