"""What systemd hears of a process, on a real socket."""

import socket

import pytest

from checkin.supervisor import Supervisor


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
    one.done()
    one.stopping()
    assert systemd() == [
        "READY=1",
        "EXTEND_TIMEOUT_USEC=10000000",
        "EXTEND_TIMEOUT_USEC=60000000",
        "STOPPING=1",
    ]
    assert not one.watched


def test_rare_long_work_asks_for_its_time_and_gives_it_back(systemd):
    one = Supervisor({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"})
    one.needs(600)
    one.done()
    assert systemd() == [
        "EXTEND_TIMEOUT_USEC=600000000\nWATCHDOG_USEC=600000000\nWATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG_USEC=20000000\nWATCHDOG=1",
    ]


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
    one.done()
    one.stopping()
    assert not one.watched
