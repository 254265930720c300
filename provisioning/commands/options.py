"""What the commands share: where the fleet's folder is, and how a mistake ends."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from checkin.marks import said
from checkin.words import N_, _, of_system, spoken
from provisioning.fleet_folder import FleetError, FleetFolder, FleetSettings, open_fleet

# What to do about what the system says of a file; it has no such word itself.
CURES = {
    errno.ENOSPC: N_("make room there, then do it again"),
    errno.EDQUOT: N_("make room there, then do it again"),
    errno.EROFS: N_("nothing can be written there; name another folder, or mount it for writing"),
    errno.EACCES: N_("do it as the user whose file it is, or with sudo"),
    errno.EPERM: N_("do it as the user whose file it is, or with sudo"),
    errno.ENOENT: N_("is the name right? What belongs to the fleet is in its backup"),
}
ELSE = N_("look at the file and its folder, then do it again")


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--fleet DIR`: the folder that `init` made, handed to the command as `fleet`."""
    return click.option(
        "--fleet",
        type=click.Path(path_type=Path, file_okay=False),
        default=".",
        show_default="this folder",
        help="The fleet's folder, made by `vaora-provision init`.",
    )(command)


def opened(fleet: Path) -> tuple[FleetFolder, FleetSettings]:
    """The folder and its settings, or the end of the program with a line that says what to do."""
    with in_words(FleetError):
        return open_fleet(fleet)


@contextmanager
def in_words(*kinds: type[Exception]) -> Iterator[None]:
    """An error of these `kinds` ends the program with its own message, and without a traceback."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(spoken(in_full(error))) from error


def in_full(error: Exception) -> str:
    """Our own errors say what to do; to one of the system's that is added."""
    if not isinstance(error, OSError) or error.errno is None:
        return said(error)
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{of_system(error)}; {_(CURES.get(error.errno, ELSE))}"


class Commands(click.Group):
    """The commands. What the system refuses ends any of them in a line, not in a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read along is gone: click's own business
            raise
        except OSError as error:
            raise click.ClickException(in_full(error)) from error
