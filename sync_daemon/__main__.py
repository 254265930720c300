"""`vaora-sync`: carry check-ins from this kiosk's outbox to the central."""

import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import click

from checkin import VERSION, event, lock, names, recovery, signed_list, stick, updates
from checkin.clock import Clock, SystemClock
from checkin.command_line import leave_no_traces, load, not_over, settings_option, stop_signals
from checkin.lock import AlreadyRunningError
from checkin.outbox import Outbox, OutboxError
from checkin.settings import Settings
from checkin.signed_list import SignedListError
from checkin.stick import Head, StickError
from checkin.supervisor import this_process
from checkin.words import known
from sync_daemon import broker as brokers
from sync_daemon import certificate, enrolment, enrolment_words, identity, status, topics
from sync_daemon.arrivals import arrivals
from sync_daemon.broker import Broker, Message, Options, Tls
from sync_daemon.certificate import Certificate
from sync_daemon.enrolment import Enrolment
from sync_daemon.identity import Identity
from sync_daemon.loop import SPOILT, SyncLoop
from sync_daemon.machine import machine
from sync_daemon.protocol import Sender, Terms
from sync_daemon.renewal import Renewing
from sync_daemon.topics import (
    LONGEST_MESSAGE_BYTES,
    Address,
    MessageError,
    State,
    encode,
    read_receipt,
)
from sync_daemon.updates import Updates

log = logging.getLogger("vaora.sync")

OUTBOX_WAIT_S = 1.0

# What claims another certificate may be put beside the one in use, which may end meanwhile.
LOOK_AT_CLAIM_S = 10.0
LOOK_ANYWAY_S = 3600.0

# Where root looks for what systemd hands to a service that it started.
CREDENTIALS = "/etc/credstore"

EXPORTED_AT_ONCE = 500  # check-ins read at a time


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-sync")
@settings_option
def main() -> None:
    pass


@main.command()
@click.option("--verbose", is_flag=True, help="Log every message, not only what changes.")
@settings_option
@click.pass_obj
def run(settings_file: Path, *, verbose: bool) -> None:
    """Run until stopped: publish what waits, take receipts, report the state.

    Needs no care: without a network it waits, and nothing leaves the outbox before it is
    confirmed. Stop it with Ctrl-C or SIGTERM at any moment.
    """
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    loaded = load(settings_file)
    try:
        lock.hold(Path(loaded.kiosk.data_dir) / "sync.lock", "vaora-sync")
    except AlreadyRunningError as error:
        raise click.ClickException(str(error)) from error
    leave_no_traces()
    stopped = stop_signals()
    supervisor, clock = this_process(), SystemClock()

    def alive() -> None:
        supervisor.alive(clock.moment().tick)

    own = identity.of(loaded)
    while not stopped.is_set():
        claims = _enrolment(loaded, own, SystemClock(loaded.clock_file))
        outbox = _wait_for_outbox(loaded, stopped, alive, claims)
        if outbox is None:
            break
        try:
            _carry(loaded, outbox, stopped, alive, claims)
        except OutboxError as error:
            log.error("%s; beginning anew", error)  # noqa: TRY400  the message says all
            stopped.wait(OUTBOX_WAIT_S)
            alive()
        finally:
            outbox.close()
            if claims is not None:
                claims.end()


def _enrolment(loaded: Settings, own: Identity | None, clock: Clock) -> Enrolment | None:
    """What claims a certificate; None for a kiosk that has one, or gets it otherwise."""
    if own is None or not enrolment.is_wanted(own, loaded.kiosk.id, clock.moment()):
        return None
    here = Address(loaded.kiosk.checkpoint, loaded.kiosk.id)
    broker = loaded.broker
    link = Broker(enrolment.options(own, here, broker.host, broker.port, broker.ca_file))
    return Enrolment(
        own,
        here,
        link=link,
        clock=clock,
        jitter=random.random,
        runtime_dir=Path(loaded.kiosk.runtime_dir),
    )


def _carry(
    loaded: Settings,
    outbox: Outbox,
    stopped: Event,
    alive: Callable[[], None],
    claims: Enrolment | None,
) -> None:
    """Carry this outbox until stopped, or until the kiosk has put another in its place.

    Or until its certificate came, or was taken away.
    """
    made_as = names.waiting_under_other_names(
        outbox, checkpoint=loaded.kiosk.checkpoint, kiosk=loaded.kiosk.id
    )
    if made_as:
        raise click.ClickException(made_as)
    claims = None if claims is not None and claims.done else claims
    loop = make_loop(loaded, outbox, claims)
    is_over = _over(loaded, claims)
    try:
        # A file that the kiosk set aside is another outbox, with a count of its own.
        while not stopped.is_set() and outbox.is_current() and not is_over():
            loop.turn()
            alive()
    finally:
        loop.stop()


