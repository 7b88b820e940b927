"""Errors as `application/problem+json` (RFC 9457). A message names fields and fixes, never a received value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from store.engine import DatabaseError, NotStorable, StatementFailed

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 5

log = structlog.get_logger(__name__)

TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "No valid token",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not available in this format",
    409: "Conflict",
    413: "Too large",
    415: "Content type not supported",
    422: "Not valid",
    429: "Too many requests",
    500: "Gateway failure",
    501: "Not configured",
    503: "Temporarily unavailable",
}


class FieldProblem(BaseModel):
    """The error of one field and its fix."""

    path: str
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    problems: list[FieldProblem] = Field(default_factory=list)


class Refusal(Exception):
    """An error response, raised anywhere below an endpoint."""

    def __init__(
        self,
        status: int,
        detail: str,
        problems: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.problems = status, detail, tuple(problems)
        self.headers, self.extra = dict(headers or {}), dict(extra or {})


def answer(refusal: Refusal) -> JSONResponse:
    """Returns the response of a refusal; `extra` are extension members (RFC 9457)."""
    body = ProblemDetails(
        title=TITLES.get(refusal.status, "Error"),
        status=refusal.status,
        detail=refusal.detail,
        problems=list(refusal.problems),
    )
    content = body.model_dump(mode="json") | refusal.extra
    return JSONResponse(content, refusal.status, refusal.headers, media_type=PROBLEM_JSON)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the error responses of an endpoint for OpenAPI, with those of every endpoint."""
    every = sorted({401, 403, 422, 429, 500, 503, *statuses})
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"model": ProblemDetails, "description": TITLES[status], "content": {PROBLEM_JSON: schema}}
        for status in every
    }


def install(api: FastAPI) -> None:
    """Adds handlers that return every error as problem details."""
    api.add_exception_handler(Refusal, _refusal)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(DatabaseError, _database)


async def _refusal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return answer(error)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = TITLES.get(error.status_code, "Error")
    return answer(Refusal(error.status_code, detail, headers=error.headers))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        FieldProblem(path=".".join(str(step) for step in entry["loc"]), message=str(entry["msg"]))
        for entry in error.errors()
    ]
    return answer(Refusal(422, "a parameter or field is not valid", problems))


async def _database(request: Request, error: Exception) -> JSONResponse:
    return answer(of_database(request, error))


def of_database(request: Request, error: Exception) -> Refusal:
    """Returns the refusal of a database error; only its class is logged, never a value."""
    log.warning("gateway.database", error=type(error).__name__)
    if isinstance(error, NotStorable):
        return Refusal(422, "a value cannot be stored: it contains an invalid character; remove it")
    if not isinstance(error, StatementFailed):
        return Refusal(500, "the gateway failed; see its log")
    reading = request.method in ("GET", "HEAD")
    detail = "the database does not respond; try again" if reading else "nothing was stored; send the request again"
    return Refusal(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})
