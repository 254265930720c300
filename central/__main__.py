"""`vaora-central`: receive check-ins, keep one copy of each, confirm them."""

import csv
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import click
import msgspec

from central import report as reports
from central.loop import CentralLoop
from central.store import Kept, Store, StoreError, StoreLostError
from checkin import VERSION, event, seal, stick
from checkin.clock import SystemClock
from checkin.command_line import leave_no_traces, not_over, stop_signals
from checkin.event import EventError
from checkin.seal import CentralKey, SealError
from checkin.stick import StickError
from checkin.words import _
from sync_daemon.broker import Broker, Options, Tls
from sync_daemon.protocol import Ledger, Receiver
from sync_daemon.topics import (
    ALL_CHECKINS,
    ALL_STATES,
    Address,
    Anchor,
    Receipt,
    Refusal,
    encode,
)

IMPORTED_AT_ONCE = 500

OTHERS_MAY = 0o077

Keys = dict[str, CentralKey]

# What the broker keeps for a central that is away: a weekend and a day. Longer outages are the
# outboxes' to bridge.
SESSION_S = 3 * 24 * 3600

COLUMNS = (
    "id", "checkpoint", "kiosk", "outbox", "seq", "at", "sure", "earliest", "latest", "believed_at",
    "received_at", "direction", "direction_by", "kind", "verified", "turned_away",
)  # fmt: skip

database = click.option(
    "--database",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/vaora-central/central.db"),
    show_default=True,
    help="The SQLite file with the check-ins.",
)
key_file = click.option(
    "--key-file",
    "key_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A private key made by `keygen`: opens the personal fields. Repeat it for older keys.",
)


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-central")
def main() -> None:
    pass


@main.command()
@database
@click.option("--host", default="localhost", show_default=True, help="The MQTT broker.")
@click.option("--port", default=8883, show_default=True, help="8883 is MQTT over TLS.")
@click.option("--ca-file", default="", help="Authority of the broker's certificate; turns TLS on.")
@click.option("--cert-file", default="", help="This central's certificate.")
@click.option("--tls-key-file", default="", help="This central's private TLS key.")
@click.option("--no-tls", is_flag=True, help="Plain MQTT; only on a bench.")
@click.option("--client-id", default="vaora-central", show_default=True)
def run(
    database: Path, host: str, port: int, ca_file: str, cert_file: str, tls_key_file: str,
    client_id: str, *, no_tls: bool,
) -> None:  # fmt: skip
    """Run until stopped: subscribe, keep, confirm.

    Nothing is confirmed before it is on this machine's disk. Stop it at any moment: what it
    missed is sent again.
    """
    if not no_tls and not ca_file:
        raise click.UsageError(
            "--ca-file is missing: name the authority that signed the broker's certificate, or say "
            "--no-tls on a bench"
        )
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    leave_no_traces()
    stopped = stop_signals()
    options = Options(
        host=host,
        port=port,
        client_id=client_id,
        subscriptions=(ALL_CHECKINS, ALL_STATES),
        tls=None if no_tls else Tls(ca_file, cert_file, tls_key_file),
        session_s=SESSION_S,
        acknowledge_by_hand=True,
    )
    store = _open(database)
    with _said():
        loop = CentralLoop(store=store, broker=Broker(options), clock=SystemClock())
        while not stopped.is_set():
            loop.turn()
        loop.stop()
        store.close()


@main.command(name="list")
@database
@key_file
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 2**53),
    help="How many, newest first.",
)
@click.option("--kiosk", default="", help="Only of this kiosk.")
@click.option("--json", "as_json", is_flag=True, help="A JSON line each.")
def list_(
    database: Path, key_files: tuple[Path, ...], limit: int, kiosk: str, *, as_json: bool
) -> None:
    """Show the newest check-ins."""
    keys = _keys(key_files)
    with _said():
        newest = list(_open(database, must_exist=True).checkins(limit, kiosk))
    for kept in newest:
        fields = _fields(kept, keys)
        if as_json:
            click.echo(json.dumps(fields, ensure_ascii=False))
        else:
            person = str(fields.get("name") or fields.get("code") or fields["person"])
            if fields["turned_away"]:
                person = f"refused: {fields['turned_away']}"
            sure = "" if kept.known.sure == "synced" else f" ({kept.known.sure})"
            # A stranger's text: nothing in it may steer the terminal it is shown on.
            person = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in person)
            click.echo(
                f"{kept.known.at.isoformat()[:19]}{sure}  {fields['direction']:3}  "
                f"{fields['kiosk']}  {kept.seq:>6}  {fields['kind']:10}  {person}"
            )


