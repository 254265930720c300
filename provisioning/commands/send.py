"""`vaora-provision send`: change kiosks from afar, by what is signed."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from checkin.command_line import printable
from checkin.words import _, plural
from provisioning import fleet_broker, fleet_watch, inventory, passes_list, sending
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import FleetError, FleetFolder
from provisioning.fleet_watch import Line
from provisioning.inventory import InventoryError, Place
from provisioning.passes_list import PassesError
from provisioning.sending import Changes, SendError, Signed, Trusting
from sync_daemon.broker import BrokerError
from sync_daemon.topics import REVOCATIONS, SIGNED_TYPE, TRUST, Address

ERRORS = (FleetError, SendError, BrokerError, InventoryError, PassesError, OSError)


@click.group()
def send() -> None:
    """Sign a trust list, revocations or settings, and leave them at the broker for the kiosks.

    A kiosk takes what is signed by this fleet and newer, whole, as soon as it is online, and says
    so: `vaora-provision fleet` shows which version each has.
    """


@send.command()
@click.option(
    "--authorities",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with health authorities' certificates (*.der, *.cer), signers.json and "
    "card-keys.json.  [default: trust/ in the fleet's folder, if it is there]",
)
@click.option("--pass-key", "pass_keys", multiple=True, help="Another desk's public key.")
@fleet_option
def trust(fleet: Path, authorities: Path | None, pass_keys: tuple[str, ...]) -> None:
    """Send whose passes, vaccine certificates and health cards count.

    The fleet's own passes always do.
    """
    folder, _settings = opened(fleet)
    usual = folder.authorities
    with in_words(*ERRORS), _line(fleet, (TRUST,)) as line:
        retained = line.retained([TRUST])
        own = folder.pass_public.read_text(encoding="ascii")
        made_of = Trusting(authorities or (usual if usual.is_dir() else None), [own, *pass_keys])
        signer = sending.open_signer(folder, _now())
        signed, document, said = sending.trust(signer, folder, made_of, retained.get(TRUST))
        _leave(line, [signed], said)
    click.echo(
        _(
            "Trust list, version {version}: {passes} for passes, {signers} health authorities, "
            "{cards} card issuers."
        ).format(
            version=document.version,
            passes=plural("{count} key", "{count} keys", len(document.pass_keys)).format(
                count=len(document.pass_keys)
            ),
            signers=len(document.signers),
            cards=len(document.card_keys),
        )
    )


@send.command()
@fleet_option
def revocations(fleet: Path) -> None:
    """Send which passes were called back (`vaora-provision pass revoke`)."""
    folder, _settings = opened(fleet)
    with in_words(*ERRORS), _line(fleet, (REVOCATIONS,)) as line:
        at = _now()
        retained = line.retained([REVOCATIONS])
        signed, document, said = sending.revocations(
            sending.open_signer(folder, at),
            folder,
            passes_list.revoked(folder.passes, at),
            [row.pass_id for row in passes_list.read(folder.passes)],
            retained.get(REVOCATIONS),
        )
        _leave(line, [signed], said)
    count = len(document.passes)
    click.echo(
        plural(
            "Revocations, version {version}: {count} pass.",
            "Revocations, version {version}: {count} passes.",
            count,
        ).format(version=document.version, count=count)
    )


@send.command()
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML with [door], [policy] or [epidemic]: each replaces the kiosk's whole.",
)
@click.option("--seal", help="The central's new public key, as its keygen says it.")
@click.option(
    "--drop",
    "dropped",
    multiple=True,
    type=click.Choice(["seal", *sending.TABLES]),
    help="Go back to what the kiosk's own file says of it.",
)
@click.option("--to", "kiosks", multiple=True, metavar="KIOSK", help="Only to it.  [default: all]")
@fleet_option
def settings(
    fleet: Path,
    file: Path | None,
    seal: str | None,
    dropped: tuple[str, ...],
    kiosks: tuple[str, ...],
) -> None:
    """Send other settings: door, rules, sealing key. What was sent before and isn't named stays.

    Kiosks start anew with them between two visitors. Keep the central's old key too after --seal:
    backlogs that were sealed to it may still come.
    """
    folder, _settings = opened(fleet)
    with in_words(*ERRORS):
        changes = Changes.read(_text(file) if file is not None else "", seal, dropped)
        places = _places(folder, kiosks)
        topics = tuple(Address(one.checkpoint, one.kiosk).settings for one in places)
        with _line(fleet, topics) as line:
            signer = sending.open_signer(folder, _now())
            made, said = sending.settings_for(
                signer, folder, changes, places, line.retained(topics)
            )
            _leave(line, made, said)
    for place, signed in zip(places, made, strict=True):
        click.echo(
            _("{kiosk}: settings, version {version}.").format(
                kiosk=place.kiosk, version=signed.version
            )
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SendError(
            _("{file}: is not UTF-8 text ({why})").format(file=file, why=error)
        ) from error


def _places(folder: FleetFolder, kiosks: Sequence[str]) -> list[Place]:
    listed = {place.kiosk: place for place in inventory.read(folder.inventory)}
    for kiosk in kiosks:
        if kiosk not in listed:
            raise SendError(
                _("{kiosk}: no kiosk of that name is in {file}").format(
                    kiosk=kiosk, file=folder.inventory
                )
            )
    return [listed[kiosk] for kiosk in dict.fromkeys(kiosks)] if kiosks else list(listed.values())


@contextmanager
def _line(fleet: Path, topics: tuple[str, ...]) -> Iterator[Line]:
    folder, settings = opened(fleet)
    name = f"vaora-fleet-{secrets.token_hex(4)}"
    options = fleet_broker.visit(folder, settings, name, topics)
    with fleet_watch.connected(options) as line:
        yield line


def _leave(line: Line, made: Iterable[Signed], said: Iterable[str]) -> None:
    """Note what was signed, then leave it at the broker."""
    for odd in said:
        click.echo(printable(odd), err=True)
    documents = list(made)
    for signed in documents:
        sending.keep(signed)
    line.leave([signed.message for signed in documents], SIGNED_TYPE)


def _now() -> datetime:
    return datetime.now(UTC)
