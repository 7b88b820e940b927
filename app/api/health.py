"""`/healthz`, `/readyz`, `/metrics`: without a token, without anything about a person."""

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


@router.get("/healthz", summary="The process is up")
async def healthz() -> Health:
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A neighbour is away"}}, summary="All is up")
async def readyz(parts: PartsOf) -> Response:
    """200 when Temporal answers and the database takes writes, else 503. Events are still taken in while Temporal is away."""
    database = await asyncio.get_running_loop().run_in_executor(_PROBES, parts.db.takes_writes, PROBE_SECONDS)
    temporal = parts.temporal_reachable is None or await parts.temporal_reachable()
    body = Readiness(ready=database and temporal, database=database, temporal=temporal)
    return JSONResponse(body.model_dump(), 200 if body.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus exposition")
def metrics() -> Response:
    """The process's counters, and where the process counts it, what the database knows."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