def _over(loaded: Settings, claims: Enrolment | None) -> Callable[[], bool]:
    """Whether another link is to be made: with the certificate that came, or to claim one."""
    if claims is not None:
        return lambda: claims.done
    own = identity.of(loaded)
    if own is None:
        return lambda: False
    clock = SystemClock(loaded.clock_file)
    due, due_anyway, seen = 0.0, 0.0, None

    def lapsed() -> bool:
        nonlocal due, due_anyway, seen
        now = clock.moment()
        if now.tick < due:
            return False
        due = now.tick + LOOK_AT_CLAIM_S
        found = (own.marks(), now.synced)
        if found == seen and now.tick < due_anyway:
            return False
        seen, due_anyway = found, now.tick + LOOK_ANYWAY_S
        return enrolment.is_wanted(own, loaded.kiosk.id, now)

    return lapsed


@main.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@settings_option
@click.pass_obj
def status_(settings_file: Path, *, as_json: bool) -> None:
    """Say how much waits, since when, whether the broker is there, and what is wrong."""
    loaded = load(settings_file)
    with _opened(loaded) as outbox:
        found = status.look(loaded, outbox, SystemClock().moment())
    if as_json:
        click.echo(status.as_json(found))
        return
    for line in status.in_words(found):
        click.echo(line)


@main.command(name="enrolment")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@settings_option
@click.pass_obj
def enrolment_(settings_file: Path, *, as_json: bool) -> None:
    """Say whether this kiosk has its certificate, what is in the way, and when it is renewed.

    Needs the rights of the daemon, or root's: nobody else looks at a key.
    """
    loaded = load(settings_file)
    told = enrolment_words.look(loaded, SystemClock(loaded.clock_file).moment())
    if as_json:
        click.echo(enrolment_words.as_json(told))
        return
    for line in enrolment_words.in_words(told):
        click.echo(line)


@main.command()
@click.option("--first", default=1, show_default=True, type=click.IntRange(1))
@click.option("--last", type=click.IntRange(1), help="The last one; without it, all that is here.")
@settings_option
@click.pass_obj
def replay(settings_file: Path, first: int, last: int | None) -> None:
    """Send check-ins again that were confirmed already and are still kept.

    For a central that lost them; it keeps one copy of each, so sending too many does no harm.
    The running daemon does it.
    """
    with _opened(load(settings_file)) as outbox:
        found = outbox.summary()
        last = min(last or found.confirmed, found.confirmed)
        if first > last:
            raise click.ClickException(
                f"nothing to send again: {found.confirmed} of {found.appended} are confirmed, and "
                "the others are sent by themselves"
            )
        kept = outbox.pending(first - 1, 1, last).seqs
        if not kept:
            raise click.ClickException(
                f"check-ins {first} to {last} are not kept any more ([outbox] keep_confirmed_h)"
            )
        outbox.ask_again(kept[0], last)
    click.echo(f"check-ins {kept[0]} to {last} will be sent again as soon as the broker is there")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_option
@click.pass_obj
def export(settings_file: Path, file: Path) -> None:
    """Copy the backlog to FILE, on a USB stick, for a kiosk that never meets a network.

    Personal fields stay sealed. The check-ins go on waiting here until they are confirmed: take
    FILE to the central (`vaora-central import FILE --receipt RECEIPT`), bring RECEIPT back, and
    tell it to `vaora-sync confirm RECEIPT`.
    """
    loaded = load(settings_file)
    not_over(file, stick.is_one)
    with _opened(loaded) as outbox:
        found = outbox.summary()
        gone = _gone(outbox, found.confirmed, found.appended)
        head = Head(loaded.kiosk.checkpoint, loaded.kiosk.id, outbox.id, _clocks(outbox), gone)
        count = stick.write(file, head, _bodies(outbox, found.confirmed, found.appended))
        outbox.note_exported(found.appended)
    click.echo(f"{count} check-ins written to {file}; they go on waiting here for their receipt")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@settings_option
