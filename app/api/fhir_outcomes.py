"""Answers to FHIR clients: an `OperationOutcome`, the resource of a `PUT`, or nothing; others get receipts as JSON.

A client that parses every answer as a resource (HAPI) takes any other JSON for a failed delivery, and sends it again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from intake.inbox.receive import Disposition, ReceiptResult

FHIR_JSON: Final = "application/fhir+json"
FHIR_TYPES: Final = frozenset({FHIR_JSON, "application/json+fhir", "application/fhir+xml", "application/xml+fhir"})
JSON_TYPES: Final = frozenset({"application/json", "application/problem+json"})
PATH: Final = "/v1/fhir"
MINIMAL: Final = "return=minimal"
OUTCOME: Final = "return=operationoutcome"

CODES: Final = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    409: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    501: "not-supported",
    503: "transient",
}
"""IssueType (https://hl7.org/fhir/R4/valueset-issue-type.html) of a refusal."""

ISSUES: Final = {
    Disposition.ACCEPTED: ("information", "informational"),
    Disposition.DUPLICATE: ("information", "duplicate"),
    Disposition.CONFLICT: ("warning", "conflict"),
    Disposition.QUARANTINED: ("information", "informational"),
    Disposition.INVALID: ("warning", "invalid"),
}


def wants_fhir(request: Request) -> bool:
    """True for a caller of the FHIR addresses that reads answers as FHIR: it says so, or sends FHIR and says nothing."""
    if not request.url.path.startswith(PATH):
        return False
    stated = dict(_accepted(request.headers.get("accept", "")))
    fhir = max((weight for name, weight in stated.items() if name in FHIR_TYPES), default=0.0)
    plain = max((weight for name, weight in stated.items() if name in JSON_TYPES), default=0.0)
    if fhir or plain:
        return fhir >= plain
    return _bare(request.headers.get("content-type", "")) in FHIR_TYPES


def answered(
    request: Request, receipts: Sequence[ReceiptResult], missing: Sequence[int], resource: Any = None
) -> Response:
    """The answer to what was stored.

    Args:
        resource: of a `PUT`: it is sent back as it came, unless something of it is to be said.
    """
    prefer = request.headers.get("prefer", "").replace(" ", "").lower()
    issues = [_issue(receipt) for receipt in receipts]
    if missing:
        text = f"notifications are missing: {len(missing)}; they are requested or alerted"
        issues.append({"severity": "warning", "code": "incomplete", "diagnostics": text})
    refused = bool(receipts) and all(_refused(receipt) for receipt in receipts)
    if refused:
        return _json(_outcome(issues), 403)
    if prefer == MINIMAL:
        return Response(status_code=200)
    if resource is not None and prefer != OUTCOME:
        return _json(resource, 200)
    nothing = {"severity": "information", "code": "informational", "diagnostics": "received"}
    return _json(_outcome(issues or [nothing]), 200)


def install(api: FastAPI) -> None:
    """Answer errors of the FHIR addresses as `OperationOutcome` where the caller reads FHIR; after `problems.install`."""
    for kind, handler in list(api.exception_handlers.items()):
        api.add_exception_handler(kind, _for_fhir(handler))


def _for_fhir(handler: Callable[..., Any]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        found = handler(request, error)
        response: Response = await found if isinstance(found, Awaitable) else found
        if not isinstance(response, JSONResponse) or not wants_fhir(request):
            return response
        return _refusal(json.loads(bytes(response.body)), response)

    return answer


def _refusal(problem: Mapping[str, Any], response: Response) -> Response:
    """Problem details as a FHIR client reads them; status and headers stay."""
    stated = [f"{one['path']}: {one['message']}" for one in problem.get("problems", ())]
    text = "; ".join([str(problem.get("detail", "")), *stated])
    issue = {"severity": "error", "code": CODES.get(response.status_code, "exception"), "diagnostics": text}
    kept = {name: value for name, value in response.headers.items() if name not in ("content-type", "content-length")}
    return _json(_outcome([issue]), response.status_code, kept)


def _issue(receipt: ReceiptResult) -> dict[str, Any]:
    severity, code = ISSUES[receipt.disposition]
    if _refused(receipt):
        severity, code = "error", "forbidden"
    reasons = "; ".join(receipt.reasons)
    what = "kept for a person" if severity == "warning" else receipt.disposition.value
    text = f"{what}: {reasons}" if reasons else what
    return {"severity": severity, "code": code, "diagnostics": text}


def _refused(receipt: ReceiptResult) -> bool:
    """Nothing of it was kept: its sender may not write there."""
    return receipt.disposition is Disposition.INVALID and receipt.quarantine_id is None


def _outcome(issues: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": issues}


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status, headers, media_type=FHIR_JSON)


def _accepted(header: str) -> Iterator[tuple[str, float]]:
    """Each media type with its weight."""
    for part in header.split(","):
        name, _, parameters = part.partition(";")
        weights = [one.strip()[2:] for one in parameters.split(";") if one.strip().startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            weight = 0.0
        yield _bare(name), weight


def _bare(content_type: str) -> str:
    return content_type.split(";", 1)[0].strip().lower()
