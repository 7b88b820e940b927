"""`POST /v1/replies`: receives a payer response file (999, 277CA, 835)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from app.api import counters
from app.api.actors import Actor
from app.api.answers import ReplyFileAnswer
from app.api.bodies import file_from
from app.api.events import receipt_of
from app.api.parts import Parts, PartsOf
from app.api.problems import RETRY_SECONDS, Refusal, documented
from app.api.senders import Sender
from domain.billing.x12.entries import NotUsable
from intake import alerts
from intake.inbox import quarantine
from intake.payer_files.directory import FILES
from intake.payer_files.importer import REPEATED, X12, PayerFileImporter, Taken
from store.alerts import open_once
from store.engine import serialize

EDI = "application/edi-x12"
SCHEMA = {"type": "string", "description": "One X12 interchange: 005010X231A1, 005010X214 or 005010X221A1"}
BODY = {"requestBody": {"required": True, "content": {EDI: {"schema": SCHEMA}}}}

AT_ONCE = 2
"""Files read at once: each has a process of its own, and a large one keeps a processor busy."""
TURN_SECONDS = 60.0
"""How long a sender waits for its turn."""

router = APIRouter(tags=["claims"])


@router.post(
    "/v1/replies",
    status_code=202,
    responses=documented(409, 413, 422, 501),
    openapi_extra=BODY,
    summary="Send a payer response file",
)
async def post_replies(request: Request, parts: PartsOf, actor: Sender) -> ReplyFileAnswer:
    """Returns a receipt per response. An invalid file gives 422 and is quarantined; a duplicate gives 409."""
    if parts.site is None:
        raise Refusal(501, "this gateway has no site file, whose time zone response files require; set CART_SITE_FILE")
    body = await file_from(request, actor)
    async with _turn(request):
        taken = await run_in_threadpool(_take, parts, actor, body)
    if parts.deliverer is not None:
        parts.deliverer.wake()
    return ReplyFileAnswer(
        receipts=[receipt_of(one) for one in taken.receipts],
        passed_over=taken.passed_over,
        departures=list(taken.departures),
    )


@asynccontextmanager
async def _turn(request: Request) -> AsyncIterator[None]:
    """Waits for one of the places for reading files."""
    state = request.app.state
    if not hasattr(state, "reply_files"):
        state.reply_files = asyncio.Semaphore(AT_ONCE)
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await state.reply_files.acquire()
    except TimeoutError:
        detail = "other response files are being read; nothing was stored, send the file again"
        raise Refusal(503, detail, headers={"Retry-After": str(RETRY_SECONDS)}) from None
    try:
        yield
    finally:
        state.reply_files.release()


def _take(parts: Parts, actor: Actor, body: bytes | bytearray) -> Taken:
    site = parts.site
    assert site is not None
    importer, now = PayerFileImporter(parts.db, parts.keys, lambda: site), parts.clock()
    digest = importer.digest(body)
    if importer.known(digest) is not None:
        FILES.labels(outcome="repeated").inc()
        raise Refusal(409, REPEATED)
    try:
        result = importer.take(body, now, actor.name, actor.facilities)
    except NotUsable as error:
        entry = _keep(parts, actor, body, str(error))
        raise Refusal(422, str(error), extra={"quarantine_id": entry}) from None
    importer.moved(digest, now)
    if result.beyond:
        parts.record(actor.name, "POST /v1/replies", "(event)", "denied")
    for receipt in result.receipts:
        counters.RECEIVED.labels(disposition=receipt.disposition.value).inc()
    FILES.labels(outcome="taken").inc()
    return result


def _keep(parts: Parts, actor: Actor, body: bytes | bytearray, reason: str) -> str:
    """Quarantines the file, encrypted, with an alert; the same file is kept once."""
    now = parts.clock()
    with parts.db.write() as session:
        serialize(session)
        kept = quarantine.keep_raw(session, parts.keys, body.decode("latin-1"), X12, reason, now, actor.name)
        open_once(session, None, alerts.reply_file_refused(kept.quarantine_id, reason), now)
    FILES.labels(outcome="quarantined").inc()
    return kept.quarantine_id
