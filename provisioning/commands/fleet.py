"""`vaora-provision fleet`: how every kiosk is."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from checkin.command_line import printable, stop_signals
from checkin.words import _
from provisioning import fleet_broker, fleet_table, fleet_watch, inventory, sending
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetFolder
from provisioning.fleet_table import Newest, Row
from provisioning.inventory import InventoryError
from provisioning.sending import SendError
from sync_daemon.broker import BrokerError
from sync_daemon.topics import ALL_STATES, Address, State, update

ARCHES = ("arm64", "amd64")

# A table that is redrawn more often can't be read.
REDRAW_S = 2.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--watch", is_flag=True, help="Draw it anew as it changes, until Ctrl-C.")
@fleet_option
def fleet(fleet: Path, *, as_json: bool, watch: bool) -> None:
    """Show every kiosk as it said last: what needs somebody stands first.

    Silent ones first, then those with a fault, then those that are behind. "signed" are the
    versions of settings, trust list and revocations in force; ! is behind what was sent.
    """
    folder, settings = opened(fleet)
    with in_words(InventoryError):
        listed = {Address(one.checkpoint, one.kiosk) for one in inventory.read(folder.inventory)}
    name = f"vaora-fleet-{secrets.token_hex(4)}"
    releases = tuple(update(arch) for arch in ARCHES)
    options = fleet_broker.visit(folder, settings, name, (ALL_STATES, *releases))
    with in_words(BrokerError, SendError), fleet_watch.connected(options) as line:
        retained = line.retained([one.state for one in listed])
        newest = _newest(folder, listed, [retained[each] for each in releases if each in retained])
        known = fleet_watch.states(retained)
        _show(fleet_table.rows(listed, known, newest, _now()), as_json=as_json)
        stopped = stop_signals() if watch else None
        drawn = _now()
        while stopped is not None and not stopped.is_set():
            came = fleet_watch.states({one.topic: one.body for one in line.messages()})
            known |= _told(known, came)
            if (_now() - drawn).total_seconds() >= REDRAW_S:
                drawn = _now()
                click.echo("" if as_json else "\x1b[H\x1b[2J", nl=False)
                _show(fleet_table.rows(listed, known, newest, drawn), as_json=as_json)


def _told(known: Mapping[Address, State], came: Mapping[Address, State]) -> dict[Address, State]:
    return {each: fleet_table.remembered(known.get(each), state) for each, state in came.items()}


def _newest(folder: FleetFolder, listed: set[Address], releases: Sequence[bytes]) -> Newest:
    """What was signed last: lists and settings by the folder, the package by the broker."""
    sent = sending.last_versions(folder, [one.kiosk for one in listed], releases)
    return Newest(sent.package, sent.trust, sent.revocations, sent.settings)


def _show(found: list[Row], *, as_json: bool) -> None:
    at = _now()
    if as_json:
        click.echo(fleet_table.as_json(found, at))
        return
    for line in fleet_table.in_words(found, at):
        click.echo(printable(line))
    if not found:
        click.echo(_("No kiosk is on the list of doors, and none ever said anything."))


def _now() -> datetime:
    return datetime.now(UTC)
