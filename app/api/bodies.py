"""Request bodies: read after the caller is known, within its limits, as strict JSON."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.actors import MAX_BODY, Actor
from app.api.problems import FieldProblem, Refusal
from domain.events import problems_of
from intake.strict_json import NotJson, read_json

M = TypeVar("M", bound=BaseModel)


async def body_of(request: Request) -> bytes:
    """Returns the body, read once and up to the largest limit."""
    known: bytes | None = getattr(request.state, "body", None)
    if known is not None:
        return known
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large(MAX_BODY)
    request.state.body = bytes(body)
    return bytes(body)


async def body_from(request: Request, actor: Actor) -> bytes:
    """Returns the body, within the limit of its sender."""
    body = await body_of(request)
    if len(body) > actor.limits.body:
        raise too_large(actor.limits.body)
    return body


async def json_from(request: Request, actor: Actor) -> Any:
    """Returns the JSON value of the body."""
    try:
        return read_json(await body_from(request, actor))
    except NotJson as error:
        raise Refusal(400, str(error)) from None


async def model_from(request: Request, actor: Actor, model: type[M], what: str) -> M:
    """Returns the body as a model.

    Raises:
        Refusal: 422 with the fields in error; `what` is the detail text.
    """
    try:
        return model.model_validate(await json_from(request, actor))
    except ValidationError as error:
        problems = [FieldProblem(path=one.path, message=one.message) for one in problems_of(error)]
        raise Refusal(422, what, problems) from None


def too_large(limit: int) -> Refusal:
    return Refusal(413, f"the request is too large; at most {limit} bytes. Send smaller batches")
