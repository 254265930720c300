"""What the commands of kiosk and daemon share: where the settings are, and how they stop."""

import faulthandler
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import FrameType, TracebackType
from typing import Any

import click

from checkin import settings
from checkin.settings import Settings, SettingsError


def settings_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--settings FILE`, before a command or behind it; the file is then the context's object."""

    def chosen(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
        if file is not None:
            context.obj = file
        elif context.obj is None:
            context.obj = settings.DEFAULT_FILE

    return click.option(
        "--settings",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=chosen,
        help=f"The kiosk's settings file.  [default: {settings.DEFAULT_FILE}]",
    )(command)


def load(file: Path) -> Settings:
    """The settings in `file`, or the end of the program with a line that says what to do."""
    try:
        return settings.load(file)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def not_over(file: Path, is_ours: Callable[[bytes], bool]) -> None:
    """Refuse to write over a file that isn't of the kind that is about to be written.

    A name typed wrongly would else put a table in the place of an outbox. `is_ours` looks at the
    first bytes of what is there.
    """
    try:
        with file.open("rb") as opened:
            begin = opened.read(256)
    except FileNotFoundError:
        return
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    if begin and not is_ours(begin):
        raise click.ClickException(f"{file}: is there already and is something else; name another")


def printable(text: str) -> str:
    """Text from anywhere, without what steers a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def leave_no_traces() -> None:
    """A program that meets visitors' data may crash, and tells where, but not with what.

    No core dump, which would hold frames and fields (systemd-coredump heeds the limit too,
    core(5)), and a traceback without the messages: a ValueError quotes what it couldn't read.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where it hung or fell, when its watchdog or the machine ends it: lines of code, no values.
    faulthandler.enable(2)
    sys.excepthook = _say_where


def _say_where(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    frames = traceback.extract_tb(trace)
    told: BaseException | None = error
    while told is not None:
        sys.stderr.write("".join(traceback.format_list(frames)))
        sys.stderr.write(f"{type(told).__name__} (its message may name a visitor: left out)\n")
        told = told.__cause__ or told.__context__
        frames = traceback.extract_tb(told.__traceback__) if told is not None else frames


def stop_signals() -> Event:
    """An event that SIGTERM and Ctrl-C set: loops look at it between two turns."""
    stopped = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped
