"""`/startupz`, `/livez`, `/readyz`, `/healthz`, `/metrics`: no token, no patient data.

Started: the process has what it needs. Live: it can go on by itself. Ready: it takes events in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.answers import Alive, Health, Readiness, Startup
from app.api.parts import Parts, PartsOf
from store.engine import Database
from store.key_trial import keys_open_data
from store.keys import Keyring

PROBE_SECONDS = 2.0
ANSWER_SECONDS = PROBE_SECONDS + 0.5
_PROBES = ThreadPoolExecutor(2, thread_name_prefix="readiness")
"""Threads of their own: where others wait for the database, the question whether it answers must not wait behind them."""

T = TypeVar("T")
router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Check that the process is up")
async def healthz() -> Health:
    return Health(status="ok")


@router.get(
    "/livez",
    responses={503: {"model": Alive, "description": "The process cannot go on; restart it"}},
    summary="Check that the process can go on",
)
async def livez(parts: PartsOf) -> Response:
    """Returns 200 while loops and threads of the process move, else 503.

    A database or a Temporal server that is down does not change it.
    """
    stuck = parts.liveness.stuck()
    body = Alive(live=not stuck, stuck=stuck)
    return JSONResponse(body.model_dump(), 200 if body.live else 503)


@router.get(
    "/startupz",
    responses={503: {"model": Startup, "description": "Database, schema or key file is missing or wrong"}},
    summary="Check that the process has what it needs",
)
async def startupz(parts: PartsOf) -> Response:
    """Returns 200 if the database is reachable, its schema current, and the key file opens its data, else 503."""
    nothing = Startup(started=False, database=False, schema_current=False, keys=False)
    body = await _within(lambda: startup_of(parts.db, parts.keys), nothing)
    return JSONResponse(body.model_dump(), 200 if body.started else 503)


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "The database accepts no writes"}},
    summary="Check that events are received",
)
async def readyz(parts: PartsOf) -> Response:
    """Returns 200 if the database accepts writes, else 503; `temporal` shows whether the Temporal server responds.

    Events are still received while Temporal is down.
    """
    asked = _within(lambda: parts.db.takes_writes(PROBE_SECONDS), False)
    database, temporal = await asyncio.gather(asked, _temporal_responds(parts))
    body = Readiness(ready=database, database=database, temporal=temporal)
    return JSONResponse(body.model_dump(), 200 if body.ready else 503)


def startup_of(db: Database, keys: Keyring) -> Startup:
    """Returns whether a process has what it needs."""
    database, schema, right = db.answers(), db.is_current(), keys_open_data(db, keys)
    return Startup(started=database and schema and right, database=database, schema_current=schema, keys=right)


async def _temporal_responds(parts: Parts) -> bool:
    return parts.temporal_reachable is None or await parts.temporal_reachable()


async def _within(question: Callable[[], T], otherwise: T) -> T:
    """The answer of the database, or what no answer in time means."""
    asked = asyncio.get_running_loop().run_in_executor(_PROBES, question)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asked
    except TimeoutError:
        return otherwise


@router.get("/metrics", response_class=PlainTextResponse, summary="Get Prometheus metrics")
def metrics() -> Response:
    """Returns the counters of the process, and database metrics if the process has them."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
