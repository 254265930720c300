"""A kiosk's seed: all that its card carries beside the OS and the packages, checked.

Files for the boot partition. Of what is secret only what first boot needs is in them: the token,
which dies with its use, the claim credential, which can do nothing else, and the network's
password; first boot wipes them all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from checkin import identity, settings
from checkin.claim import ClaimError, Token
from checkin.identity import IdentityError
from checkin.settings import SettingsError
from checkin.words import _
from provisioning import bookworm, cloud_init, kiosk_settings
from provisioning.fleet_folder import FleetFolder, FleetSettings
from provisioning.inventory import Place
from provisioning.kiosk_settings import Keys
from provisioning.tokens import CLAIM_NAME

Form = Literal["cloud-init", "bookworm"]

SCRIPT = Path(__file__).parent / "first_boot" / "first-boot.sh"

_KEY_BEGINS = b"-----BEGIN PRIVATE KEY-----"


class SeedError(ValueError):
    """No seed can be made; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Public:
    """What all kiosks of a fleet get, and everybody may know."""

    ca: bytes
    seal: str
    authority: str
    script: bytes
    trust: bytes | None = None
    revoked: bytes | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What one card gets, from `provisioning.tokens.card_secrets`."""

    claim_pem: bytes
    token: str

    def __repr__(self) -> str:
        return "Secrets()"


def public_of(folder: FleetFolder) -> Public:
    """Read from the fleet's folder, once for all seeds. Raises `SeedError`."""
    try:
        return Public(
            ca=folder.ca.read_bytes(),
            seal=folder.seal_public.read_text(encoding="ascii").strip(),
            authority=folder.settings_public.read_text(encoding="ascii").strip(),
            script=SCRIPT.read_bytes(),
            trust=_if_there(folder.trust_list),
            revoked=_if_there(folder.revoked_list),
        )
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(
            _("{root}: {why}; put the fleet's folder back from its backup").format(
                root=folder.root, why=error
            )
        ) from error


def seed(
    place: Place, fleet: FleetSettings, public: Public, secrets: Secrets, *,
    form: Form = "cloud-init",
) -> dict[str, bytes]:  # fmt: skip
    """Path on the boot partition and content of each file, read back before it is given.

    Raises `SeedError`.
    """
    keys = Keys(
        public.seal,
        public.authority,
        has_trust=public.trust is not None,
        has_revoked=public.revoked is not None,
    )
    wanted = kiosk_settings.of(place, fleet, keys)
    found = {
        "vaora/first-boot.sh": public.script,
        "vaora/kiosk.toml": kiosk_settings.text(wanted).encode(),
        "vaora/ca.pem": public.ca,
        "vaora/claim.pem": secrets.claim_pem,
        "vaora/claim.token": secrets.token.encode() + b"\n",
    }
    if public.trust is not None:
        found["vaora/trust.list"] = public.trust
    if public.revoked is not None:
        found["vaora/revoked.list"] = public.revoked
    if form == "bookworm":
        found |= bookworm.files(place, fleet)
    else:
        instance = f"vaora-{place.kiosk}-{_token(secrets.token).fingerprint}"
        found |= cloud_init.files(place, fleet, instance=instance)
    check(found)
    if settings.parse(found["vaora/kiosk.toml"].decode()) != wanted:
        raise SeedError(
            _("{kiosk}: its settings read back other than they were written").format(
                kiosk=place.kiosk
            )
        )
    return found


def check(files: dict[str, bytes]) -> None:
    """See that first boot can use `files`. Raises `SeedError` naming the file."""
    _check_settings(files["vaora/kiosk.toml"])
    _check_claim(files["vaora/claim.pem"], files["vaora/claim.token"])
    try:
        identity.read(files["vaora/ca.pem"])
    except IdentityError as error:
        raise SeedError(
            _("ca.pem: {why}; put the fleet's folder back from its backup").format(why=error)
        ) from error
    for name in {"user-data", "meta-data", "network-config"} & files.keys():
        try:
            cloud_init.read(files[name])
        except msgspec.DecodeError as error:
            raise SeedError(f"{name}: {error}") from error
    for name, content in files.items():
        if b"PRIVATE KEY" in content and name != "vaora/claim.pem":
            raise SeedError(
                _("{name}: has a private key in it, which no card may have").format(name=name)
            )


def _check_settings(content: bytes) -> None:
    try:
        found = settings.parse(content.decode())
    except (UnicodeDecodeError, SettingsError) as error:
        raise SeedError(
            _("{why}; correct fleet.toml or the list of doors").format(why=error)
        ) from error
    for key, value in (("seal", found.seal), ("authority", found.policy.authority)):
        if not value:
            raise SeedError(
                _("kiosk.toml: {key} is empty; put the fleet's folder back from its backup").format(
                    key=key
                )
            )


def _check_claim(pem: bytes, token: bytes) -> None:
    certificate, begins, key = pem.partition(_KEY_BEGINS)
    try:
        right = identity.read(certificate).name == CLAIM_NAME
        right = right and identity.fits(certificate, begins + key)
    except IdentityError as error:
        raise SeedError(_("claim.pem: {why}").format(why=error)) from error
    if not right or pem.count(_KEY_BEGINS) != 1:
        raise SeedError(_("claim.pem: is no claim credential; make the card's secrets anew"))
    _token(token.decode("ascii", "replace").strip())


def _token(text: str) -> Token:
    try:
        return Token.read(text)
    except ClaimError as error:
        raise SeedError(
            _("claim.token: {why}; make the card's secrets anew").format(why=error)
        ) from error


def _if_there(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None
