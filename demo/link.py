"""A network that can be cut: a TCP relay on loopback between the daemon and the broker."""

import contextlib
import socket
import threading
from dataclasses import dataclass

CHUNK_BYTES = 4096
ACCEPT_S = 0.2


@dataclass(slots=True)
class _Wire:
    near: socket.socket
    far: socket.socket

    def close(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Link:
    """Relays connections to `port` on loopback, until it is cut.

    While it is cut, connections are dropped and new ones end at once. `cut_after` cuts by itself
    after so many bytes more have gone up: in the middle of a message.
    """

    def __init__(self, far_port: int) -> None:
        self._far_port = far_port
        self._lock = threading.Lock()
        self._wires: list[_Wire] = []
        self._is_up = True
        self._bytes_left: int | None = None
        self.cuts = 0
        self.carried = bytearray()  # everything that went up: a demo's worth
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(ACCEPT_S)
        self.port: int = self._listening.getsockname()[1]
        self._closing = False
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def cut(self) -> None:
        """Drop every connection, and every new one."""
        with self._lock:
            self._cut()

    def cut_after(self, count_bytes: int) -> None:
        """Cut once `count_bytes` more have gone up."""
        with self._lock:
            self._bytes_left = count_bytes

    def restore(self) -> None:
        with self._lock:
            self._is_up = True
            self._bytes_left = None

    def close(self) -> None:
        self._closing = True
        self.cut()
        self._listening.close()

    def _cut(self) -> None:
        self._is_up = False
        self.cuts += 1
        for wire in self._wires:
            wire.close()
        self._wires.clear()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        with self._lock:
            if not self._is_up:
                near.close()
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._far_port), timeout=5)
            except OSError:
                near.close()
                return
            for end in (near, far):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = _Wire(near, far)
            self._wires.append(wire)
        threading.Thread(target=self._pump, args=(wire, near, far, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(wire, far, near, False), daemon=True).start()

    def _pump(self, wire: _Wire, source: socket.socket, sink: socket.socket, up: bool) -> None:  # noqa: FBT001  a thread's argument
        try:
            while chunk := source.recv(CHUNK_BYTES):
                if up:
                    chunk = self._allowed(chunk)
                    self.carried += chunk
                sink.sendall(chunk)
        except OSError:
            pass
        with self._lock:
            wire.close()
            if wire in self._wires:
                self._wires.remove(wire)

    def _allowed(self, chunk: bytes) -> bytes:
        """What of `chunk` still goes up before the cut that was asked for."""
        with self._lock:
            if self._bytes_left is None:
                return chunk
            part = chunk[: self._bytes_left]
            self._bytes_left -= len(part)
            if self._bytes_left > 0:
                return part
            self._bytes_left = None
        # The part goes out first, then everything ends: a message torn in the middle.
        threading.Timer(0.0, self.cut).start()
        return part
