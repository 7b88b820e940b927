"""The worker's probes on its metrics port, and what must move in a worker. They mean what the gateway's mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Final

from app.api.answers import Alive
from app.api.health import PROBE_SECONDS, startup_of
from app.liveness import LOOP_SECONDS, POOL_SECONDS, Liveness, turn
from app.metrics.serving import Probe
from app.process.connect import Home

ACTIVITY_SECONDS: Final = 600.0
"""For a thread of activities to become free: one may work for minutes, never all of them for so long."""


def worker_probes(home: Home, liveness: Liveness) -> Mapping[str, Probe]:
    """Returns the probes of a worker by their paths."""

    def livez() -> tuple[bool, dict[str, object]]:
        stuck = liveness.stuck()
        return not stuck, Alive(live=not stuck, stuck=stuck).model_dump()

    def startupz() -> tuple[bool, dict[str, object]]:
        found = startup_of(home.db, home.keys)
        return found.started, found.model_dump()

    def readyz() -> tuple[bool, dict[str, object]]:
        database = home.db.takes_writes(PROBE_SECONDS)
        return database, {"ready": database, "database": database}

    return {"/livez": livez, "/startupz": startupz, "/readyz": readyz}


def watch_worker(liveness: Liveness, background: Mapping[str, asyncio.Task[None]], pool: Executor) -> None:
    """Watches a worker's loop, threads and background tasks; call it in the event loop."""
    for name, task in background.items():
        liveness.watch_task(name, task)
    loop = asyncio.get_running_loop()
    liveness.watch_work("event_loop", turn, LOOP_SECONDS)
    liveness.watch_work("background_threads", lambda: asyncio.to_thread(int), POOL_SECONDS)
    liveness.watch_work("activity_threads", lambda: loop.run_in_executor(pool, int), ACTIVITY_SECONDS)