@click.pass_obj
def confirm(settings_file: Path, file: Path) -> None:
    """Take the receipt that `vaora-central import` wrote to FILE."""
    try:
        with file.open("rb") as opened:
            receipt = read_receipt(opened.read(LONGEST_MESSAGE_BYTES + 1))
    except (OSError, MessageError) as error:
        raise click.ClickException(
            f"{file}: {error}. `vaora-central import --receipt FILE` writes one"
        ) from error
    with _opened(load(settings_file)) as outbox:
        if receipt.outbox != outbox.id:
            raise click.ClickException(f"{file}: is for another outbox ({receipt.outbox})")
        exported = outbox.exported()
        if receipt.through > exported:
            raise click.ClickException(
                f"{file}: confirms check-ins up to {receipt.through}, but only those up to "
                f"{exported} were ever exported; nothing was confirmed"
            )
        now = SystemClock().moment()
        refused = {one.seq: one.reason for one in receipt.refused if one.seq <= receipt.through}
        outbox.settle(receipt.through, refused, now.at if now.synced else None)
        found = outbox.summary()
    click.echo(f"confirmed {found.confirmed} of {found.appended}; {found.pending} wait")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
def recover(file: Path, out: Path) -> None:
    """Read what is left of a damaged outbox FILE into OUT, for `vaora-central import`.

    FILE is only read. What the central has already is known there and kept once. On a laptop it
    needs no settings of the kiosk's: the check-ins say themselves where they are from.
    """
    not_over(out, stick.is_one)
    try:
        recovered = recovery.recover(file)
        outboxes = recovered.outboxes
        if not outboxes:
            raise click.ClickException(f"{file}: no check-in can be read from it any more")
        for number, outbox in enumerate(outboxes):
            events = recovered.of(outbox)
            data = event.decode(events[0]).data
            into = out if number == 0 else out.with_name(f"{out.name}.{number + 1}")
            not_over(into, stick.is_one)
            stick.write(into, Head(data.checkpoint, data.kiosk, outbox), events)
            click.echo(f"{len(events)} check-ins of {data.kiosk} written to {into}")
    except (OSError, StickError) as error:
        raise click.ClickException(str(error)) from error
    if recovered.doubtful:
        click.echo(f"{recovered.doubtful} more were found damaged and left out")


@contextmanager
def _opened(loaded: Settings) -> Iterator[Outbox]:
    """The outbox; trouble becomes a line that says what to do."""
    try:
        outbox = _open(loaded)
        try:
            yield outbox
        finally:
            outbox.close()
    except (OutboxError, StickError) as error:
        raise click.ClickException(known(str(error))) from error


def _bodies(outbox: Outbox, after: int, through: int) -> Iterator[bytes]:
    while (rows := outbox.pending(after, EXPORTED_AT_ONCE, through)).seqs:
        yield from rows.bodies
        after = rows.seqs[-1]


def _gone(outbox: Outbox, after: int, through: int) -> list[tuple[int, int]]:
    """Set aside what the disk spoilt, as the daemon would; return the ranges that lie aside."""
    at = after
    while (found := outbox.pending(at, EXPORTED_AT_ONCE, through)).seqs or found.damaged:
        if found.damaged:
            outbox.settle(0, dict.fromkeys(found.damaged, SPOILT))
        at = max([*found.seqs, *found.damaged])
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seq for seq in outbox.set_aside() if after < seq <= through):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges[: stick.MOST_GONE]


def _clocks(outbox: Outbox) -> list[stick.Anchor]:
    found = outbox.anchors(stick.MOST_ANCHORS)
    return [stick.Anchor(one.boot, one.tick, one.at, one.error_s) for one in found]


def _open(loaded: Settings) -> Outbox:
    return Outbox(
        loaded.outbox_file,
        create=False,
        limit_rows=loaded.outbox.limit_rows,
        min_free_bytes=loaded.outbox.min_free_mb * 1_000_000,
    )


def _wait_for_outbox(
    loaded: Settings, stopped: Event, alive: Callable[[], None], claims: Enrolment | None
) -> Outbox | None:
    """The outbox, once the kiosk has made it; a certificate is claimed meanwhile."""
    said = ""
    while not stopped.is_set():
        try:
            return _open(loaded)
        except OutboxError as error:
            if str(error) != said:
                log.info("waiting for the kiosk: %s", error)
                said = str(error)
        alive()
        if claims is not None:
            claims.wait(OUTBOX_WAIT_S)
        else:
            stopped.wait(OUTBOX_WAIT_S)
    return None


