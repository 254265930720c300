"""`vaora-provision fleet`: how every kiosk is."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import click

from checkin.command_line import printable, stop_signals
from checkin.updates import ARCHITECTURES
from checkin.words import _
from provisioning import fleet_broker, fleet_table, fleet_watch, inventory, sending
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetError, FleetFolder
from provisioning.fleet_table import Newest, Row
from provisioning.fleet_watch import Line
from provisioning.inventory import InventoryError
from provisioning.sending import SendError
from sync_daemon.broker import BrokerError, Options
from sync_daemon.topics import ALL_STATES, Address, State, update

# A table that is redrawn more often can't be read.
REDRAW_S = 2.0

# How soon a broker that went away is asked again.
AGAIN_S = 5.0


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
    subscriptions = (ALL_STATES, *(update(arch) for arch in ARCHITECTURES.values()))
    with in_words(FleetError):
        options = fleet_broker.visit(folder, settings, name, subscriptions)
    seen = Seen(folder, listed, as_json=as_json)
    with in_words(BrokerError, SendError):
        if watch:
            _watch(options, seen, stop_signals())
        else:
            with fleet_watch.connected(options) as line:
                seen.hear(line.retained([one.state for one in listed]))
            seen.show()


def _watch(options: Options, seen: "Seen", stopped: Event) -> None:
    """Draw until `stopped`. A broker that was there once comes back, and is waited for."""
    while not stopped.is_set():
        try:
            with fleet_watch.connected(options) as line:
                seen.hear(line.retained([one.state for one in seen.listed]))
                seen.show()
                _follow(line, seen, stopped)
        except BrokerError as error:
            if not seen.states:
                raise
            click.echo(printable(str(error)), err=True)
            stopped.wait(AGAIN_S)


def _follow(line: Line, seen: "Seen", stopped: Event) -> None:
    drawn = _now()
    while not stopped.is_set():
        seen.hear({one.topic: one.body for one in line.messages()})
        if (_now() - drawn).total_seconds() >= REDRAW_S:
            drawn = _now()
            click.echo("" if seen.as_json else "\x1b[H\x1b[2J", nl=False)
            seen.show()


@dataclass(slots=True)
class Seen:
    """What the broker said so far, and the doors that are `listed`."""

    folder: FleetFolder
    listed: set[Address]
    _: KW_ONLY
    as_json: bool
    states: dict[Address, State] = field(default_factory=dict)
    releases: dict[str, bytes] = field(default_factory=dict)

    def hear(self, came: Mapping[str, bytes]) -> None:
        for address, state in fleet_watch.states(came).items():
            self.states[address] = fleet_table.remembered(self.states.get(address), state)
        for address in fleet_watch.cleared(came):
            self.states.pop(address, None)
        self.releases |= {
            arch: came[update(arch)] for arch in ARCHITECTURES.values() if update(arch) in came
        }

    def show(self) -> None:
        at = _now()
        newest = _newest(self.folder, self.listed, list(self.releases.values()))
        _show(fleet_table.rows(self.listed, self.states, newest, at), as_json=self.as_json)


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
