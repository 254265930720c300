"""The outbox: check-ins on disk that the central may not have yet.

The kiosk appends; the sync daemon reads, settles and prunes. All SQL of the two is in this file.
Rows are only ever added, in `seq` order without a gap, and hold the event as the bytes that
travel. Being confirmed is one number, the watermark: everything up to it is at the central.
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Literal

from checkin.open_file import OpenFile
from checkin.words import N_

# The other process holds the write lock for a millisecond at a time, on a bad card for a second.
# Five without it means that something is badly wrong, and a visitor is waiting.
LOCK_WAIT_S = 5.0

# A file up to this size is read through at start (0.1 s on a laptop, a second on a slow card).
CHECKED_AT_START_BYTES = 16 * 1024 * 1024

# From this share of the limit on, the outbox says that it will be full.
NEAR_FULL = 0.9

# Twice SQLite's usual: a drain's time goes into walking pages, and an append writes one, which
# takes as long in either size (docs/performance.md).
PAGE_BYTES = 8192

# Pages in the write-ahead log until SQLite copies them into the file: 2 MB, some 250 check-ins.
LOG_PAGES = 256

# The log and the file both grow while a file of an older version is changed: three times its size
# was measured for 200,000 rows.
CHANGE_TAKES = 4

ROOM_FOR_LOG = 4  # the log and the pages, and as much again

# The kinds of SQLite's input and output errors that are about reading.
UNREADABLE = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
}

CONFIRMATIONS_EVERY = timedelta(minutes=10)

LAST_OF = 100  # rows among which the last check-in is looked for, behind refusals

PRUNED_AT_ONCE = 500  # rows; a longer transaction would keep the door waiting for the lock

Room = Literal["plenty", "near", "full"]

# The changes of form that this version knows, in order; `outbox_forms` makes them.
FORMS = ("m001_begin", "m002_anchors")

# Said by kiosk and daemon, to logs and people: `words.known` looks them up behind the file's name.
_UNREAD, _DAMAGED = N_("can't be read through"), N_("damaged")
_BEING_MADE = N_("being made just now")
_NEWER = N_("was made by a newer version; install that one again")
_OLDER = N_("was made by an older version; vaora-kiosk brings it up to date when it starts")
_MOVED = N_("was moved or deleted under the running kiosk")


class OutboxError(OSError):
    """The outbox could not be read or written; nothing was lost that was there before."""


class OutboxLostError(OutboxError):
    """The open file is no sound outbox any more: damaged, moved away or deleted.

    Waiting doesn't help: the process has to begin anew, with this file set aside.
    """


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written beside an event: no personal field is among it.

    `tag` is empty for a refusal: it is no visit that the hold-off would have to know of.
    """

    id: str
    at: datetime
    direction: str
    kind: str
    boot: str
    tick: float
    tag: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """Check-ins as they lie on disk, in order: `bodies[n]` is that of `seqs[n]`.

    `damaged` are the `seq` of the same range whose body isn't what was written any more. Two
    lists, not a list of pairs: a drain passes here with each of its rows.
    """

    seqs: list[int]
    bodies: list[bytes]
    damaged: list[int]


@dataclass(frozen=True, slots=True)
class Visit:
    """What the hold-off has to know of a check-in made before a restart."""

    tag: bytes
    tick: float
    direction: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """At second `tick` of `boot` the network's time was `at`, give or take `error_s`."""

    boot: str
    tick: float
    at: datetime
    error_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """How far the outbox is. `oldest_pending_at` is ISO 8601, None when nothing is waiting.

    `last_at` is of the last check-in, None where none is left or all lately were refused.
    """

    outbox: str
    appended: int
    confirmed: int
    oldest_pending_at: str | None
    set_aside: int
    last_at: str | None = None

    @property
    def pending(self) -> int:
        return self.appended - self.confirmed


