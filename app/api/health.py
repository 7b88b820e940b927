"""`/healthz`, `/readyz`, `/metrics`: without a token, without anything about a person."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.answers import Health, Readiness
from app.api.parts import PartsOf

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process is up")
async def healthz() -> Health:
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A neighbour is away"}}, summary="All is up")
async def readyz(parts: PartsOf) -> Response:
    """200 when database and Temporal answer, else 503. Events are still taken in while Temporal is away."""
    database = await asyncio.to_thread(parts.db.answers)
    temporal = parts.temporal_reachable is None or await parts.temporal_reachable()
    body = Readiness(ready=database and temporal, database=database, temporal=temporal)
    return JSONResponse(body.model_dump(), 200 if body.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus exposition")
def metrics() -> Response:
    """The process's counters, and where the process counts it, what the database knows."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
