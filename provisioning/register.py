"""The fleet's register, on SQLite: tokens, certificates, and who was retired.

`image` writes tokens into it while `enrol` uses them up, perhaps from two windows at once. So each
change is one transaction that holds the write lock from its first look on, and what it says is on
disk before anybody hears of it. The secrets of unused tokens are in it: 0600, like a key.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlite_utils import Database, Migrations

from checkin.words import _

# `image --all` writes a token in a millisecond; longer than this, something hangs with the lock.
LOCK_WAIT_S = 10.0

OTHERS_MAY = 0o077

migrations = Migrations("vaora-register")


@migrations()
def m001_begin(db: Database) -> None:
    db.execute(
        """
        create table tokens (
            fingerprint text primary key,
            secret blob not null,
            kiosk text not null,
            checkpoint text not null,
            made_at text not null,     -- ISO 8601, UTC, as all times here
            expires_at text not null,
            used_at text               -- null: not yet
        )
        """
    )
    db.execute("create index tokens_kiosk on tokens (kiosk)")
    db.execute(
        """
        create table certificates (
            serial text primary key,   -- decimal; larger than SQLite's integers
            kiosk text not null,       -- whom it was made for
            checkpoint text not null,
            name text not null,        -- its common name: the kiosk's, or vaora-claim
            token text not null,       -- the token it was claimed with or lies beside; '' renewed
            issued_at text not null,
            ends_at text not null,
            certificate blob not null  -- PEM
        )
        """
    )
    db.execute("create index certificates_kiosk on certificates (kiosk)")
    db.execute(
        "create table retired (kiosk text primary key, at text not null, because text not null)"
    )
    db.execute("create table revocation_lists (number integer primary key, at text not null)")


_CURES = {
    sqlite3.SQLITE_BUSY: "another vaora-provision has it open: wait for it, or end it",
    sqlite3.SQLITE_FULL: "make room there, then do it again",
    sqlite3.SQLITE_IOERR: "is the disk full, or broken? Make room there, then do it again",
    sqlite3.SQLITE_CANTOPEN: "do it as the user whose folder it is; is there room?",
    sqlite3.SQLITE_READONLY: "do it as the user whose folder it is, where it can be written",
}


class RegisterError(OSError):
    """The register could not be read or written, and then nothing was changed."""


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that was made for a card."""

    fingerprint: str
    secret: bytes = field(repr=False)
    kiosk: str
    checkpoint: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was made. `token` is empty for a renewed one."""

    serial: int
    kiosk: str
    checkpoint: str
    name: str
    token: str
    issued_at: datetime
    ends_at: datetime
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Retired:
    kiosk: str
    at: datetime
    because: str


class Register:
    """One open register. Raises `RegisterError` for whatever SQLite or the disk says."""

    def __init__(self, file: Path, *, create: bool = False) -> None:
        self._file = file
        with _trouble(f"{file}: can't be opened"):
            if create:
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            elif not file.exists():
                raise RegisterError(
                    _(
                        "{file}: isn't there; bring it back from the backup: without it no "
                        "kiosk can claim or renew its certificate"
                    ).format(file=file)
                )
            # SQLite would begin a new one, in which nobody is retired.
            elif not file.stat().st_size:
                raise RegisterError(f"{file}: is empty; bring it back from the backup")
            if file.stat().st_mode & OTHERS_MAY:
                raise RegisterError(
                    _("{file}: others on this machine may read it: `chmod 600 {file}`").format(
                        file=file
                    )
                )
            uri = f"{file.absolute().as_uri()}?mode=rw"
            self._db = sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None)
            self._db.execute("pragma journal_mode = wal")
            # FULL: a token that was used must stay used when the power goes.
            self._db.execute("pragma synchronous = full")
            self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        try:
            migrations.apply(Database(self._db))
        except sqlite3.OperationalError as error:
            if "already exists" not in str(error):
                raise
            migrations.apply(Database(self._db))  # another command was just doing it

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def change(self) -> Iterator["Register"]:
        """One transaction: what is read in it stays so until it is written, for everybody."""
        with _trouble(f"{self._file}: can't be written"):
            self._db.execute("begin immediate")
            try:
                yield self
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def add_token(self, token: KnownToken) -> None:
        """Take the kiosk's new token; one that it has and didn't use dies with that."""
        self.end_tokens(token.kiosk, token.made_at)
        self._write(
            "insert into tokens values (?, ?, ?, ?, ?, ?, null)",
            token.fingerprint, token.secret, token.kiosk, token.checkpoint,
            _text(token.made_at), _text(token.expires_at),
        )  # fmt: skip

    def end_tokens(self, kiosk: str, at: datetime) -> None:
        """Let no unused token of `kiosk` count any longer than `at`."""
        self._write(
            "update tokens set expires_at = min(expires_at, ?) where kiosk = ? and used_at is null",
            _text(at),
            kiosk,
        )

    def use_token(self, fingerprint: str, at: datetime) -> None:
        self._write("update tokens set used_at = ? where fingerprint = ?", _text(at), fingerprint)

    def token(self, fingerprint: str) -> KnownToken | None:
        found = self._rows("select * from tokens where fingerprint = ?", fingerprint)
        return _token(found[0]) if found else None

    def tokens(self) -> list[KnownToken]:
        """All of them, the oldest first."""
        return [_token(row) for row in self._rows("select * from tokens order by made_at, kiosk")]

    def add_certificate(self, issued: Issued) -> None:
        self._write(
            "insert into certificates values (?, ?, ?, ?, ?, ?, ?, ?)",
            str(issued.serial), issued.kiosk, issued.checkpoint, issued.name, issued.token,
            _text(issued.issued_at), _text(issued.ends_at), issued.certificate,
        )  # fmt: skip

    def claimed_with(self, fingerprint: str) -> Issued | None:
        """The kiosk's certificate that `fingerprint` was used for."""
        found = self._rows(
            "select * from certificates where token = ? and name = kiosk", fingerprint
        )
        return _issued(found[0]) if found else None

    def newest(self, kiosk: str) -> Issued | None:
        """The certificate that `kiosk` got last."""
        found = self._rows(
            "select * from certificates where kiosk = ? and name = kiosk"
            " order by issued_at desc, rowid desc limit 1",
            kiosk,
        )
        return _issued(found[0]) if found else None

    def count_since(self, kiosk: str, at: datetime) -> int:
        """How many certificates `kiosk` got since `at`."""
        found = self._rows(
            "select count(*) from certificates where kiosk = ? and name = kiosk and issued_at > ?",
            kiosk,
            _text(at),
        )
        return int(str(found[0][0]))

    def certificates(self) -> list[Issued]:
        """All of them, the oldest first."""
        rows = self._rows("select * from certificates order by issued_at, rowid")
        return [_issued(row) for row in rows]

    def retire(self, retired: Retired) -> None:
        """For good. One that is retired already stays so, since when it was and because it was."""
        self._write(
            "insert or ignore into retired values (?, ?, ?)",
            retired.kiosk,
            _text(retired.at),
            retired.because,
        )
        self.end_tokens(retired.kiosk, retired.at)

    def retired(self, kiosk: str) -> Retired | None:
        found = self._rows("select * from retired where kiosk = ?", kiosk)
        return _retired(found[0]) if found else None

    def all_retired(self) -> list[Retired]:
        return [_retired(row) for row in self._rows("select * from retired order by at, kiosk")]

    def revoked(self) -> list[int]:
        """The serials that count no more: those of retired kiosks, and of their cards."""
        found = self._rows("select serial from certificates join retired using (kiosk)")
        return sorted(int(str(row[0])) for row in found)

    def next_list(self, at: datetime) -> int:
        """The number of the next revocation list: it only rises."""
        self._write("insert into revocation_lists (at) values (?)", _text(at))
        return int(str(self._rows("select max(number) from revocation_lists")[0][0]))

    def _write(self, sql: str, *values: object) -> None:
        if not self._db.in_transaction:
            raise AssertionError("a register is only written within change()")
        self._db.execute(sql, values)

    def _rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with _trouble(f"{self._file}: can't be read"):
            return self._db.execute(sql, values).fetchall()


