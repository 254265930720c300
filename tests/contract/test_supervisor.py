"""What systemd hears of a process, on a real socket."""

import socket
from threading import Event

import pytest

from checkin.supervisor import Supervisor
from kiosk.__main__ import serve


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)

        def heard():
            words = []
            while True:
                try:
                    words.append(listening.recv(4096).decode())
                except BlockingIOError:
                    return words

        heard.address = str(tmp_path / "notify")
        yield heard


def test_a_turn_says_ready_once_and_alive_four_times_in_the_watchdogs_time(systemd):
    one = Supervisor({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"})
    assert one.watched
    for tick in range(100, 121):
        one.alive(tick)
    assert systemd() == ["READY=1"] + ["WATCHDOG=1"] * 5


def test_without_a_watchdog_only_ready_is_said(systemd):
    one = Supervisor({"NOTIFY_SOCKET": systemd.address})
    one.alive(1.0)
    one.alive(1e6)
    one.needs(10)
    one.stopping()
    assert systemd() == ["READY=1", "EXTEND_TIMEOUT_USEC=10000000", "STOPPING=1"]
    assert not one.watched


def test_rare_long_work_asks_for_its_time(systemd):
    one = Supervisor({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"})
    one.needs(600)
    one.alive(1.0)
    one.needs(600)
    assert systemd() == [
        "EXTEND_TIMEOUT_USEC=600000000",
        "READY=1",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=600000000\nWATCHDOG_USEC=600000000\nWATCHDOG=1",
    ]


class Turns:
    """A loop whose turns went as they are told to have gone; stops with the last."""

    def __init__(self, *went):
        self.went, self.stopped = list(went), Event()

    def turn(self):
        went = self.went.pop(0)
        if not self.went:
            self.stopped.set()
        return went


def test_only_a_turn_with_a_frame_feeds_the_watchdog(systemd):
    one = Supervisor({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1"})
    without = Turns(False, False, False)
    serve(without, without.stopped, one)
    assert systemd() == []
    some = Turns(False, True, False, True)
    serve(some, some.stopped, one)
    assert systemd() == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_an_abstract_address_is_reached():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses an abstract name
        name = listening.getsockname()
        Supervisor({"NOTIFY_SOCKET": "@" + name[1:].decode()}).stopping()
        assert listening.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/no/such/socket"}, {"NOTIFY_SOCKET": "x" * 300, "WATCHDOG_USEC": "x"}],
)
def test_nobody_there_is_no_error(environment):
    one = Supervisor(environment)
    one.alive(1.0)
    one.needs(1)
    one.stopping()
    assert not one.watched
