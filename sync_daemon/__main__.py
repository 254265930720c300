"""`vaora-sync`: carry check-ins from this kiosk's outbox to the central."""

import logging
import random
import sys
from functools import partial
from pathlib import Path
from threading import Event

import click

from checkin import VERSION, health, lock, names
from checkin.clock import SystemClock
from checkin.command_line import load, settings_option, stop_signals
from checkin.health import KioskHealth, SyncHealth
from checkin.lock import AlreadyRunningError
from checkin.outbox import Outbox, OutboxError
from checkin.settings import Settings
from sync_daemon import certificate
from sync_daemon.broker import Broker, Message, Options, Tls
from sync_daemon.certificate import Certificate
from sync_daemon.loop import SyncLoop
from sync_daemon.machine import machine
from sync_daemon.protocol import Sender, Terms
from sync_daemon.topics import Address, State, encode

log = logging.getLogger("vaora.sync")

OUTBOX_WAIT_S = 1.0


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
    stopped = stop_signals()
    while not stopped.is_set():
        outbox = _wait_for_outbox(loaded, stopped)
        if outbox is None:
            return
        try:
            _carry(loaded, outbox, stopped)
        except OutboxError as error:
            log.error("%s; beginning anew", error)  # noqa: TRY400  the message says all
            stopped.wait(OUTBOX_WAIT_S)
        finally:
            outbox.close()


def _carry(loaded: Settings, outbox: Outbox, stopped: Event) -> None:
    """Carry this outbox until stopped, or until the kiosk has put another in its place."""
    made_as = names.waiting_under_other_names(
        outbox, checkpoint=loaded.kiosk.checkpoint, kiosk=loaded.kiosk.id
    )
    if made_as:
        raise click.ClickException(made_as)
    loop = make_loop(loaded, outbox)
    try:
        # A file that the kiosk set aside is another outbox, with a count of its own.
        while not stopped.is_set() and outbox.is_current():
            loop.turn()
    finally:
        loop.stop()


@main.command()
@settings_option
@click.pass_obj
def status(settings_file: Path) -> None:
    """Say how much waits in the outbox, since when, and whether the broker is there."""
    loaded = load(settings_file)
    try:
        outbox = Outbox(loaded.outbox_file, create=False)
        found = outbox.summary()
        aside = outbox.set_aside()
        outbox.close()
    except OutboxError as error:
        raise click.ClickException(str(error)) from error
    now = SystemClock().moment()
    sync = health.read(loaded.sync_health_file, SyncHealth, boot=now.boot, tick=now.tick)
    click.echo(f"outbox      {loaded.outbox_file} ({found.outbox})")
    click.echo(f"waiting     {found.pending}")
    if found.oldest_pending_at:
        click.echo(f"oldest      {found.oldest_pending_at}")
    click.echo(f"confirmed   {found.confirmed} of {found.appended}")
    for seq, reason in aside.items():
        click.echo(f"set aside   check-in {seq}: {reason}")
    click.echo(f"broker      {sync.broker if sync else 'unknown: vaora-sync is not running'}")
    if sync and sync.last_settled_tick is not None:
        click.echo(f"last receipt {now.tick - sync.last_settled_tick:.0f} s ago")
    kiosk = health.read(loaded.kiosk_health_file, KioskHealth, boot=now.boot, tick=now.tick)
    for name, days in _list_ages(kiosk):
        click.echo(f"{name:11} {days:.1f} days old")
    if kiosk and kiosk.faults:
        click.echo(f"faults      {', '.join(kiosk.faults)}")
    click.echo(f"clock       {'set by the network' if now.synced else 'not set by the network'}")


def _list_ages(kiosk: KioskHealth | None) -> list[tuple[str, float]]:
    """The signed lists that the kiosk goes by, and how old they are."""
    if kiosk is None:
        return []
    ages = {"trust list": kiosk.trust_days, "revocations": kiosk.revocations_days}
    return [(name, days) for name, days in ages.items() if days is not None]


def _wait_for_outbox(loaded: Settings, stopped: Event) -> Outbox | None:
    """The outbox, once the kiosk has made it."""
    said = ""
    while not stopped.is_set():
        try:
            return Outbox(
                loaded.outbox_file,
                create=False,
                limit_rows=loaded.outbox.limit_rows,
                min_free_bytes=loaded.outbox.min_free_mb * 1_000_000,
            )
        except OutboxError as error:
            if str(error) != said:
                log.info("waiting for the kiosk: %s", error)
                said = str(error)
        stopped.wait(OUTBOX_WAIT_S)
    return None


def make_loop(loaded: Settings, outbox: Outbox) -> SyncLoop:
    address = Address(loaded.kiosk.checkpoint, loaded.kiosk.id)
    broker = loaded.broker
    options = _options(loaded, address)
    tls = options.tls
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
        broker=Broker(options),
        clock=SystemClock(),
        kiosk_health=loaded.kiosk_health_file,
        sync_health=loaded.sync_health_file,
        state_every_s=broker.state_every_s,
        keep_confirmed_h=loaded.outbox.keep_confirmed_h,
        machine=machine,
        certificate=partial(_certificate, tls),
        certificate_files=partial(certificate.files, tls) if tls else tuple,
        confirm=broker.confirm,
    )


def _certificate(tls: Tls | None) -> Certificate:
    return certificate.look(tls) if tls is not None and tls.cert_file else Certificate(None)


def _options(loaded: Settings, address: Address) -> Options:
    broker = loaded.broker
    tls = Tls(broker.ca_file, broker.cert_file, broker.key_file) if broker.tls else None
    return Options(
        host=broker.host,
        port=broker.port,
        client_id=f"vaora-{address.checkpoint}-{address.kiosk}",
        subscriptions=(address.receipt,),
        will=Message(address.state, encode(State(online=False))),
        tls=tls,
        keepalive_s=broker.keepalive_s,
    )


if __name__ == "__main__":
    main()
