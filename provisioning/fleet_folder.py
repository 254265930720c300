"""The fleet's folder: where `init` put each key, certificate and list of one fleet.

One folder, so that a backup is one copy. What is private lies apart from what is copied to other
machines: `keys/` stays here, `broker/`, `central/` and `enrol/` go, each whole, to their own.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from checkin import cose, identity
from checkin.cose import CoseError, SigningKey
from checkin.identity import Authority, IdentityError
from checkin.words import _, of_system

# A page of settings; anything much longer is another file given by mistake.
LONGEST_FILE_BYTES = 64 * 1024

# What has room on a label.
LONGEST_NAME, LONGEST_SUPPORT = 100, 200

Language = Literal["vi", "en"]


class FleetError(ValueError):
    """The fleet's folder can't be used; the message says why, and what to do."""


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fleet.toml`: what all kiosks of a fleet have in common."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    broker_host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$")]
    broker_port: Annotated[int, Meta(ge=1, le=65_535)] = 8883
    support: Annotated[str, Meta(max_length=LONGEST_SUPPORT)] = (
        ""  # whom to call: stands on each label
    )
    language: Language = "vi"
    # A card may lie in a drawer for a season before it is put into its kiosk.
    claim_days: Annotated[int, Meta(ge=1, le=400)] = 90
    # Renewed at two thirds: a kiosk may be without a network for four months.
    certificate_days: Annotated[int, Meta(ge=1, le=1_200)] = 365
    utc_offset_h: Annotated[float, Meta(ge=-12, le=14)] = 7.0
    time_zone: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z0-9_+/-]{0,40}$")] = "Asia/Ho_Chi_Minh"
    # Asked before the OS's own, where a network lets nobody out but to these.
    time_servers: tuple[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$")], ...
    ] = ()
    # Whose rules of the air a kiosk keeps.
    wifi_country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "VN"
    # Whose holder may come in by ssh, as `technician`. Without one nobody can, and no ssh runs.
    ssh_key: Annotated[
        str,
        Meta(
            pattern=r"^((ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{40,1500}={0,2}( [ -~]{0,100})?)?$"
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class FleetFolder:
    """The names of everything in the folder `root`. Nothing is looked at here."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "fleet.toml"

    @property
    def inventory(self) -> Path:
        """The list of doors, which a person writes."""
        return self.root / "inventory.csv"

    @property
    def manifest(self) -> Path:
        """The list of cards that were written, which `flash` writes."""
        return self.root / "manifest.csv"

    @property
    def register(self) -> Path:
        """Tokens, certificates and retired kiosks."""
        return self.root / "register.db"

    @property
    def readme(self) -> Path:
        return self.root / "README.txt"

    @property
    def keys(self) -> Path:
        """What never leaves: five private keys, 0600 in a folder 0700."""
        return self.root / "keys"

    @property
    def ca_key(self) -> Path:
        """Of the authority that signs the broker's certificate, and no client's."""
        return self.keys / "ca.key"

    @property
    def kiosks_key(self) -> Path:
        """Of the authority that signs every client's certificate."""
        return self.keys / "kiosks.key"

    @property
    def settings_key(self) -> Path:
        """Signs settings, trust lists, revocations and releases; as `checkin.cose` reads it."""
        return self.keys / "settings.key"

    @property
    def pass_key(self) -> Path:
        """Signs passes; as `checkin.cose` reads it."""
        return self.keys / "pass.key"

    @property
    def central_seal_key(self) -> Path:
        """Opens the personal fields; as `checkin.seal` reads it."""
        return self.keys / "central-seal.key"

    @property
    def public(self) -> Path:
        return self.root / "public"

    @property
    def ca(self) -> Path:
        """The certificate by which kiosks know the broker."""
        return self.public / "ca.pem"

    @property
    def kiosks(self) -> Path:
        """The certificate by which the broker knows its clients."""
        return self.public / "kiosks.pem"

    @property
    def settings_public(self) -> Path:
        """The text for `[policy] authority` in the kiosks' settings."""
        return self.public / "settings.pub"

    @property
    def pass_public(self) -> Path:
        """The text for the trust list's `pass_keys`."""
        return self.public / "pass.pub"

    @property
    def seal_public(self) -> Path:
        """The text for `seal` in the kiosks' settings."""
        return self.public / "seal.pub"

    @property
    def broker(self) -> Path:
        """To be copied to the broker: broker.pem and .key, kiosks.pem and .crl, its settings."""
        return self.root / "broker"

    @property
    def revoked_certificates(self) -> Path:
        return self.broker / "kiosks.crl"

    @property
    def central(self) -> Path:
        """The folder for the central: central.pem, central.key, ca.pem."""
        return self.root / "central"

    @property
    def enrol(self) -> Path:
        """The folder for whoever answers claims: enrol.pem, enrol.key, ca.pem."""
        return self.root / "enrol"

    @property
    def fleet_client(self) -> Path:
        """The folder for `fleet` and `send`: fleet.pem, fleet.key, ca.pem."""
        return self.root / "fleet_client"

    @property
    def authorities(self) -> Path:
        """Whose certificates and cards count beside the fleet's passes; a person puts them here."""
        return self.root / "trust"

    @property
    def signed(self) -> Path:
        return self.root / "signed"

    @property
    def trust_list(self) -> Path:
        return self.signed / "trust.list"

    @property
    def revoked_list(self) -> Path:
        """Passes that were called back (certificates: `revoked_certificates`)."""
        return self.signed / "revoked.list"

    @property
    def passes(self) -> Path:
        """The list of passes that were given out."""
        return self.root / "passes.csv"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def labels(self) -> Path:
        return self.root / "labels"