def _token(row: tuple[object, ...]) -> KnownToken:
    fingerprint, secret, kiosk, checkpoint, made_at, expires_at, used_at = row
    return KnownToken(
        str(fingerprint), bytes(secret), str(kiosk), str(checkpoint),  # type: ignore[call-overload]
        _time(made_at), _time(expires_at), None if used_at is None else _time(used_at),
    )  # fmt: skip


def _issued(row: tuple[object, ...]) -> Issued:
    serial, kiosk, checkpoint, name, token, issued_at, ends_at, certificate = row
    return Issued(
        int(str(serial)), str(kiosk), str(checkpoint), str(name), str(token),
        _time(issued_at), _time(ends_at), bytes(certificate),  # type: ignore[call-overload]
    )  # fmt: skip


def _retired(row: tuple[object, ...]) -> Retired:
    kiosk, at, because = row
    return Retired(str(kiosk), _time(at), str(because))


def _text(at: datetime) -> str:
    # With microseconds always, so that the texts sort as the times do.
    return at.isoformat(timespec="microseconds")


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


@contextmanager
def _trouble(what: str) -> Iterator[None]:
    try:
        yield
    except RegisterError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise RegisterError(f"{what}: {_in_words(error)}") from error


def _in_words(error: sqlite3.Error | OSError) -> str:
    """What went wrong, and what to do about it."""
    if isinstance(error, OSError):
        return f"{error.strerror}; do it as the user whose folder it is"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{error}; {_CURES.get(code, 'bring it back from the backup')}"


@contextmanager
def open_register(file: Path, *, create: bool = False) -> Iterator[Register]:
    """The register for a while. Raises `RegisterError`."""
    register = Register(file, create=create)
    try:
        yield register
    finally:
        with suppress(sqlite3.Error):
            register.close()
