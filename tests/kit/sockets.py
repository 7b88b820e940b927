"""A gateway, or any other application, behind a real socket, as its process serves it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.process.http_limits import ConnectionLimits
from app.process.serving import GatewaySettings, server_of
from tests.kit.waiting import eventually


@contextmanager
def listening(api: FastAPI, limits: ConnectionLimits | None = None) -> Iterator[str]:
    """The address it answers at while the context lasts."""
    server: uvicorn.Server = server_of(GatewaySettings(http_port=0), api, limits)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, "the server listens", 20)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