def open_fleet(root: Path) -> tuple[FleetFolder, FleetSettings]:
    """The folder at `root` and its settings. Raises `FleetError` where there is none."""
    folder = FleetFolder(root)
    file = folder.settings_file
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise FleetError(
            _(
                "{root}: is no fleet's folder (it has no fleet.toml); name one with --fleet "
                "DIR, or make one: vaora-provision init NAME --broker HOST DIR"
            ).format(root=root)
        ) from error
    except OSError as error:
        raise FleetError(
            _("{file}: can't be read ({why}); {cure}").format(
                file=file, why=of_system(error), cure=_cure(error)
            )
        ) from error
    if len(raw) > LONGEST_FILE_BYTES:
        raise FleetError(
            _("{file}: is longer than any settings are; put the right file there").format(file=file)
        )
    try:
        return folder, parse(raw.decode())
    except UnicodeDecodeError as error:
        raise FleetError(
            _("{file}: is not UTF-8 text; bring it back from the backup").format(file=file)
        ) from error
    except FleetError as error:
        raise FleetError(f"{file}: {error}") from error


def parse(text: str) -> FleetSettings:
    """The settings in `text`. Raises `FleetError` naming what is wrong with it."""
    try:
        return msgspec.convert(tomllib.loads(text), FleetSettings)
    except (tomllib.TOMLDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise FleetError(_("{why}; correct it there").format(why=error)) from error


def written(settings: FleetSettings) -> str:
    """`settings` as the text of fleet.toml."""
    # A TOML string is a JSON string, but for the one character that JSON leaves as it is.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007F")
        for key, value in msgspec.to_builtins(settings).items()
    ]
    return "\n".join([*lines, ""])


def kiosks_authority(folder: FleetFolder) -> Authority:
    """Who certifies kiosks and their cards. Raises `FleetError`.

    Also where its two halves aren't of each other: the broker would refuse whatever it makes, and
    that would show only at the doors.
    """
    found = Authority(_content(folder.kiosks), _content(folder.kiosks_key))
    cure = _("bring both back from the backup")
    try:
        fits = identity.fits(found.certificate, found.key)
    except IdentityError as error:
        raise FleetError(f"{folder.kiosks} or {folder.kiosks_key}: {error}; {cure}") from error
    if not fits:
        raise FleetError(
            _("{kiosks_key}: isn't the key of {kiosks}; {cure}").format(
                kiosks_key=folder.kiosks_key, kiosks=folder.kiosks, cure=cure
            )
        )
    return found


def client_files(place: Path, name: str) -> tuple[Path, Path, Path]:
    """What a program of the fleet connects with: the authority, its certificate, its key.

    Raises `FleetError` where they are of no use: a key that is missing here would look like a
    broker that is away, or doesn't want us.
    """
    ca, pem, key = (place / file for file in ("ca.pem", f"{name}.pem", f"{name}.key"))
    try:
        identity.read(_content(ca))
        fits = identity.fits(_content(pem), _content(key))
    except IdentityError as error:
        raise FleetError(
            _("{place}: one of its files {why}; bring them back from the backup").format(
                place=place, why=error
            )
        ) from error
    if not fits:
        raise FleetError(
            _("{key}: isn't the key of {name}; bring both back from the backup").format(
                key=key, name=pem.name
            )
        )
    return ca, pem, key


def signing_key(file: Path) -> SigningKey:
    """The settings' or the passes' key in `file`. Raises `FleetError`."""
    try:
        return SigningKey(cose.from_base64(_content(file).decode("ascii")))
    except (CoseError, ValueError) as error:
        raise FleetError(
            _("{file}: is no signing key; bring it back from the backup").format(file=file)
        ) from error


def public_text(file: Path) -> str:
    """What a `.pub` in `public/` says, as settings and lists have it. Raises `FleetError`."""
    try:
        return _content(file).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise FleetError(
            _("{file}: is no public key; bring it back from the backup").format(file=file)
        ) from error


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST_FILE_BYTES)
    except OSError as error:
        raise FleetError(
            _("{file}: can't be read ({why}); {cure}").format(
                file=file, why=of_system(error), cure=_cure(error)
            )
        ) from error


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return _("do it as the user whose folder it is")
    return _("bring it back from the backup")