class Outbox:
    """One open outbox file.

    `create=False` is for the daemon and for looking: the kiosk alone makes the file. Raises
    `OutboxError` where there is no file, or one that is no outbox.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = True,
        limit_rows: int = 1_000_000,
        min_free_bytes: int = 0,
    ) -> None:
        self.path = path
        self._folder = str(path.parent)
        self._limit_rows = limit_rows
        self._min_free_bytes = min_free_bytes
        with _trouble(f"{path}: can't be opened"):
            if create:
                _make_for_the_group(path)
            elif not path.exists():
                raise OutboxError(f"{path}: no outbox yet; vaora-kiosk makes it when it starts")
            # rw, not rwc: whoever only looks must never make a file in passing.
            uri = f"{path.absolute().as_uri()}?mode=rw"
            self._db = sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None)
            try:
                self._begin(create=create)
            except BaseException:
                self._db.close()
                raise

    def _begin(self, *, create: bool) -> None:
        self._db.execute(
            f"pragma page_size = {PAGE_BYTES}"
        )  # of a new file; an older one keeps its
        self._db.execute("pragma journal_mode = wal")
        # FULL, not WAL's usual NORMAL: a kiosk loses power without notice, and NORMAL may then
        # drop the last check-ins that the door lit green for.
        self._db.execute("pragma synchronous = full")
        if create:
            # Here, not above: the daemon never makes a file, and sqlite-utils brings numpy along,
            # 14 MB that the smallest Pi has better use for.
            from checkin import outbox_forms  # noqa: PLC0415

            self._refuse_if_too_tight_to_change()
            outbox_forms.bring_up_to_date(self._db)
        self._check_form()
        row = self._db.execute("select outbox from state").fetchone()
        self.id: str = row[0]
        # So that a log that is lost takes check-ins with it, and not the outbox's very name.
        if create:
            self._db.execute("pragma wal_checkpoint(truncate)")
            self._make_room_in_the_log()
        self._file = OpenFile(self.path)

    def _make_room_in_the_log(self) -> None:
        """Write the log to its full length once, so that a check-in only overwrites.

        A file that grows has its new length and blocks flushed with each commit, which makes an
        append twice as slow (`append_ratio` in docs/performance.md). What was written here are
        free pages: the next check-ins use them too.
        """
        self._db.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
        (page_bytes,) = self._db.execute("pragma page_size").fetchone()
        self._db.execute("drop table if exists room")  # a power cut left it
        if self._free_bytes() < ROOM_FOR_LOG * LOG_PAGES * page_bytes:
            return  # slower, and what space there is stays for check-ins
        with self._transaction():
            self._db.execute("create table room (filler blob)")
            size = (LOG_PAGES + 1) * page_bytes
            self._db.execute("insert into room values (zeroblob(?))", (size,))
        self._db.execute("drop table room")  # not above: SQLite logs no page that is freed at once
        self._db.execute("pragma wal_checkpoint(restart)")

    def _refuse_if_too_tight_to_change(self) -> None:
        """An older file is copied inside itself; without room for that it stays as it is."""
        older = self._db.execute(
            "select 1 from sqlite_master where name = 'checkins' and sql like '%autoincrement%'"
        ).fetchone()
        needed = CHANGE_TAKES * self.path.stat().st_size
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if older and free < needed:
            raise OutboxError(
                f"{self.path}: was made by an older version; bringing it up to date needs "
                f"{needed // 1_000_000} MB of disk, {free // 1_000_000} are free. Make room, or "
                f"take what waits by `vaora-sync recover {self.path} FILE`"
            )

    def _check_form(self) -> None:
        """Refuse a file that isn't made yet, or is of another version than this program."""
        there = {name for (name,) in self._db.execute("select name from sqlite_master")}
        if "state" not in there:
            raise OutboxError(f"{self.path}: {_BEING_MADE}")
        found = self._db.execute("select name from _sqlite_migrations order by id").fetchall()
        done = {name for (name,) in found}
        if done - set(FORMS):
            raise OutboxError(f"{self.path}: {_NEWER}")
        if set(FORMS) - done:
            raise OutboxError(f"{self.path}: {_OLDER}")

    def append(self, entry: Entry, encode: Callable[[str, int], bytes]) -> int:
        """Put a check-in on disk and return its `seq`. Once this returns, no power cut takes it.

        `encode` gets the outbox id and the `seq`, which are part of the event. Raises
        `OutboxError`, and then nothing was appended.
        """
        with _trouble(f"{self.path}: a check-in could not be written"), self._transaction():
            confirmed, last = self._marks()
            self._refuse_if_full(last - confirmed)
            seq = last + 1
            body = encode(self.id, seq)
            self._db.execute(
                "insert into checkins values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    seq,
                    entry.id,
                    entry.at.isoformat(),
                    entry.direction,
                    entry.kind,
                    entry.boot,
                    entry.tick,
                    entry.tag,
                    zlib.crc32(body),
                    body,
                ),
            )
        if not self.is_current():  # or the light would promise a row in a file that is gone
            raise OutboxLostError(f"{self.path}: {_MOVED}")
        return seq

    def pending(self, after: int, limit: int, through: int = 2**62) -> Pending:
        """The first `limit` check-ins with `after < seq <= through`, oldest first."""
        with _trouble(f"{self.path}: can't be read"):
            found = self._db.execute(
                "select seq, cast(body as blob), crc from checkins where seq > ? and seq <= ?"
                " and seq not in (select seq from set_aside) order by seq limit ?",
                (after, through, limit),
            ).fetchall()
        if not found:
            return Pending([], [], [])
        seqs, bodies, crcs = (list(column) for column in zip(*found, strict=True))
        if list(map(zlib.crc32, bodies)) == crcs:
            return Pending(seqs, bodies, [])
        whole = [row for row in found if zlib.crc32(row[1]) == row[2]]
        damaged = sorted(set(seqs) - {row[0] for row in whole})
        return Pending([row[0] for row in whole], [row[1] for row in whole], damaged)

    def settle(
        self, through: int, refused: Mapping[int, str] | None = None, at: datetime | None = None
    ) -> None:
        """Everything up to `through` is at the central, but for `refused` (`seq` to reason).

        A refused row is set aside for good: kept, reported, never sent again. The watermark never
        moves back and never past the last row. `at` is when, where the clock is known.
        """
        with _trouble(f"{self.path}: can't be settled"), self._transaction():
            self._db.execute(
                "update state set confirmed = min(max(confirmed, ?), ?)",
                (through, self._marks()[1]),
            )
            self._db.executemany(
                "insert or ignore into set_aside values (?, ?)", list((refused or {}).items())
            )
            if at is not None:
                self._note_confirmation(at)

    def _note_confirmation(self, at: datetime) -> None:
        """One row in ten minutes is as fine as pruning needs it."""
        (last,) = self._db.execute("select max(at) from confirmations").fetchone()
        if last is None or last <= (at - CONFIRMATIONS_EVERY).isoformat():
            self._db.execute(
                "insert into confirmations select confirmed, ? from state", (at.isoformat(),)
            )

    def prune(self, before: datetime | None) -> int:
        """Delete some check-ins that were confirmed before `before`, or at all; return how many.

        Those set aside stay. Call again until it returns 0.
        """
        with _trouble(f"{self.path}: can't be pruned"), self._transaction():
            if before is None:
                through, _ = self._marks()
            else:
                (noted,) = self._db.execute(
                    "select max(through) from confirmations where at < ?", (before.isoformat(),)
                ).fetchone()
                through = min(noted or 0, self._marks()[0])
            self._db.execute("delete from confirmations where through < ?", (through,))
            pruned = self._db.execute(
                "delete from checkins where seq in (select seq from checkins where seq <= ?"
                " and seq not in (select seq from set_aside) order by seq limit ?)",
                (through, PRUNED_AT_ONCE),
            ).rowcount
            if pruned == 0:  # once all are gone, and not with every chunk
                self._db.execute(
                    "delete from anchors where boot not in (select boot from checkins)"
                    " and at < (select max(at) from anchors)"
                )
            return pruned

    def ask_again(self, first: int, last: int) -> None:
        """Want check-ins `first` to `last` sent once more, as far as they are still here."""
        with _trouble(f"{self.path}: can't be written"), self._transaction():
            self._db.execute("insert into replays values (?, ?)", (first, last))

    def asked_again(self) -> list[tuple[int, int]]:
        """The ranges that are wanted once more."""
        with _trouble(f"{self.path}: can't be read"):
            return self._db.execute("select first, last from replays order by rowid").fetchall()

    def sent_again(self, first: int, last: int, *, through: int) -> None:
        """Of `first` to `last` everything up to `through` was sent; the rest is still wanted."""
        with _trouble(f"{self.path}: can't be written"), self._transaction():
            if through >= last:
                self._db.execute("delete from replays where (first, last) = (?, ?)", (first, last))
            else:
                self._db.execute(
                    "update replays set first = ? where (first, last) = (?, ?)",
                    (max(first, through + 1), first, last),
                )

    def note_exported(self, through: int) -> None:
        """Everything up to `through` was copied onto a stick."""
        with _trouble(f"{self.path}: can't be written"), self._transaction():
            self._db.execute("insert into exported values (?)", (through,))

    def exported(self) -> int:
        """How far the backlog was ever copied onto a stick."""
        with _trouble(f"{self.path}: can't be read"):
            (through,) = self._db.execute("select max(through) from exported").fetchone()
        return int(through or 0)

    def confirmed_at(self) -> str | None:
        """When the watermark moved last, to some minutes; None where no clock was set then."""
        with _trouble(f"{self.path}: can't be read"):
            (last,) = self._db.execute("select max(at) from confirmations").fetchone()
        return str(last) if last else None

    def note_anchor(self, anchor: Anchor) -> None:
        """Write down what the clock of a boot says, in the place of what it said before.

        It travels beside the check-ins: what is stored of them is never touched.
        """
        with _trouble(f"{self.path}: can't be written"), self._transaction():
            self._db.execute(
                "insert or replace into anchors values (?, ?, ?, ?)",
                (anchor.boot, anchor.tick, anchor.at.isoformat(), anchor.error_s),
            )

    def anchors(self, limit: int) -> list[Anchor]:
        """What is known of the clock in each boot, the latest `limit` of them, oldest first."""
        with _trouble(f"{self.path}: can't be read"):
            found = self._db.execute(
                "select boot, tick, at, error_s from anchors order by at desc limit ?", (limit,)
            ).fetchall()
        return [
            Anchor(boot, tick, datetime.fromisoformat(at), error_s)
            for boot, tick, at, error_s in reversed(found)
        ]

    def try_writing(self) -> None:
        """Write something that changes nothing. Raises `OutboxError` where that can't be done."""
        with _trouble(f"{self.path}: can't be written"), self._transaction():
            self._db.execute("update state set confirmed = confirmed")

    def visits(self, boot: str, limit: int) -> list[Visit]:
        """The last `limit` check-ins, as far as they were made in `boot`; oldest first."""
        with _trouble(f"{self.path}: can't be read"):
            newest = self._db.execute(
                "select boot, tag, tick, direction from checkins order by seq desc limit ?",
                (limit,),
            )
            same_boot = takewhile(lambda row: row[0] == boot, newest)
            found = [Visit(*row[1:]) for row in same_boot if row[1]]
        return found[::-1]

    def summary(self) -> Summary:
        with _trouble(f"{self.path}: can't be read"):
            confirmed, appended = self._marks()
            oldest = self._db.execute(
                "select at from checkins where seq > ? order by seq limit 1", (confirmed,)
            ).fetchone()
            # Only a refusal has no tag.
            last = self._db.execute(
                "select at from checkins where seq > ? and tag <> x'' order by seq desc limit 1",
                (appended - LAST_OF,),
            ).fetchone()
            (aside,) = self._db.execute("select count(*) from set_aside").fetchone()
            return Summary(
                outbox=self.id,
                appended=appended,
                confirmed=confirmed,
                oldest_pending_at=oldest[0] if oldest else None,
                set_aside=aside,
                last_at=last[0] if last else None,
            )

    def set_aside(self) -> dict[int, str]:
        """The rows that are not sent any more, and why."""
        with _trouble(f"{self.path}: can't be read"):
            return dict(self._db.execute("select seq, reason from set_aside").fetchall())

    def appended(self) -> int:
        """The last `seq` that was ever given."""
        with _trouble(f"{self.path}: can't be read"):
            return self._marks()[1]

    def pending_count(self) -> int:
        with _trouble(f"{self.path}: can't be read"):
            confirmed, last = self._marks()
        return last - confirmed

    def check_room(self) -> None:
        """Raise `OutboxError` where the next check-in can't be appended, and say what to do."""
        if not self.is_current():
            raise OutboxLostError(f"{self.path}: {_MOVED}")
        self._refuse_if_full(self.pending_count())

    def _refuse_if_full(self, waiting: int) -> None:
        if self._room(waiting) == "full":
            raise OutboxError(
                f"{self.path}: full: {waiting} check-ins are waiting, "
                f"{self._free_bytes() // 1_000_000} MB of disk are free. Bring back the network or "
                "make room on the disk"
            )

    def room(self) -> Room:
        """Whether another check-in fits, and whether that will end soon."""
        return self._room(self.pending_count())

    def _room(self, waiting: int) -> Room:
        free = self._free_bytes()
        if waiting >= self._limit_rows or free < self._min_free_bytes:
            return "full"
        if waiting >= NEAR_FULL * self._limit_rows or free < 2 * self._min_free_bytes:
            return "near"
        return "plenty"

    def is_current(self) -> bool:
        """Whether the open file is still the one at `path`, and not one that was set aside."""
        return self._file.is_current()

    def close(self) -> None:
        self._db.close()

    def _marks(self) -> tuple[int, int]:
        """The watermark, and the last `seq` that was ever given.

        Rows are pruned behind the watermark only, so what it passed counts as given too.
        """
        found = self._db.execute(
            "select confirmed, max(confirmed, ifnull((select max(seq) from checkins), 0))"
            " from state"
        )
        confirmed, last = found.fetchone()
        return int(confirmed), int(last)

    def _free_bytes(self) -> int:
        """What the disk has left, and what pruning left inside the file for SQLite to use again."""
        with _trouble(f"{self.path}: the disk can't be asked for free space"):
            disk = os.statvfs(self._folder)
            free = disk.f_bavail * disk.f_frsize
            if free >= 2 * self._min_free_bytes:
                return free
            (pages,) = self._db.execute("pragma freelist_count").fetchone()
            (page_bytes,) = self._db.execute("pragma page_size").fetchone()
            return free + int(pages) * int(page_bytes)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE: takes the write lock at once, so that what is read inside can't change.
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


