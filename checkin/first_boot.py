"""What first boot couldn't do, told between programs by a word in `runtime_dir`.

provisioning/first_boot/first-boot.sh writes it for its own steps, the daemon for a refused
enrolment; the kiosk counts it out in its idle light, while it serves. It ends with the power, and
whoever fails again says so again.
"""

from pathlib import Path

from checkin import health
from checkin.blinks import STEPS

FILE = "first-boot"

LONGEST_BYTES = 32


def tell(folder: Path, step: str) -> None:
    """`step` (of `STEPS`) has failed. Raises `OSError`."""
    health.replace(folder / FILE, f"{step}\n".encode())


def forget(folder: Path, step: str) -> None:
    """`step` has succeeded after all; what another one told stays. Raises `OSError`."""
    if failed(folder) == step:
        (folder / FILE).unlink(missing_ok=True)


def failed(folder: Path) -> str | None:
    """The step that failed, or None: also where there is anything else in the file."""
    try:
        with health.ordinary(folder / FILE) as opened:
            step = opened.read(LONGEST_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None
    return step if step in STEPS else None
