"""A TCP link that can be cut, that can swallow everything without a word, and that can flap."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

Connect = Callable[[], socket.socket]
CHUNK = 65536


class Link:
    """Forwards connections from a port of its own to a server.

    Attributes:
        hole: while true nothing passes and nothing ends; new connections are accepted and hang.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.hole = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        while self.hole:
            time.sleep(0.05)
        try:
            far = self._connect()
        except OSError:
            near.close()
            return
        pair = (near, far)
        with self._lock:
            self._pairs.add(pair)
        try:
            while True:
                ready, _, _ = select.select(pair, (), (), 0.2)
                if self.hole:
                    time.sleep(0.05)
                    continue
                for one in ready:
                    data = one.recv(CHUNK)
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
        except (OSError, ValueError):
            return
        finally:
            with self._lock:
                self._pairs.discard(pair)
            for one in pair:
                one.close()

    def cut(self) -> None:
        """Break every connection; new ones are made."""
        with self._lock:
            pairs = list(self._pairs)
        for one in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def swallow(self, seconds: float) -> None:
        """A black hole for so long; then what waits goes on."""
        self.hole = True
        time.sleep(seconds)
        self.hole = False

    def flap(self, seconds: float, every: float = 0.4) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.cut()
            time.sleep(every)

    def close(self) -> None:
        self._listener.close()
        self.hole = False
        self.cut()


def tcp(host: str, port: int) -> Connect:
    return lambda: socket.create_connection((host, port), 5)


def unix(path: str) -> Connect:
    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(5)
        made.connect(path)
        made.settimeout(None)
        return made

    return connect
