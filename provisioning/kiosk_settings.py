"""The settings file of one kiosk: what the list of doors and the fleet say, and nothing else.

Only what differs from the defaults is written: a default that a later version improves is then
improved on the kiosk too.
"""

from dataclasses import dataclass

import msgspec

from checkin import settings
from checkin.settings import Broker, Door, Kiosk, Policy, Settings
from provisioning.fleet_folder import FleetSettings
from provisioning.inventory import Place

# Where first boot puts things on a kiosk.
CA = "/etc/vaora/ca.pem"
TRUST = "/etc/vaora/trust.list"
REVOKED = "/etc/vaora/revoked.list"
IDENTITY = "/var/lib/vaora-identity/kiosk.pem"


@dataclass(frozen=True, slots=True)
class Keys:
    """The two public keys in a kiosk's settings, and which lists lie on its card."""

    seal: str
    authority: str
    has_trust: bool = False
    has_revoked: bool = False


def of(place: Place, fleet: FleetSettings, keys: Keys) -> Settings:
    """What this kiosk is told."""
    return Settings(
        seal=keys.seal,
        kiosk=Kiosk(id=place.kiosk, checkpoint=place.checkpoint),
        door=msgspec.convert({"direction": place.direction}, Door),
        policy=Policy(
            begins=str(place.begins or ""),
            ends=str(place.ends or ""),
            utc_offset_h=fleet.utc_offset_h,
            authority=keys.authority,
            trust_file=TRUST if keys.has_trust else "",
            revocations_file=REVOKED if keys.has_revoked else "",
        ),
        panel=place.panel,
        broker=Broker(
            host=fleet.broker_host,
            port=fleet.broker_port,
            ca_file=CA,
            # One file, so that it is replaced whole: `sync_daemon.identity`.
            cert_file=IDENTITY,
            key_file=IDENTITY,
        ),
    )


def text(found: Settings) -> str:
    """`found` as a file: what differs from the defaults, and always which kiosk it is."""
    lines = [
        "# Written by vaora-provision. `vaora-kiosk settings` prints all that is in force.",
        f"seal = {_value(found.seal)}",
    ]
    for name, kind in settings.section_types():
        section, default = getattr(found, name), kind()
        told = [
            f"{key} = {_value(getattr(section, key))}"
            for key in kind.__struct_fields__
            if getattr(section, key) != getattr(default, key) or (kind is Kiosk and key in _WHO)
        ]
        lines += ["", f"[{name}]", *told] if told else []
    return "\n".join([*lines, ""])


_WHO = ("id", "checkpoint")


def _value(value: object) -> str:
    # JSON's strings, numbers and booleans are TOML's too.
    return msgspec.json.encode(value).decode()
