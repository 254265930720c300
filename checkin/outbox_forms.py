"""The forms that the outbox file had, and the way from each to the next.

A form that was released is never changed: the next change is a migration of its own, and
tests/files holds a file of each.
"""

import sqlite3
from secrets import token_hex

from sqlite_utils import Database, Migrations

migrations = Migrations("vaora-outbox")


@migrations()
def m001_begin(db: Database) -> None:
    """The first form. Never changed once released: the next change is a migration of its own."""
    db.execute(
        """
        create table checkins (
            seq integer primary key autoincrement, -- never used twice, even after pruning
            id text not null,
            at text not null,        -- the wall time as believed, ISO 8601, UTC
            direction text not null,
            kind text not null,      -- of the credential
            boot text not null,
            tick real not null,
            tag blob not null,       -- the visitor, under a key kept in memory
            crc integer not null,    -- CRC-32 of body: SQLite has no checksum, and SD cards err
            body blob not null       -- the event as it travels
        )
        """
    )
    db.execute("create table set_aside (seq integer primary key, reason text not null)")
    db.execute("create table state (outbox text not null, confirmed integer not null)")
    # How far the watermark was when, by a clock that the network had set: what pruning goes by.
    db.execute("create table confirmations (through integer not null, at text not null)")
    db.execute("insert into state values (?, 0)", [token_hex(16)])


@migrations()
def m002_anchors(db: Database) -> None:
    """A lighter row, and what is known of each boot's clock.

    `autoincrement` went: it wrote a second page with each check-in, and the watermark already says
    which `seq` were used, since nothing above it is ever pruned.
    """
    db.execute("alter table checkins rename to before")
    db.execute(
        """
        create table checkins (
            seq integer primary key,
            id text not null,
            at text not null,
            direction text not null,
            kind text not null,
            boot text not null,
            tick real not null,
            tag blob not null,
            crc integer not null,
            body blob not null
        )
        """
    )
    db.execute("insert into checkins select * from before order by seq")
    db.execute("drop table before")
    # One row a boot: at `tick` of that boot it was `at`, give or take `error_s`.
    db.execute(
        "create table anchors (boot text primary key, tick real not null, at text not null,"
        " error_s real not null)"
    )
    # What a technician wants sent again; gone once it was.
    db.execute("create table replays (first integer not null, last integer not null)")
    # How far the backlog was ever copied onto a stick: no receipt from a stick goes beyond.
    db.execute("create table exported (through integer not null)")


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make the tables, or change those of an older version; each step whole or not at all."""
    migrations.apply(Database(db))