def make_loop(loaded: Settings, outbox: Outbox, claims: Enrolment | None = None) -> SyncLoop:
    """The loop over `outbox`; with `claims` in the place of a broker that it can't reach yet."""
    address = Address(loaded.kiosk.checkpoint, loaded.kiosk.id)
    broker = loaded.broker
    coming = arrivals(loaded)
    options = _options(loaded, address, coming.topics)
    tls = options.tls if claims is None else None
    own = identity.of(loaded)
    clock = SystemClock(loaded.clock_file)
    terms = Terms(
        confirm=broker.confirm,
        window=broker.window,
        batch_rows=broker.batch_rows,
        batch_bytes=broker.batch_bytes,
        answer_s=broker.answer_s,
        wait_initial_s=broker.wait_initial_s,
        wait_max_s=broker.wait_max_s,
    )
    return SyncLoop(
        address=address,
        outbox=outbox,
        sender=Sender(outbox.id, outbox.summary().confirmed, terms, random.random),
        broker=Broker(options) if claims is None else claims,
        clock=clock,
        kiosk_health=loaded.kiosk_health_file,
        sync_health=loaded.sync_health_file,
        state_every_s=broker.state_every_s,
        keep_confirmed_h=loaded.outbox.keep_confirmed_h,
        machine=machine,
        arrivals=coming,
        certificate=partial(_certificate, tls, clock),
        certificate_files=partial(certificate.files, tls) if tls else tuple,
        confirm=broker.confirm,
        enrolment=partial(_standing, own, claims),
        renewing=_renewing(own, address, options) if claims is None else None,
        updates=_updates(loaded),
    )


def _updates(loaded: Settings) -> Updates | None:
    """What downloads updates; None where none could be believed, or is made for this machine."""
    arch = updates.architecture()
    if not loaded.policy.authority or not arch:
        return None
    try:
        authority = signed_list.public_key(loaded.policy.authority)
    except SignedListError:
        return None  # the kiosk says so
    return Updates(
        arch=arch,
        authority=authority,
        folder=Path(loaded.kiosk.data_dir) / updates.ARRIVED_FOLDER,
        min_free_bytes=loaded.outbox.min_free_mb * 1_000_000,
        spread_s=loaded.broker.update_spread_s,
        jitter=random.random,
    )


def _renewing(own: Identity | None, address: Address, options: Options) -> Renewing | None:
    """What renews the certificate, where it is the daemon's to renew."""
    if own is None or options.tls is None:
        return None
    return Renewing(own, address.kiosk, random.random, partial(_tried, options, options.tls))


def _tried(options: Options, tls: Tls, file: Path) -> str:
    """Why the broker doesn't let in who shows the certificate in `file`; empty if it does."""
    tls = replace(tls, cert_file=str(file), key_file=str(file))
    name = f"{options.client_id}-tried"  # beside the connection that stands
    return brokers.tried(Options(options.host, options.port, name, tls=tls))


def _certificate(tls: Tls | None, clock: Clock) -> Certificate:
    if tls is None or not tls.cert_file:
        return Certificate(None)
    return certificate.look(tls, clock.moment().at)


def _standing(own: Identity | None, claims: Enrolment | None) -> tuple[str, str]:
    if claims is not None:
        return claims.standing, claims.trouble
    return (enrolment.ENROLLED if own else "", "")


def _key_file(name: str) -> str:
    """Where the key is: a bare name is a credential (systemd.exec(5), Credentials)."""
    if not name or "/" in name:
        return name
    return str(Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIALS)) / name)


def _options(loaded: Settings, address: Address, wishes: tuple[str, ...]) -> Options:
    broker = loaded.broker
    key_file = _key_file(broker.key_file)
    tls = Tls(broker.ca_file, broker.cert_file, key_file) if broker.tls else None
    if identity.of(loaded) is not None:
        wishes += (address.certificate,)
    if loaded.policy.authority and (arch := updates.architecture()):
        wishes += (topics.update(arch),)
    return Options(
        host=broker.host,
        port=broker.port,
        client_id=f"vaora-{address.checkpoint}-{address.kiosk}",
        subscriptions=(address.receipt,),
        wishes=wishes,
        will=Message(address.state, encode(State(online=False))),
        tls=tls,
        keepalive_s=broker.keepalive_s,
    )


if __name__ == "__main__":
    main()
