"""Callers that may send events: with a token, or with signed requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from app.api import webhooks
from app.api.access import ANONYMOUS
from app.api.actors import Actor
from app.api.bodies import body_of
from app.api.parts import Credentials, Parts, admitted, caller, denied, parts_of, with_right
from app.api.roles import Right


async def sender(request: Request, credentials: Credentials) -> Actor:
    """Returns the sender of events, by token or by signature."""
    if credentials is None and webhooks.SIGNATURE in request.headers:
        body = await body_of(request)
        actor = await run_in_threadpool(_signer, request, body)
    else:
        actor = await run_in_threadpool(caller, request, credentials)
    return await run_in_threadpool(with_right, request, actor, Right.SEND_EVENTS)


def _signer(request: Request, body: bytes) -> Actor:
    parts: Parts = parts_of(request)
    headers = {name: request.headers.get(name, "") for name in (webhooks.ID, webhooks.TIMESTAMP, webhooks.SIGNATURE)}
    now = parts.clock()
    found = [actor for actor, hook in parts.access.webhooks if hook.signed(headers, body)]
    doubled = any(len(request.headers.getlist(name)) > 1 for name in headers)
    if not found or doubled or not headers[webhooks.ID]:
        raise denied(request, 401, ANONYMOUS, "unknown signature; sign with a secret of the access file")
    if not webhooks.is_fresh(headers, now):
        raise denied(request, 401, found[0].name, "the signature has expired, or a clock is wrong; sign again")
    actor = admitted(parts, found[0])
    with parts.db.write() as session:
        fresh = webhooks.first_time(session, parts.keys, actor.name, headers, now)
    if not fresh:
        raise denied(request, 401, actor.name, "this request was already received; sign each retry again")
    return actor


Sender = Annotated[Actor, Depends(sender)]