@main.command()
@database
@key_file
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(database: Path, key_files: tuple[Path, ...], file: Path) -> None:
    """Write every check-in to FILE as CSV (UTF-8, one line each, in the order of the doors).

    Without --key-file the personal fields stay sealed and are left out.
    """
    keys = _keys(key_files)
    not_over(file, lambda begin: begin.startswith(b"id,checkpoint,"))
    store = _open(database, must_exist=True)
    with _said(file):
        rows = [_fields(kept, keys) for kept in store.all_checkins()]
        # Personal data: nobody but the one who asked for it. Under another name until it is whole.
        beside = file.with_name(file.name + ".part")
        beside.unlink(missing_ok=True)
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            _gone_if_it_fails(beside),
            open(opened, "w", encoding="utf-8", newline="") as out,  # noqa: PTH123  a descriptor
        ):
            personal = sorted({name for row in rows for name in row} - {*COLUMNS, "person"})
            writer = csv.DictWriter(out, [*COLUMNS, "person", *personal], restval="")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        beside.replace(file)
    click.echo(f"{len(rows)} check-ins written to {file}")


@main.command(name="import")
@database
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--receipt",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here what the kiosk may forget: for `vaora-sync confirm`.",
)
def import_(database: Path, file: Path, receipt: Path | None) -> None:
    """Take the check-ins in FILE, which `vaora-sync export` or `vaora-sync recover` wrote.

    Each is kept once, however often it is imported or sent. Of a file that broke off or was changed
    on the way nothing is taken.
    """
    if receipt is not None:
        not_over(receipt, lambda begin: begin.startswith(b'{"outbox":'))
    with _said(receipt):
        try:
            reader = stick.Reader(file)
            store = _open(database)
            before = store.count()
            refused = _take(store, reader)
            added = store.count() - before
        except StickError as error:
            raise click.ClickException(str(error)) from error
        head = reader.head
        click.echo(f"{added} new check-ins of {head.kiosk} at {head.checkpoint}")
        for seq, reason in refused:
            click.echo(f"refused: check-in {seq}: {reason}")
        if receipt is not None:
            place = (Address(head.checkpoint, head.kiosk), head.outbox)
            ledger = store.ledgers().get(place, Ledger())
            through, named = ledger.told()
            body = encode(Receipt(head.outbox, through, [Refusal(*one) for one in named]))
            beside = receipt.with_name(receipt.name + ".part")
            with _gone_if_it_fails(beside):
                beside.write_bytes(body)
                beside.replace(receipt)
            click.echo(f"{receipt}: confirms check-ins up to {through}")
        store.close()


def _take(store: Store, reader: stick.Reader) -> list[tuple[int, str]]:
    """Keep what the file has, some at a time; return what was refused."""
    head = reader.head
    here = Address(head.checkpoint, head.kiosk)
    receiver, at = Receiver(), SystemClock().moment().at
    refused: list[tuple[int, str]] = []
    events = reader.events()
    while some := list(islice(events, IMPORTED_AT_ONCE)):
        delivery = receiver.receive(here, b"[" + b",".join(some) + b"]")
        if delivery.trouble and not delivery.runs and not delivery.refused:
            raise StickError(
                f"the file of {head.kiosk} has something else in it: {delivery.trouble}"
            )
        for kept in store.keep([delivery], at):
            refused += [(one.seq, one.reason) for one in kept.refused]
    if head.gone:
        store.note_gone(here, head.outbox, head.gone, at)
    store.note_anchors(
        here, [Anchor(one.boot, one.tick_s, one.at, one.error_s) for one in head.anchors]
    )
    return refused


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def keygen(file: Path) -> None:
    """Make the central's sealing key in FILE and print its public half.

    The public half goes into each kiosk's settings as `seal`. Keep FILE where only the central can
    read it, and a copy offline: without it nobody can ever read who came.
    """
    private = seal.new_private_key()
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise click.ClickException(
            f"{file} is there already and is not overwritten: what was sealed to it would be lost"
        ) from error
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    with open(opened, "w", encoding="ascii") as out:  # noqa: PTH123  a descriptor
        out.write(private + "\n")
    click.echo(f'seal = "{CentralKey(private).public}"')


