"""Found a fleet: make its folder with every key and certificate, whole or not at all."""

import os
import re
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from checkin import cose, identity, seal, signed_list, whole
from checkin.cose import SigningKey
from checkin.identity import Authority, IdentityError
from checkin.seal import CentralKey
from checkin.signed_list import TrustList
from checkin.words import _, in_language, of_system
from provisioning.fleet_folder import (
    FleetError,
    FleetFolder,
    FleetSettings,
    public_text,
    signing_key,
    written,
)
from provisioning.register import open_register

# The authorities, and the programs on machines that stay where they are: a fleet outlives a
# building's lease. What is revoked sooner is on the list of revoked certificates.
FLEET_DAYS = 3650

# OpenSSL refuses everybody once the list is over: its end is the authorities' end.
LIST_DAYS = FLEET_DAYS

# The broker's files as they lie on the broker.
BROKER_FOLDER = "/etc/mosquitto/vaora"
TEMPLATES = Path(__file__).parent / "broker"

# A client's folder and the files in it -> its name at the broker.
CENTRAL, ENROL, FLEET = "vaora-central", "vaora-enrol", "vaora-fleet"

PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True)
class Founding:
    """What a fleet is founded with. `broker_names` are further names of the broker's machine.

    `random` gives as many bytes as it is asked for.
    """

    settings: FleetSettings
    at: datetime
    random: Callable[[int], bytes]
    inventory: bytes
    broker_names: Sequence[str] = ()