def damaged_files(path: Path) -> list[Path]:
    """The files that were set aside in the folder of the outbox at `path`, oldest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(one for one in found if not one.name.endswith(("-wal", "-shm")))


def set_aside_if_damaged(path: Path, *, thorough: bool = False) -> Path | None:
    """Move a file that is no sound outbox out of the way, whole; return where it is now.

    A large file is read through only when `thorough`. Only the kiosk calls this, while it has the
    file closed. What can still be read from it is a technician's work; nothing is ever written
    over it.
    """
    with _trouble(f"{path}: can't be looked at"):
        if not path.exists() or _is_sound(path, thorough=thorough):
            return None
    number = 1
    while any(path.parent.glob(f"{path.name}.damaged-{number}*")):
        number += 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    with _trouble(f"{path}: is damaged and can't be set aside"):
        _move_whole(path, aside)
    return aside


def _move_whole(path: Path, aside: Path) -> None:
    """Give the file and its log another name, so that no power cut leaves one without the other.

    First all of it has both names, on disk; then the old ones go, the file's own before its log's:
    a log without its file is nothing to SQLite.
    """
    parts = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]
    there = [part for part in parts if part.exists()]
    for part in there:
        part_aside = aside.with_name(aside.name + part.name.removeprefix(path.name))
        part_aside.hardlink_to(part)
    _flush_folder(path.parent)
    for part in there:
        part.unlink()
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def is_of_an_earlier_form(path: Path) -> bool:
    """Whether opening the file at `path` changes it first, which takes minutes for a large one."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S)) as db:
            done = {name for (name,) in db.execute("select name from _sqlite_migrations")}
    except sqlite3.Error:
        return False
    return bool(set(FORMS) - done)


