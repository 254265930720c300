"""Retire a kiosk: its certificate, its card's credential and its token count no more, for good."""

from dataclasses import dataclass

from checkin import whole
from checkin.words import _, of_system
from provisioning.fleet_folder import FleetError, FleetFolder, kiosks_authority
from provisioning.founding import LIST_DAYS
from provisioning.register import Register, Retired


@dataclass(frozen=True, slots=True)
class Retirement:
    """Since when the kiosk is retired, and the checkpoints that it had certificates for."""

    retired: Retired
    checkpoints: tuple[str, ...]
    certificates: int


def is_known(register: Register, kiosk: str) -> bool:
    """Whether a card was ever made for `kiosk`."""
    cards = {one.kiosk for one in register.tokens()}
    return kiosk in cards | {one.kiosk for one in register.certificates()}


def retire(folder: FleetFolder, register: Register, retired: Retired) -> Retirement:
    """Write it into the register, then the list of revoked certificates anew.

    In this order, so that what a power cut leaves is made good by saying it again. Raises
    `RegisterError`, and `FleetError` where the list can't be written.
    """
    authority = kiosks_authority(folder)  # before anything is written: without it there's no list
    with register.change():
        register.retire(retired)
    # Within the lock of the register: of two technicians the later one's list is the later file.
    with register.change():
        listed = authority.revocation_list(
            register.revoked(),
            number=register.next_list(retired.at),
            at=retired.at,
            days=LIST_DAYS,
        )
        try:
            whole.write(folder.revoked_certificates, listed, 0o644)
        except OSError as error:
            raise FleetError(
                _(
                    "{file}: can't be written ({why}); the kiosk is retired in the register: "
                    "say it again when there is room"
                ).format(file=folder.revoked_certificates, why=of_system(error))
            ) from error
    own = [one for one in register.certificates() if one.kiosk == retired.kiosk]
    return Retirement(
        retired=register.retired(retired.kiosk) or retired,
        checkpoints=tuple(sorted({one.checkpoint for one in own})),
        certificates=len(own),
    )
