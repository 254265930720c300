"""The partition a Pi boots from, inside an image: read and written by mtools, without a mount.

Here too is what a kiosk changes in the two files that the OS put there: config.txt, for the
firmware, and cmdline.txt, for the kernel.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from checkin.words import _
from provisioning import tools
from provisioning.tools import ToolError

CONFIG = "config.txt"
COMMAND_LINE = "cmdline.txt"

# mtools doubts images whose geometry doesn't fit a disk of heads and tracks, as no card's does.
UNDOUBTING = {"MTOOLS_SKIP_CHECK": "1"}

# What the OS's own first boot does to the disk: root grown over the whole of it. In trixie a word
# for the initramfs (raspberrypi-sys-mods, local-premount/resize_early), in bookworm and before an
# init of its own, which the initramfs looks for too. Ours is done by first-boot.sh.
GROWERS = ("resize",)
GROWING_INITS = ("init=/usr/lib/raspberrypi-sys-mods/firstboot", "init=/usr/lib/raspi-config/")

# How bookworm runs a script once, as its Imager has it do.
FIRST_RUN = "firstrun.sh"
RUN_ONCE = (
    "systemd.run=/boot/firmware/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)

BEGIN = "# vaora: begin. What stands in here is written by vaora-provision."
END = "# vaora: end"


class BootError(ValueError):
    """The boot partition can't be read or written; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class BootPartition:
    """The FAT filesystem that begins at byte `begin` of the file `image`."""

    image: Path
    begin: int

    def read(self, name: str) -> bytes:
        """The content of the file `name`, a path with slashes."""
        return self._mtools("mcopy", f"::{name}", "-")

    def names(self) -> list[str]:
        """The paths of all files, in order."""
        said = self._mtools("mdir", "-b", "-/", "::").decode("utf-8", "replace").splitlines()
        return sorted(line.removeprefix("::/") for line in said if line and not line.endswith("/"))

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put `files` there, over what is there under the same names; then see that they are."""
        with tempfile.TemporaryDirectory(dir=self.image.parent) as folder:
            tree = Path(folder)
            for name, content in files.items():
                file = tree / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            self._mtools("mcopy", "-s", "-o", "-Q", *map(str, sorted(tree.iterdir())), "::/")
        self.check(files)

    def check(self, files: Mapping[str, bytes]) -> None:
        """Read `files` back. Raises `BootError` naming the first that isn't as it was written."""
        with tempfile.TemporaryDirectory(dir=self.image.parent) as folder:
            tops = sorted({PurePosixPath(name).parts[0] for name in files})
            self._mtools("mcopy", "-s", "-n", "-Q", *(f"::{top}" for top in tops), folder)
            for name, content in files.items():
                file = Path(folder) / name
                if not file.is_file() or file.read_bytes() != content:
                    raise BootError(
                        _(
                            "{image}: {name} reads back other than it was written; is the disk "
                            "full, or the image damaged? Remove the image and make it again"
                        ).format(image=self.image, name=name)
                    )

    def _mtools(self, name: str, *words: str) -> bytes:
        where = f"{self.image}@@{self.begin}"
        try:
            return tools.run(name, "-i", where, *words, env=UNDOUBTING)
        except ToolError as error:
            raise BootError(
                _("{image}: the boot partition: {why}").format(image=self.image, why=error)
            ) from error


def command_line(text: str, *, runs_once: bool = False) -> str:
    """cmdline.txt for a kiosk: nothing grows root, and `runs_once` has bookworm run our script.

    One line, as the firmware wants it.
    """
    words = [
        word
        for word in text.split()
        if word not in {*GROWERS, *RUN_ONCE} and not word.startswith(GROWING_INITS)
    ]
    return " ".join([*words, *(RUN_ONCE if runs_once else ())]) + "\n"


def config(text: str, *, pins: Sequence[int] = (), clock_chip: str = "") -> str:
    """config.txt for a kiosk: what stands in our block is replaced, all else stays.

    `pins` are outputs that are low from the first second on, so that nothing glows or beeps before
    the kiosk holds them.
    """
    # [all], because the file may end in a section of one model's.
    ours = ["[all]", "dtparam=watchdog=on"]
    if pins:
        ours.append(f"gpio={','.join(str(pin) for pin in sorted(pins))}=op,dl")
    if clock_chip:
        ours.append(f"dtoverlay=i2c-rtc,{clock_chip}")
    kept = _without_block(text.splitlines())
    return "\n".join([*kept, BEGIN, *ours, END]) + "\n"


def _without_block(lines: Sequence[str]) -> list[str]:
    kept, inside = [], False
    for line in lines:
        inside = inside or line == BEGIN
        if not inside:
            kept.append(line)
        inside = inside and line != END
    return kept