def form(path: Path) -> tuple[str, ...]:
    """The tables of the file at `path`: a version that changes them can't be gone back from.

    Raises `OutboxError`.
    """
    with _trouble(f"{path}: its form"):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S)) as db:
            made = db.execute("select sql from sqlite_master where sql is not null order by name")
            return tuple(sql for (sql,) in made)


def look_through(path: Path) -> str:
    """What is wrong with the file at `path`, in words; empty where it is sound. Reads only."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S)) as db:
            (found,) = db.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return f"{path}: {_UNREAD}: {error}"
    return "" if found == "ok" else f"{path}: {_DAMAGED}: {' '.join(str(found).split())}"


def _is_sound(path: Path, *, thorough: bool) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_WAIT_S)) as db:
            db.execute("select count(*) from sqlite_master").fetchone()
            if not thorough and path.stat().st_size > CHECKED_AT_START_BYTES:
                return True
            return bool(db.execute("pragma quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error as error:
        return not _is_damage(error)


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is bad, and not just locked, full, or somebody else's.

    A read error is damage too: so an SD card fails, and a new file may lie on sounder ground. An
    error in writing is not: what is in the file can still be read, and a new one beside it would
    fare no better on a disk that has gone read-only.
    """
    code = getattr(error, "sqlite_errorcode", 0)  # the low byte is the primary one (rescode.html)
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return code in UNREADABLE
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _make_for_the_group(path: Path) -> None:
    """Make the file so that the daemon's user, who shares the group, may write it too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o660))
        path.chmod(0o660)  # whatever the umask; SQLite gives -wal and -shm the same


@contextmanager
def _trouble(what: str) -> Iterator[None]:
    """Whatever SQLite or the disk says becomes the one exception of this module."""
    try:
        yield
    except OutboxError:
        raise
    except PermissionError as error:
        hint = N_("run it with sudo, or as a member of the group vaora")
        raise OutboxError(f"{what}: {error.strerror}; {hint}") from error
    except (sqlite3.Error, OSError) as error:
        kind = OutboxLostError if _is_damage(error) else OutboxError
        raise kind(f"{what}: {error}{_hint(error)}") from error


def _hint(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR and not _is_damage(error):
        return ". The disk takes no writes; after an error of the card Linux mounts it read-only"
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return (
            ". Run it with sudo, or as a member of the group vaora; if that isn't it, the disk is "
            "mounted read-only, as Linux does after an error of the card"
        )
    return ""
