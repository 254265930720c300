"""`vaora-provision enrol`: answer the kiosks that claim or renew their certificates."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from checkin import lock
from checkin.clock import Clock, SystemClock
from checkin.command_line import stop_signals
from checkin.lock import AlreadyRunningError
from checkin.supervisor import this_process
from checkin.words import _, plural
from provisioning import fleet_broker
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.enrolling import Enroller
from provisioning.enrolment_desk import EnrolmentDesk
from provisioning.fleet_folder import FleetError, kiosks_authority
from provisioning.register import Issued, KnownToken, Register, RegisterError, open_register
from sync_daemon.broker import Broker

# A broker that isn't there within this is said, not waited for: somebody sits before the screen.
CONNECT_S = 30.0


@click.command()
@fleet_option
@click.option("--once", is_flag=True, help="Answer who waits, and end.")
@click.option(
    "--wait", "wait_s", default=60.0, show_default=True, type=click.FloatRange(1, 86_400),
    help="With --once: seconds to go on after the last one, for who is about to ask again.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="Show tokens and certificates, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one JSON document.")
def enrol(fleet: Path, wait_s: float, *, once: bool, listed: bool, as_json: bool) -> None:
    """Answer kiosks that claim a certificate with their card's token, or renew theirs.

    Runs until it is stopped. It may be away: a new kiosk goes on asking, and what asked meanwhile
    waits at the broker. provisioning/broker/vaora-enrol.service runs it as a service.
    """
    folder, settings = opened(fleet)
    with in_words(FleetError, RegisterError, AlreadyRunningError):
        if listed:
            with open_register(folder.register) as register:
                _list(register, datetime.now(UTC), as_json=as_json)
            return
        authority = kiosks_authority(folder)
        lock.hold(folder.root / "enrol.lock", "vaora-enrol")
        logging.basicConfig(
            level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr
        )
        with open_register(folder.register) as register:
            desk = EnrolmentDesk(
                register=register,
                enroller=Enroller(authority, settings.certificate_days),
                broker=Broker(fleet_broker.enrolment(folder, settings)),
                clock=SystemClock(),
            )
            _serve(desk, SystemClock(), wait_s if once else None)


def _serve(desk: EnrolmentDesk, clock: Clock, wait_s: float | None) -> None:
    """Turn until it is stopped, or with `wait_s` until nobody came for so long."""
    supervisor, stopped = this_process(), stop_signals()
    last = clock.moment().tick
    while not stopped.is_set():
        came = desk.turn()
        now = clock.moment().tick
        supervisor.alive(now)
        if came:
            last = now
        if wait_s is None:
            continue
        if not desk.is_online and not desk.answered and now >= last + CONNECT_S:
            desk.stop()
            raise click.ClickException(
                _("the broker can't be reached: {why}").format(why=desk.why_lost)
            )
        if now >= last + wait_s:
            break
    supervisor.stopping()
    desk.stop()
    click.echo(
        plural("{count} certificate was made.", "{count} certificates were made.", desk.enrolled)
        .format(count=desk.enrolled)
    )  # fmt: skip


def _list(register: Register, at: datetime, *, as_json: bool) -> None:
    tokens, certificates = register.tokens(), register.certificates()
    retired = {one.kiosk: one for one in register.all_retired()}
    newest = {one.kiosk: one for one in certificates if one.name == one.kiosk}
    last = {one.kiosk: one for one in tokens}
    rows = [
        _row(kiosk, last.get(kiosk), newest.get(kiosk), at) for kiosk in sorted({*newest, *last})
    ]
    for row in rows:
        if row["kiosk"] in retired:
            row["standing"] = "retired"
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        click.echo(_("No card was made yet: vaora-provision image makes the first."))
    words = {
        "enrolled": _("enrolled"),
        "waiting": _("card made, not enrolled yet"),
        "enrolled, new card": _("enrolled; a newer card is not"),
        "expired": _("its card expired; make a new one"),
        "retired": _("retired"),
    }
    for row in rows:
        ends = row["certificate_ends_at"]
        until = _("certificate until {day}").format(day=str(ends)[:10]) if ends else ""
        token = _("token {token}").format(token=row["token"]) if row["token"] else ""
        cells = [f"{row['kiosk']:24}", words[str(row["standing"])], token, until]
        click.echo("  ".join(cell for cell in cells if cell))


def _row(
    kiosk: str, token: KnownToken | None, newest: Issued | None, at: datetime
) -> dict[str, str]:
    unused = token is not None and token.used_at is None
    if token is not None and unused:
        standing = "expired" if at >= token.expires_at else "waiting"
        if newest is not None:
            standing = "enrolled" if standing == "expired" else "enrolled, new card"
    else:
        standing = "enrolled"
    known = newest or token
    return {
        "kiosk": kiosk,
        "checkpoint": known.checkpoint if known else "",
        "standing": standing,
        "token": token.fingerprint if token else "",
        "token_expires_at": token.expires_at.isoformat() if token else "",
        "certificate_ends_at": newest.ends_at.isoformat() if newest else "",
    }
