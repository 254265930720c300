"""The fleet's own programs at its broker: by what name, with which certificate."""

from pathlib import Path

from provisioning.fleet_folder import FleetFolder, FleetSettings, client_files
from sync_daemon.broker import Options, Tls
from sync_daemon.topics import ALL_CLAIMS, ALL_RENEWALS

# What the broker keeps for a desk that is away: a weekend and a day. Whoever waits longer asks
# again all the same.
SESSION_S = 3 * 24 * 3600


def enrolment(folder: FleetFolder, settings: FleetSettings) -> Options:
    """How `enrol` connects: claims and renewals wait for it while it is away."""
    return Options(
        host=settings.broker_host,
        port=settings.broker_port,
        client_id="vaora-enrol",
        subscriptions=(ALL_CLAIMS, ALL_RENEWALS),
        tls=_tls(folder.enrol, "enrol"),
        session_s=SESSION_S,
        acknowledge_by_hand=True,
    )


def visit(
    folder: FleetFolder,
    settings: FleetSettings,
    client_id: str,
    subscriptions: tuple[str, ...] = (),
) -> Options:
    """How a command of the technician connects for a while, as vaora-fleet. Raises `FleetError`.

    `client_id` is its own, so that two of them don't end each other's connection.
    """
    return Options(
        host=settings.broker_host,
        port=settings.broker_port,
        client_id=client_id,
        subscriptions=subscriptions,
        tls=_tls(folder.fleet_client, "fleet"),
    )


def _tls(place: Path, name: str) -> Tls:
    return Tls(*map(str, client_files(place, name)))
