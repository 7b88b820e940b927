"""The gateway: receives events, serves API and board, delivers in the background. All state is in the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from importlib.metadata import version

from fastapi import FastAPI

from app import board
from app.api import (
    alerts,
    audit,
    claims,
    deliveries,
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
    api.state.parts = Parts(db, keys, access, site, rules, deliverer, temporal_reachable, clock, reader, mapping)
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


def _running(api: FastAPI) -> tuple[Deliverer | None, FeedWatch | None, Asker | None]:
    return api.state.parts.deliverer, api.state.watch, api.state.asker


@contextlib.asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    mllp: MllpServer | None = api.state.mllp
    if mllp:
        await mllp.start()
    background = [asyncio.create_task(part.run()) for part in _running(api) if part]
    try:
        yield
    finally:
        if mllp:
            await mllp.stop()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
