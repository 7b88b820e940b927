"""Peers that are there and do nothing: frozen processes, and a network that swallows or refuses."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import psutil

Way = Literal["open", "silent", "refused"]


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Processes stopped by SIGSTOP while the context lasts."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def with_children(pid: int) -> list[int]:
    """A process and its descendants, the parent first."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


class Proxy:
    """A TCP proxy in front of a server: open, silent (takes everything, passes nothing on) or refused (ends connections).

    Args:
        target: a port of this machine, or the path of a Unix socket.
    """

    def __init__(self, target: int | str) -> None:
        self._target, self.way = target, "open"
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def turn(self, way: Way) -> None:
        """From now on; connections that were silent stay so."""
        self.way = way
        if way == "refused":
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def close(self) -> None:
        self.turn("refused")
        assert self._listener is not None
        self._listener.close()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            if self.way == "refused":
                one.close()
                continue
            self._open.append(one)
            if self.way == "silent":
                continue
            other = socket.socket(socket.AF_UNIX) if isinstance(self._target, str) else socket.socket()
            other.connect(self._target if isinstance(self._target, str) else ("127.0.0.1", self._target))
            self._open.append(other)
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        swallowed = False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                # A connection that lost a byte cannot go on: it is silent for good.
                swallowed = swallowed or self.way == "silent"
                if not swallowed:
                    sink.sendall(data)
        if not swallowed:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
