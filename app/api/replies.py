"""`POST /v1/replies`: a file of payers' answers (999, 277CA, 835) as it came."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from app.api import counters
from app.api.actors import Actor
from app.api.answers import ReplyFileAnswer
from app.api.bodies import body_from
from app.api.events import receipt_of
from app.api.parts import Parts, PartsOf
from app.api.problems import Refusal, documented
from app.api.senders import Sender
from domain.billing.x12.entries import NotUsable
from intake import alerts
from intake.inbox import quarantine
from intake.payer_files.directory import FILES
from intake.payer_files.importer import REPEATED, PayerFileImporter, Taken
from intake.replay import X12
from store.alerts import open_once
from store.engine import serialize

EDI = "application/edi-x12"
SCHEMA = {"type": "string", "description": "one X12 interchange: 005010X231A1, 005010X214 or 005010X221A1"}
BODY = {"requestBody": {"required": True, "content": {EDI: {"schema": SCHEMA}}}}

router = APIRouter(tags=["claims"])


@router.post(
    "/v1/replies",
    status_code=202,
    responses=documented(409, 413, 422, 501),
    openapi_extra=BODY,
    summary="Send a file of payers' answers",
)
async def post_replies(request: Request, parts: PartsOf, actor: Sender) -> ReplyFileAnswer:
    """A receipt per answer. A file that cannot be used waits in quarantine with its reason and gives 422; a copy gives 409."""
    if parts.site is None:
        raise Refusal(501, "this gateway has no site file; files of answers are taken in by its time zone")
    body = await body_from(request, actor)
    taken = await run_in_threadpool(_take, parts, actor, body)
    if parts.deliverer is not None:
        parts.deliverer.wake()
    return ReplyFileAnswer(receipts=[receipt_of(one) for one in taken.receipts], passed_over=taken.passed_over)


def _take(parts: Parts, actor: Actor, body: bytes) -> Taken:
    site = parts.site
    assert site is not None
    taker, now = PayerFileImporter(parts.db, parts.keys, lambda: site), parts.clock()
    digest = taker.digest(body)
    if taker.known(digest) is not None:
        FILES.labels(outcome="repeated").inc()
        raise Refusal(409, REPEATED)
    try:
        taken = taker.take(body, now, actor.name, actor.facilities)
    except NotUsable as error:
        entry = _keep(parts, actor, body, str(error))
        raise Refusal(422, str(error), extra={"quarantine_id": entry}) from None
    taker.moved(digest, now)
    if taken.beyond:
        parts.record(actor.name, "POST /v1/replies", "(event)", "denied")
    for receipt in taken.receipts:
        counters.RECEIVED.labels(disposition=receipt.disposition.value).inc()
    FILES.labels(outcome="taken").inc()
    return taken


def _keep(parts: Parts, actor: Actor, body: bytes, reason: str) -> str:
    """The file in quarantine, sealed, with an alert; sent again, it is kept once."""
    now = parts.clock()
    with parts.db.write() as session:
        serialize(session)
        kept = quarantine.keep_raw(session, parts.keys, body.decode("latin-1"), X12, reason, now, actor.name)
        open_once(session, None, alerts.reply_file_refused(kept.quarantine_id, reason), now)
    FILES.labels(outcome="quarantined").inc()
    return kept.quarantine_id
