"""Request bodies: read after the caller is known, within its limits, as strict JSON."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.actors import Actor, largest
from app.api.problems import FieldProblem, Refusal
from domain.events import problems_of
from intake.strict_json import NotJson, read_json

M = TypeVar("M", bound=BaseModel)


async def body_of(request: Request) -> bytes:
    """Returns the body, read once and up to the largest limit."""
    known: bytes | None = getattr(request.state, "body", None)
    if known is None:
        known = request.state.body = bytes(await _streamed(request, largest(request.url.path)))
    return known


async def body_from(request: Request, actor: Actor) -> bytes:
    """Returns the body, within the limit of its sender."""
    body, limit = await body_of(request), actor.limits.of(request.url.path)
    if len(body) > limit:
        raise too_large(limit)
    return body


async def file_from(request: Request, actor: Actor) -> bytes | bytearray:
    """Returns the body, within the limit of its sender; a large one is not copied."""
    if getattr(request.state, "body", None) is not None:
        return await body_from(request, actor)
    return await _streamed(request, actor.limits.of(request.url.path))


async def _streamed(request: Request, limit: int) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
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
