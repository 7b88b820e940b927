"""Serves the metrics over HTTP: this process's registry, then those of the SDK core."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import REGISTRY, generate_latest
from temporalio.runtime import PrometheusConfig

from app.metrics.store import StoreMetrics
from app.settings import CannotStart
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring

CORE_TIMEOUT_SECONDS = 2
CONNECTIONS = 16
"""Scrapes and probes at once; more are closed."""
REQUEST_SECONDS = 10.0

Probe = Callable[[], tuple[bool, Mapping[str, object]]]
"""Answers whether something holds, and with what."""


def sdk_metrics(port: int) -> PrometheusConfig:
    """Returns the SDK core's metric settings: units and `_total` in names, durations in seconds."""
    return PrometheusConfig(
        bind_address=f"127.0.0.1:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )


def exposition(core_port: int | None) -> bytes:
    """Returns this registry's metrics, then those of the SDK core, if the process has one."""
    own = generate_latest(REGISTRY)
    if core_port is None:
        return own
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{core_port}/metrics", timeout=CORE_TIMEOUT_SECONDS) as answer:
            return own + bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return own


def register_store_metrics(db: Database, config: ConfigCache | None = None, keys: Keyring | None = None) -> None:
    """Adds the metrics of database and configuration to this process's registry.

    Without a configuration, rulebook and site file are not counted. Without keys, certificates from events are not matched
    with those of the site file.
    """
    REGISTRY.register(StoreMetrics(db, config, keys))


def serve_metrics(
    host: str,
    port: int,
    db: Database,
    core_port: int | None,
    config: ConfigCache | None = None,
    keys: Keyring | None = None,
    probes: Mapping[str, Probe] | None = None,
) -> ThreadingHTTPServer:
    """Serves `/metrics`, `/healthz` and the given probes in threads of their own.

    Raises:
        CannotStart: the address is in use or not of this machine.
    """
    register_store_metrics(db, config, keys)

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            if probe := (probes or {}).get(self.path.split("?")[0]):
                good, answer = probe()
                self._send(200 if good else 503, "application/json", json.dumps(answer).encode())
                return
            known = self.path.split("?")[0] in ("/metrics", "/healthz")
            body = exposition(core_port) if known and "metrics" in self.path else b"ok\n"
            self._send(200 if known else 404, "text/plain; version=0.0.4; charset=utf-8", body)

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    try:
        server = _Limited((host, port), Handler)
    except OSError as error:
        raise CannotStart(f"CART_METRICS_PORT: {host} port {port}: {error.strerror}; choose another") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Limited(ThreadingHTTPServer):
    """A thread for each connection, up to the limit."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
