"""The language that the kiosk, the sync daemon and the central speak.

    event       a check-in and its form on disk and on the wire
    outbox      the file of check-ins the central may not have yet
    clock       when it is, and how sure that is
    seal        encrypt personal fields so that the door can't read them back
    settings    /etc/vaora/kiosk.toml, and `command_line` how a command is told of it
    supervisor  what systemd is told of a process: ready, alive
    health      the small files by which the two processes tell each other how they are

A module is here only if two programs need it.
"""

from importlib.metadata import version

VERSION = version("vaora")
