"""Product processes as the world sees them: forked, asked over a pipe, frozen, dead; and the pager that alerts go to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Pipe
from typing import Any

from app.process.child_processes import die_with_parent
from tests.chaos import product
from tests.chaos.points import Points
from tests.chaos.product import Place

ANSWER_SECONDS = 60.0


class Died(Exception):
    """The process ended before it answered."""


class Stopped(Exception):
    """The process was frozen before it answered."""


class Slow(Exception):
    """No answer yet."""


class Failed(Exception):
    """The operation failed, and says so."""


class NeverDone(AssertionError):
    """An operation failed as often as anyone would try."""


class Process:
    """A forked product process and its pipe."""

    def __init__(self, place: Place, arm: Mapping[str, Any] | None = None) -> None:
        self.pipe, theirs = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.pipe.close()
            die_with_parent()
            try:
                product.serve(theirs, place, arm)
            except BaseException:  # noqa: BLE001 a process that cannot start says why
                traceback.print_exc()
            finally:
                os._exit(70)
        theirs.close()
        self.gone = False

    def request(self, operation: str, *arguments: Any) -> None:
        try:
            self.pipe.send((operation, arguments))
        except OSError:
            raise Died from None

    def answer(self, serve: Callable[..., Any], *, patient: bool = False, within: float = ANSWER_SECONDS) -> Any:
        """
        Raises:
            Died, Stopped, Failed: there is none.
            Slow: not within the time that was given.
        """
        end = time.monotonic() + within
        while True:
            if not self.pipe.poll(0.02):
                if time.monotonic() > end and within < ANSWER_SECONDS:
                    raise Slow
                if time.monotonic() > end:
                    self.kill()
                    raise NeverDone("no answer within a minute")
                if not patient and self._frozen():
                    raise Stopped
                continue
            try:
                message = self.pipe.recv()
            except (EOFError, OSError):
                self.reap()
                raise Died from None
            if message[0] == "done":
                return message[1]
            if message[0] == "failed":
                raise Failed(message[1])
            try:
                reply: Any = serve(*message[1:])
            except Exception as error:  # noqa: BLE001 it is the answer
                reply = RuntimeError(repr(error))
            with contextlib.suppress(OSError):
                self.pipe.send(reply)

    def _frozen(self) -> bool:
        found, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if found and not os.WIFSTOPPED(status):
            self.gone = True
        return bool(found) and os.WIFSTOPPED(status)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def reap(self) -> None:
        if not self.gone:
            os.waitpid(self.pid, 0)
            self.gone = True

    def kill(self) -> None:
        if not self.gone:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
        self.pipe.close()


class Here:
    """The product in this process, to warm what every forked one inherits."""

    def __init__(self, place: Place, serve: Callable[..., Any]) -> None:
        product.quicken()
        self._product = product.Product(place, Points(place.home), lambda name, *rest: serve(name, rest))
        self._answer: Any = None

    def request(self, operation: str, *arguments: Any) -> None:
        self._answer = getattr(self._product, operation)(*arguments)

    def answer(self, _serve: Callable[..., Any], *, patient: bool = False, within: float = 0) -> Any:
        return self._answer

    def kill(self) -> None:
        self._product.runner.close()
        self._product.end()


class Pager:
    """A destination of alerts that can be away, hang, or lose its answer; keeps what it received."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.mode, self.until = "", 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mode = outer.mode if time.monotonic() < outer.until else ""
                if mode == "hangs":
                    time.sleep(max(0.0, outer.until - time.monotonic()))
                if mode in ("away", "hangs"):
                    self.connection.close()
                    return
                outer.keep(body)
                if mode == "lost":
                    self.connection.close()
                    return
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def keep(self, body: bytes) -> None:
        message = json.loads(body)
        self.got += [(message["change"], one["kind"]) for one in message["alerts"]]

    def behave(self, mode: str, seconds: float) -> None:
        self.mode, self.until = mode, time.monotonic() + seconds

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


ALERTS = """board = "https://board.example"
[[destinations]]
name = "pager"
kind = "webhook"
url = "http://127.0.0.1:{port}/hook"
severities = ["critical", "warning", "info"]
secret_file = "pager.secret"
give_up_hours = 720
"""
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
