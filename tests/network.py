"""A network of one's own: loopback, and nothing else.

A machine that boots sets up whatever interfaces it sees, and in this machine's network it would
take this machine's own addresses away: DHCP and netplan do. So it boots in a network namespace that
the test enters too, with the broker and whatever else is to be met there.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914  # linux/sockios.h
IFF_UP = 0x1  # linux/if.h

# Of the calling thread, which starts what a test starts; python3.11 has neither call in `os`.
_libc = ctypes.CDLL(None, use_errno=True)

_outside: list[int] = []


@contextmanager
def own() -> Iterator[None]:
    """From here on this thread, and what it starts, has a network of its own."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWNET)
        _outside.append(before)
        _loopback_up()
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        _outside.clear()
        os.close(before)


@contextmanager
def outside() -> Iterator[None]:
    """In this machine's network meanwhile: to fetch what isn't here yet."""
    if not _outside:
        yield
        return
    inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", _outside[0], CLONE_NEWNET)
        yield
    finally:
        _call("setns", inside, CLONE_NEWNET)
        os.close(inside)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        name = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(asked, SIOCGIFFLAGS, name))
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
