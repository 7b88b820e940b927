"""Claims of an encounter: list, details, history, files and forms."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from activities.billing.render import CannotRender, load_files, mode_of
from app.api import reading
from app.api.actors import Actor
from app.api.answers import ClaimAnswer, Claims
from app.api.parts import OneClaimReader, Parts, PartsOf
from app.api.problems import Refusal, documented
from domain.billing.claim_form import STYLE, Issue, form_view
from domain.billing.submission.model import ORIGINAL
from domain.rulebook.book import NoRule
from store.claims import ClaimKey, claim_of
from store.emergency import outcome_of
from store.queries.claims import claim_history, current_claims
from store.tables import ClaimVersion, Encounter, Transmission
from store.vault import audit

X12, PAGE, JSON = "application/edi-x12", "text/html", "application/json"
DRAWING = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content policy of a claim form: only its own style, by hash."""
FILES: dict[int | str, dict[str, Any]] = {
    **documented(404, 409, 422),
    200: {
        "description": "The claim as JSON; as X12 its 837, as sent or to be sent; as HTML its form",
        "content": {X12: {"schema": {"type": "string"}}, PAGE: {"schema": {"type": "string"}}},
    },
}

router = APIRouter(tags=["claims"])

Letter = Literal["A", "B", "C", "D"]
History = Annotated[bool, Query(description="Include superseded and withdrawn versions")]
Ordinal = Annotated[int, Path(ge=1, le=99)]


@router.get(
    "/v1/encounters/{ref:path}/claims", responses=documented(404, 409, 422), summary="Get the claims of an encounter"
)
def get_claims(ref: str, parts: PartsOf, actor: OneClaimReader, history: History = False) -> Claims:
    """Returns the current version of each claim by letter and ordinal, and claims of another system before the cutover."""
    encounter = reading.read_encounter(parts, actor, "claims", ref)
    with parts.db.read() as session:
        listed = claim_history if history else current_claims
        rows = listed(session, encounter.encounter_id)
        elsewhere = reading.elsewhere(session, parts.keys, encounter.encounter_id)
    return Claims(
        encounter_id=encounter.encounter_id,
        claims=[reading.claim_answer(row) for row in rows],
        elsewhere=elsewhere,
    )


@router.get(
    "/v1/encounters/{ref:path}/claims/{letter}",
    responses=FILES,
    response_model=ClaimAnswer,
    summary="Get the first claim of a letter",
)
def get_claim(
    ref: str, letter: Letter, request: Request, parts: PartsOf, actor: OneClaimReader
) -> ClaimAnswer | Response:
    """Returns the first claim of a letter; with `Accept: application/edi-x12` its 837, with `text/html` its form."""
    encounter = reading.read_encounter(parts, actor, "claim", ref)
    return _claim(parts, actor, encounter, current_row(parts, encounter.encounter_id, letter, None), request)


@router.get(
    "/v1/encounters/{ref:path}/claims/{letter}/{ordinal}",
    responses=FILES,
    response_model=ClaimAnswer,
    summary="Get a claim",
)
def get_claim_of_ordinal(
    ref: str, letter: Letter, ordinal: Ordinal, request: Request, parts: PartsOf, actor: OneClaimReader
) -> ClaimAnswer | Response:
    """Returns the current version of a claim; with `Accept: application/edi-x12` its 837, with `text/html` its form."""
    encounter = reading.read_encounter(parts, actor, "claim", ref)
    return _claim(parts, actor, encounter, current_row(parts, encounter.encounter_id, letter, ordinal), request)


def current_row(parts: Parts, encounter_id: str, letter: str, ordinal: int | None) -> ClaimVersion:
    """Returns the current version of a claim.

    Raises:
        Refusal: the encounter has no such claim.
    """
    with parts.db.read() as session:
        rows = current_claims(session, encounter_id, letter, ordinal)
    if not rows:
        raise Refusal(404, "claim not found; claims of another system are listed under /claims")
    return rows[0]


def _claim(
    parts: Parts, actor: Actor, encounter: Encounter, row: ClaimVersion, request: Request
) -> ClaimAnswer | Response:
    accepted = request.headers.get("accept", "")
    if X12 in accepted:
        return Response(_file(parts, actor, encounter, row), media_type=X12)
    if PAGE in accepted and JSON not in accepted:
        return drawn(parts, row)
    return reading.claim_answer(row)


def drawn(parts: Parts, row: ClaimVersion) -> HTMLResponse:
    """Returns the form of a version as a page with its own style only."""
    number = None
    if row.frequency != ORIGINAL and parts.site is not None and parts.rules is not None:
        with parts.db.read() as session:
            files = load_files(session, parts.keys, parts.rules(), parts.site, _key(row))
        number = files.number_named(row.version)
    page = form_view(claim_of(row), Issue(row.control_number, row.frequency, row.state, number))
    return HTMLResponse(page, headers={"Content-Security-Policy": DRAWING, "Cache-Control": "no-store"})


def _file(parts: Parts, actor: Actor, encounter: Encounter, row: ClaimVersion) -> str:
    """Returns the 837 with the patient's identity from the vault; audited."""
    if parts.site is None or parts.rules is None:
        raise Refusal(409, "this gateway has no site file or rulebook, which an 837 requires; request application/json")
    try:
        with parts.db.write() as session:
            files = load_files(session, parts.keys, parts.rules(), parts.site, _key(row))
            sent = session.get(Transmission, (*_key(row), row.version))
            numbers = files.numbers(sent) if sent else files.preview_numbers(row.version)
            mode = sent.mode if sent else mode_of(claim_of(row), parts.site)
            text = files.text(row.version, numbers, mode)
            outcome = outcome_of(reading.emergency_access(session, parts, actor, encounter))
            audit(session, actor.name, "claim_file", row.encounter_id, outcome, parts.clock())
    except (CannotRender, NoRule) as error:
        raise Refusal(409, str(error)) from None
    return text


def _key(row: ClaimVersion) -> ClaimKey:
    return row.encounter_id, row.letter, row.ordinal
