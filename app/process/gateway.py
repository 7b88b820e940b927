"""The gateway: receives events, serves API and board, delivers in the background. All state is in the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app import board
from app.api import (
    alerts,
    audit,
    claims,
    deliveries,
    emergency,
    encounters,
    events,
    fhir,
    fhir_outcomes,
    health,
    packets,
    preflight,
    problems,
    quarantine,
    replies,
    worklists,
)
from app.api.access import Access
from app.api.access_watch import AccessOfFile
from app.api.guard import Guard
from app.api.parts import OutOfReach, Parts, out_of_reach, utc_now
from app.liveness import DELIVERY_SECONDS, LOOP_SECONDS, POOL_SECONDS, Liveness, turn
from domain.rulebook import Rulebook
from domain.site import Site
from intake.delivery import Deliverer
from intake.feed_health import FeedWatch
from intake.fhir.missed_notifications import Asker
from intake.hl7.mllp import MllpServer
from intake.inbox.receive import Reader
from intake.site_mapping import SiteMapping
from store.engine import Database
from store.keys import Keyring

DESCRIPTION = "CAR-T encounters from referral to the last payment. Errors are problem details (RFC 9457)."


def create_gateway(
    *,
    db: Database,
    keys: Keyring,
    access: Access | AccessOfFile,
    site: Site | None = None,
    rules: Callable[[], Rulebook] | None = None,
    deliverer: Deliverer | None = None,
    temporal_reachable: Callable[[], Awaitable[bool]] | None = None,
    reader: Reader | None = None,
    mapping: SiteMapping | None = None,
    mllp: MllpServer | None = None,
    watch: FeedWatch | None = None,
    asker: Asker | None = None,
    clock: Callable[[], datetime] = utc_now,
    idle: timedelta = timedelta(minutes=15),
) -> FastAPI:
    """Returns the HTTP interface on a migrated database.

    Args:
        rules: returns the current rulebook, for explanations.
        deliverer: runs while the application serves.
        temporal_reachable: for `/readyz`; the gateway receives events also if Temporal is down.
        reader: translates HL7 messages and FHIR resources again when they are replayed (`intake.replay`).
        mapping: the site's mapping file, for FHIR notifications.
        mllp: serves HL7 v2 in addition to HTTP.
        watch: alerts if a feed is silent.
        asker: requests missing notifications from FHIR servers.
        idle: time without a person's action after which a session of the board ends.
    """
    api = FastAPI(
        title="CAR-T encounter",
        version=version("cart-encounter"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        # Their pages load scripts from other servers.
        docs_url=None,
        redoc_url=None,
    )
    api.state.parts = Parts(db, keys, access, site, rules, deliverer, temporal_reachable, clock, reader, mapping, idle)
    api.state.mllp = mllp
    api.state.watch = watch
    api.state.asker = asker
    problems.install(api)
    fhir_outcomes.install(api)
    api.add_exception_handler(OutOfReach, out_of_reach)
    api.add_middleware(Guard)
    # An order number may contain a slash, so a reference matches the whole path; longer paths are registered first.
    for module in (
        events,
        claims,
        packets,
        replies,
        worklists,
        alerts,
        deliveries,
        emergency,
        encounters,
        quarantine,
        preflight,
        audit,
        fhir,
        health,
    ):
        api.include_router(module.router)
    board.install(api)
    return api


def _running(api: FastAPI) -> dict[str, Deliverer | FeedWatch | Asker]:
    parts = {"delivery": api.state.parts.deliverer, "feed_watch": api.state.watch, "asker": api.state.asker}
    return {name: part for name, part in parts.items() if part}


@contextlib.asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    mllp: MllpServer | None = api.state.mllp
    if mllp:
        await mllp.start()
    background = {name: asyncio.create_task(part.run()) for name, part in _running(api).items()}
    _watch(api, background)
    try:
        yield
    finally:
        await api.state.parts.liveness.stop()
        if mllp:
            await mllp.stop()
        for task in background.values():
            task.cancel()
        await asyncio.gather(*background.values(), return_exceptions=True)


def _watch(api: FastAPI, background: Mapping[str, asyncio.Task[None]]) -> None:
    """Whatever must move while the gateway serves."""
    liveness: Liveness = api.state.parts.liveness
    deliverer: Deliverer | None = api.state.parts.deliverer
    for name, task in background.items():
        liveness.watch_task(name, task)
    if deliverer:
        liveness.watch("delivery_loop", lambda: deliverer.turned, DELIVERY_SECONDS)
    liveness.watch_work("event_loop", turn, LOOP_SECONDS)
    liveness.watch_work("request_threads", lambda: run_in_threadpool(int), POOL_SECONDS)
    liveness.watch_work("background_threads", lambda: asyncio.to_thread(int), POOL_SECONDS)
    if api.state.mllp:
        liveness.watch_work("mllp_threads", api.state.mllp.turn, POOL_SECONDS)
