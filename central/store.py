"""The central's SQLite file: a row per check-in, and per outbox what is here and what isn't."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from sqlite_utils import Database, Migrations

from checkin.open_file import OpenFile
from sync_daemon.protocol import Arrival, Delivery, Ledger, Ledgers, Pair
from sync_daemon.topics import Address

LOCK_WAIT_S = 10.0

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


class StoreError(OSError):
    """The central's file could not be read or written."""


class StoreLostError(OSError):
    """The open file was moved or deleted. Only a new start helps: on the file that is there now."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One check-in as `vaora-central list` shows it; `turned_away` is a refusal's reason."""

    id: str
    checkpoint: str
    kiosk: str
    outbox: str
    seq: int
    at: str
    received_at: str
    synced: bool
    direction: str
    direction_by: str
    kind: str
    verified: bool
    body: bytes
    turned_away: str = ""


class Store:
    """One open file. Raises `StoreError` for whatever SQLite or the disk says."""

    def __init__(self, path: Path) -> None:
        with _trouble(f"{path}: can't be opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            self._db.execute("pragma journal_mode = wal")
            # FULL: a receipt lets the kiosk forget; what it confirms must not go with the power.
            self._db.execute("pragma synchronous = full")
            migrations.apply(Database(self._db))
            self._db.execute("pragma wal_checkpoint(truncate)")
        self._path = path
        self._file = OpenFile(path)

    def keep(self, deliveries: Sequence[Delivery], at: datetime) -> list[Delivery]:
        """Write the arrivals, in one transaction; return the deliveries as they were kept.

        A check-in that is here already is not written twice. One whose place is taken by *another*
        check-in (a cloned SD card) becomes a refusal: it can't be confirmed and must not be lost
        in silence.
        """
        with _trouble(f"{self._path}: check-ins could not be kept"), self._transaction():
            kept = [self._keep(delivery, at.isoformat()) for delivery in deliveries]
        self.check_file()
        return kept

    def check_file(self) -> None:
        """Raise `StoreLostError` where what is written here would never be found again."""
        if not self._file.is_current():
            raise StoreLostError(f"{self._path}: was moved or deleted under the running central")

    def _keep(self, delivery: Delivery, at: str) -> Delivery:
        kept: list[Arrival] = []
        refused = list(delivery.refused)
        for arrival in delivery.arrivals:
            if self._insert(arrival, at):
                kept.append(arrival)
            else:
                checkin = arrival.checkin
                reason = f"another check-in is at {checkin.seq} of this outbox already"
                refused.append((checkin.outbox, checkin.seq, reason))
        place = (delivery.address.checkpoint, delivery.address.kiosk)
        self._db.executemany(
            "insert or ignore into refused values (?, ?, ?, ?, ?, ?)",
            [(*place, outbox, seq, reason, at) for outbox, seq, reason in refused],
        )
        return Delivery(delivery.address, tuple(kept), tuple(refused), delivery.trouble)

    def _insert(self, arrival: Arrival, at: str) -> bool:
        """Whether the check-in is here now, from this time or an earlier one."""
        c, data = arrival.checkin, arrival.checkin.data
        row = (
            c.id, data.checkpoint, data.kiosk, c.outbox, c.seq, c.time.isoformat(), at,
            data.clock.synced, data.direction, data.direction_by, data.credential.kind,
            data.credential.verified, arrival.body, data.refused,
        )  # fmt: skip
        marks = ", ".join("?" * len(row))
        if self._db.execute(f"insert or ignore into checkins values ({marks})", row).rowcount:  # noqa: S608  only question marks
            return True
        found = self._db.execute(
            "select checkpoint, kiosk, outbox, seq from checkins where id = ?", (c.id,)
        ).fetchone()
        return bool(found == (data.checkpoint, data.kiosk, c.outbox, c.seq))

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
            for *place, seq, reason, _ in self._db.execute("select * from refused"):
                ledger((place[0], place[1], place[2])).refuse(seq, reason)
            for *place, first, last, _ in self._db.execute("select * from gone"):
                ledger((place[0], place[1], place[2])).add(first, last)
            for place in self._db.execute(
                "select distinct checkpoint, kiosk, outbox from checkins"
            ).fetchall():
                self._count(ledger(place), place)
            return found

    def _count(self, ledger: Ledger, place: tuple[str, str, str]) -> None:
        for (seq,) in self._db.execute(
            "select seq from checkins where checkpoint = ? and kiosk = ? and outbox = ? and seq > ?"
            " order by seq",
            (*place, ledger.through),
        ):
            ledger.add(seq, seq)

    def checkins(self, limit: int, kiosk: str = "") -> Iterator[Kept]:
        """The newest `limit` check-ins (of one kiosk, if named), newest first."""
        with _trouble(f"{self._path}: can't be read"):
            where, values = ("where kiosk = ?", [kiosk]) if kiosk else ("", [])
            for row in self._db.execute(
                f"select * from checkins {where} order by at desc, seq desc limit ?",  # noqa: S608  a constant
                [*values, limit],
            ):
                yield Kept(*row)

    def all_checkins(self) -> Iterator[Kept]:
        """Every check-in, by kiosk and in the order in which the door made them."""
        with _trouble(f"{self._path}: can't be read"):
            for row in self._db.execute(
                "select * from checkins order by checkpoint, kiosk, outbox, seq"
            ):
                yield Kept(*row)

    def count(self) -> int:
        with _trouble(f"{self._path}: can't be read"):
            (count,) = self._db.execute("select count(*) from checkins").fetchone()
            return int(count)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


@contextmanager
def _trouble(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        rights = code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
        hint = "; run it with sudo, or as the user that runs the central" if rights else ""
        raise StoreError(f"{what}: {error}{hint}") from error