def found(root: Path, founding: Founding) -> FleetFolder:
    """Make the fleet's folder at `root`. Raises `FleetError`, and then nothing was made.

    It is made under another name beside and gets its own at the end, so that a half founded fleet,
    with a key missing that nobody can make again, is never taken for one.
    """
    _refuse_what_is_there(root)
    refuse_names((founding.settings.broker_host, *founding.broker_names))
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-"))
    except OSError as error:
        raise FleetError(
            _("{root}: can't be made ({why}); name another folder").format(
                root=root, why=of_system(error)
            )
        ) from error
    try:
        _fill(FleetFolder(beside), founding)
        _flush(beside)
        beside.replace(root)  # an empty folder may be there, nothing else
        whole.flush_folder(root.parent)
    except (OSError, IdentityError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise FleetError(
            _(
                "{root}: the fleet can't be founded: {why}; nothing was made: mend that, "
                "then do it again"
            ).format(root=root, why=why)
        ) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(beside)
    return FleetFolder(root)


def refuse_names(names: Sequence[str]) -> None:
    """Raise `FleetError` unless `names` could be a broker's.

    Else they'd be on every card before anybody saw that they lead nowhere.
    """
    for name in names:
        if not _is_address(name) and not _HOST.fullmatch(name):
            raise FleetError(
                _(
                    "{name!r}: is no name and no address of a broker; write one such as "
                    "mqtt.example.vn or 192.0.2.7, and its port with --port"
                ).format(name=name)
            )


# RFC 1123, 2.1, with a letter in the last part: what ends in a number is an address or a mistake.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?=[0-9-]*[A-Za-z]){_LABEL}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_what_is_there(root: Path) -> None:
    if root.absolute() == Path.cwd():  # it gets its name at the end, and you would stay outside
        raise FleetError(
            _("{root}: is the folder you are in; name a new one: {where}").format(
                root=root, where=root / "fleet"
            )
        )
    try:
        there = next(iter(sorted(root.iterdir())), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FleetError(
            _("{root}: {why}; name another folder").format(root=root, why=of_system(error))
        ) from error
    if there is not None:
        raise FleetError(
            _(
                "{root}: has something in it already ({name}), and a fleet's keys are never "
                "written over; name a new folder"
            ).format(root=root, name=there.name)
        )


def _fill(folder: FleetFolder, founding: Founding) -> None:
    settings = founding.settings
    ca = Authority.new(
        f"vaora-ca {settings.name}"[: identity.LONGEST_NAME], founding.at, FLEET_DAYS
    )
    kiosks = Authority.new(
        f"vaora-kiosks {settings.name}"[: identity.LONGEST_NAME], founding.at, FLEET_DAYS
    )
    for private in (folder.keys, folder.images, folder.broker, folder.signed, folder.labels):
        private.mkdir(mode=0o700)
    folder.public.mkdir()
    _put(folder.settings_file, written(settings).encode())
    _put(folder.inventory, founding.inventory)
    _put(folder.ca_key, ca.key, PRIVATE)
    _put(folder.kiosks_key, kiosks.key, PRIVATE)
    _put(folder.ca, ca.certificate)
    _put(folder.kiosks, kiosks.certificate)
    _sealing_key(folder)
    for private, public in (
        (folder.settings_key, folder.settings_public),
        (folder.pass_key, folder.pass_public),
    ):
        _signing_key(private, public, founding.random)
    _first_trust(folder, founding.at)
    with open_register(folder.register, create=True) as register, register.change():
        number = register.next_list(founding.at)
    _broker(folder, founding, ca, kiosks, number)
    for place, name in (
        (folder.central, CENTRAL),
        (folder.enrol, ENROL),
        (folder.fleet_client, FLEET),
    ):
        _client(place, name, founding.at, ca, kiosks)
    with in_language(settings.language):
        _put(folder.readme, readme(settings).encode())


def _sealing_key(folder: FleetFolder) -> None:
    private = seal.new_private_key()
    _put(folder.central_seal_key, f"{private}\n".encode(), PRIVATE)
    _put(folder.seal_public, f"{CentralKey(private).public}\n".encode())


def _signing_key(private: Path, public: Path, random: Callable[[int], bytes]) -> None:
    key = SigningKey(random(cose.ED25519_BYTES))
    _put(private, b64encode(key.secret) + b"\n", PRIVATE)
    _put(public, b64encode(key.public) + b"\n")


def _first_trust(folder: FleetFolder, at: datetime) -> None:
    """The fleet's own passes count from the first card on, before anything was sent."""
    passes = public_text(folder.pass_public)
    listed = TrustList(1, at.isoformat(timespec="seconds"), pass_keys=[passes])
    _put(folder.trust_list, signed_list.sign(listed, signing_key(folder.settings_key)))


def _broker(
    folder: FleetFolder, founding: Founding, ca: Authority, kiosks: Authority, number: int
) -> None:
    settings, at = founding.settings, founding.at
    key = identity.new_key()
    names = [settings.broker_host, *founding.broker_names]
    asked = identity.request(key, names[0][: identity.LONGEST_NAME])
    _put(folder.broker / "broker.key", key, PRIVATE)
    _put(folder.broker / "broker.pem", ca.serve(asked, names=names, at=at, days=FLEET_DAYS))
    _put(folder.broker / "ca.pem", ca.certificate)
    _put(folder.broker / "kiosks.pem", kiosks.certificate)
    empty = kiosks.revocation_list([], number=number, at=at, days=LIST_DAYS)
    _put(folder.revoked_certificates, empty)
    _put(folder.broker / "vaora.acl", (TEMPLATES / "vaora.acl").read_bytes())
    _put(folder.broker / "mosquitto.conf", configuration(settings).encode())


def configuration(settings: FleetSettings) -> str:
    """The broker's settings for this fleet; its files lie in `BROKER_FOLDER`."""
    text = (TEMPLATES / "mosquitto.conf").read_text(encoding="utf-8")
    return text.replace("\nlistener 8883\n", f"\nlistener {settings.broker_port}\n")


def _client(place: Path, name: str, at: datetime, ca: Authority, kiosks: Authority) -> None:
    """One folder to copy: a certificate, its key, and the authority of the broker."""
    place.mkdir(mode=0o700)
    key = identity.new_key()
    short = name.removeprefix("vaora-")
    made = kiosks.certify(identity.request(key, name), name=name, at=at, days=FLEET_DAYS)
    _put(place / f"{short}.key", key, PRIVATE)
    _put(place / f"{short}.pem", made)
    _put(place / "ca.pem", ca.certificate)


def readme(settings: FleetSettings) -> str:
    """What each part of the folder is, where it goes, and what must not go anywhere."""
    parts = [
        _("Fleet {name}: keys, certificates and lists of its kiosks.").format(name=settings.name),
        _(
            "BACK UP THIS WHOLE FOLDER, and keep the copy offline: in a safe, on two sticks. What "
            "is in keys/ can't be made again. Without keys/central-seal.key nobody can ever read "
            "who came; without keys/ca.key or keys/kiosks.key every card has to be written anew."
        ),
        _(
            "keys/ stays here. It must never be on the broker, nor on a laptop that travels: who "
            "has it can be any kiosk, change every kiosk's settings, issue passes, and read who "
            "came. Once keys/ca.key is in the safe, it isn't needed here."
        ),
        _(
            "broker/ goes to the broker {host}: its files to {place}/, readable by mosquitto alone "
            "(chown -R mosquitto: {place}; chmod 700 {place}); there move mosquitto.conf to "
            "/etc/mosquitto/conf.d/vaora.conf; then: systemctl restart mosquitto."
        ).format(host=settings.broker_host, place=BROKER_FOLDER),
        _(
            "central/ goes to the central, with keys/central-seal.key where who came is to be "
            "read: vaora-central run --ca-file ca.pem --cert-file central.pem --tls-key-file "
            "central.key."
        ),
        _(
            "enrol/, register.db, fleet.toml and keys/kiosks.key are what vaora-provision enrol "
            "needs. Let it answer from this machine, or move them to one that is always on; the "
            "register must be in one place only."
        ),
        _(
            "fleet_client/ is for vaora-provision fleet and send. inventory.csv is the list of "
            "doors: fill it in, then vaora-provision check."
        ),
        _("signed/ has the lists that kiosks go by; images/, labels/ what is made for them. Who "
          "has an image has what its kiosk is set up with: delete images that were written."),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _put(file: Path, content: bytes, mode: int = PUBLIC) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(opened, "wb") as out:  # noqa: PTH123  a descriptor
        out.write(content)
        out.flush()
        os.fsync(opened)


def _flush(folder: Path) -> None:
    for place, _folders, _files in os.walk(folder):
        whole.flush_folder(Path(place))
