"""What the commands share: where the fleet's folder is, and how a mistake ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from checkin.marks import said
from checkin.words import spoken
from provisioning.fleet_folder import FleetError, FleetFolder, FleetSettings, open_fleet


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
        raise click.ClickException(spoken(said(error))) from error