@main.command()
@database
@click.option("--kiosk", required=True, help="The kiosk's id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def report(database: Path, kiosk: str, *, as_json: bool) -> None:
    """Say what was on a kiosk: how many check-ins, of which times, sealed to which key.

    Nobody's name is in it, and no key is needed.
    """
    with _said():
        found = reports.report(_open(database, must_exist=True), kiosk)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in reports.in_words(found):
        click.echo(line)


@main.command()
@database
@click.option("--kiosk", required=True, help="The kiosk's id.")
@click.option("--because", default="", help="Why; kept beside.")
@click.option("--undo", is_flag=True, help="Take check-ins of this kiosk again.")
def retire(database: Path, kiosk: str, because: str, *, undo: bool) -> None:
    """Take nothing of a kiosk any more: one that was stolen, say.

    What it sends is neither kept nor confirmed. Those of its check-ins that somebody gets off its
    card can still be taken by `import`.
    """
    with _said():
        store = _open(database, must_exist=True)
        if undo:
            if store.retired(kiosk) is None:
                raise click.ClickException(f"{kiosk}: isn't retired here; is its name right?")
            store.take_again(kiosk)
            click.echo(_("Check-ins of {kiosk} are taken again.").format(kiosk=kiosk))
            return
        store.retire(kiosk, SystemClock().moment().at, because)
        known = reports.report(store, kiosk)
        if not known.outboxes and not known.said_at:
            # Taken all the same: a stolen one may begin to send only now.
            click.echo(
                f"{kiosk}: nothing ever came from a kiosk of this name; is it right? If not, take "
                "it back with --undo, and name the right one",
                err=True,
            )
    click.echo(
        _(
            "Nothing of {kiosk} is taken any more. What was on it: vaora-central report --kiosk "
            "{kiosk}"
        ).format(kiosk=kiosk)
    )


def _open(database: Path, *, must_exist: bool = False) -> Store:
    with _said():
        if must_exist and not database.exists():
            raise click.ClickException(f"{database} isn't there; name it with --database FILE")
        if must_exist and not database.stat().st_size:
            raise click.ClickException(f"{database} is empty; name the right one with --database")
        return Store(database)


@contextmanager
def _gone_if_it_fails(file: Path) -> Iterator[None]:
    """Leave no half of a file behind, least of all one with opened fields on a stick."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise


@contextmanager
def _said(file: Path | None = None) -> Iterator[None]:
    """Trouble of the store, or with `file`, in a line that says what to do."""
    try:
        yield
    except PermissionError as error:
        where = error.filename or file
        raise click.ClickException(f"{where}: {error.strerror}; run it with sudo") from error
    except (StoreError, StoreLostError, EventError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


def _keys(files: tuple[Path, ...]) -> Keys:
    """The keys by their names. One that others may read is not used: it opens who came."""
    found = {}
    for file in files:
        try:
            if file.stat().st_mode & OTHERS_MAY:
                raise click.ClickException(
                    f"{file}: others on this machine may read it: `chmod 600 {file}`"
                )
            key = CentralKey(file.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        found[key.key_id] = key
    return found


def _fields(kept: Kept, keys: Keys) -> dict[str, object]:
    """A check-in as named values; the personal ones among them where `key` opens them."""
    checkin, data = kept.checkin, kept.checkin.data
    fields: dict[str, object] = {
        "id": checkin.id,
        "checkpoint": data.checkpoint,
        "kiosk": data.kiosk,
        "outbox": checkin.outbox,
        "seq": checkin.seq,
        "at": kept.known.at.isoformat(),
        "sure": kept.known.sure,
        "earliest": kept.known.earliest.isoformat(),
        "latest": kept.known.latest.isoformat(),
        "believed_at": checkin.time.isoformat(),
        "received_at": kept.received_at,
        "direction": data.direction,
        "direction_by": data.direction_by,
        "kind": data.credential.kind,
        "verified": data.credential.verified,
        "turned_away": data.refused,
    }
    return {**dict(_person(kept, keys)), **fields}  # a person's field never hides one of ours


def _person(kept: Kept, keys: Keys) -> Iterator[tuple[str, str]]:
    data = kept.checkin.data
    if data.person is not None:
        yield "person", "readable"
        yield from data.person.items()
    elif data.sealed is None or not keys:
        yield "person", "sealed"
    elif data.sealed.key not in keys:
        yield "person", f"sealed to key {data.sealed.key}, which is not among those given"
    else:
        try:
            opened = event.open_person(keys[data.sealed.key].open(event.sealed_bytes(data.sealed)))
        except (SealError, EventError) as error:
            yield "person", f"sealed to key {data.sealed.key}: {error}"
        else:
            yield "person", "opened"
            yield from opened.items()


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: what a visitor shows is a stranger's text."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


if __name__ == "__main__":
    main()
