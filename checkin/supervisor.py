"""Tell systemd how this process is: ready, alive, going.

The protocol is sd_notify(3): datagrams of `KEY=value` lines to the socket named in
NOTIFY_SOCKET. Where nobody supervises, on a bench, nothing is said.
"""

import os
import socket
from collections.abc import Mapping

# systemd wants to hear within WatchdogSec; a quarter of it leaves room for a slow turn (it
# recommends a half, sd_watchdog_enabled(3)).
PART_OF_WATCHDOG = 4


class Supervisor:
    """What systemd is told. `environment` is this process's.

    Saying never fails: a process that can't reach its supervisor is ended by it soon enough.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is Linux's abstract name space (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        every_us = environment.get("WATCHDOG_USEC", "")
        self._every_s = int(every_us) / 1e6 / PART_OF_WATCHDOG if every_us.isdecimal() else 0.0
        self._alive_due = 0.0
        self._is_ready = False

    @property
    def watched(self) -> bool:
        """Whether somebody ends this process when it says nothing."""
        return bool(self._address and self._every_s)

    def alive(self, tick: float) -> None:
        """A whole turn of the loop is done: called after each, said as often as is wanted.

        The first one says that the service is ready.
        """
        if not self._is_ready:
            self._is_ready = True
            self._say("READY=1")
        if self._every_s and tick >= self._alive_due:
            self._alive_due = tick + self._every_s
            self._say("WATCHDOG=1")

    def needs(self, seconds: float) -> None:
        """What comes next may take so long; neither starting nor the watchdog shall end it.

        For the rare work that is neither: an outbox of an earlier version is changed, a damaged
        one looked through. It can't be taken back: systemd only ever extends.
        """
        microseconds = round(seconds * 1e6)
        said = f"EXTEND_TIMEOUT_USEC={microseconds}"
        # Not before it is ready: a word about the watchdog would set it going.
        if self._every_s and self._is_ready:
            said += f"\nWATCHDOG_USEC={microseconds}\nWATCHDOG=1"
        self._say(said)

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as spoken:
                spoken.sendto(words.encode(), self._address)
        except OSError:
            return


def this_process() -> Supervisor:
    return Supervisor(os.environ)
