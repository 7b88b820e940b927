"""`/healthz`, `/readyz`, `/metrics`: no token, no patient data."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.answers import Health, Readiness
from app.api.parts import PartsOf

PROBE_SECONDS = 2.0
_PROBES = ThreadPoolExecutor(2, thread_name_prefix="readiness")
"""Threads of their own: where others wait for the database, the question whether it answers must not wait behind them."""

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Check that the process is up")
async def healthz() -> Health:
    return Health(status="ok")


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "Database or Temporal is down"}},
    summary="Check that database and Temporal are up",
)
async def readyz(parts: PartsOf) -> Response:
    """Returns 200 if Temporal responds and the database accepts writes, else 503.

    Events are still received while Temporal is down.
    """
    database = await asyncio.get_running_loop().run_in_executor(_PROBES, parts.db.takes_writes, PROBE_SECONDS)
    temporal = parts.temporal_reachable is None or await parts.temporal_reachable()
    body = Readiness(ready=database and temporal, database=database, temporal=temporal)
    return JSONResponse(body.model_dump(), 200 if body.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, summary="Get Prometheus metrics")
def metrics() -> Response:
    """Returns the counters of the process, and database metrics if the process has them."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
