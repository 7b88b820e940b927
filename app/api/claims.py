"""Claims of an encounter: all of them, one, its history."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request

from app.api import reading
from app.api.answers import ClaimAnswer, Claims
from app.api.parts import ClaimReader, Parts, PartsOf
from app.api.problems import Refusal, documented

X12 = "application/edi-x12"

router = APIRouter(tags=["claims"])

Letter = Literal["A", "B", "C", "D"]
History = Annotated[bool, Query(description="every version, superseded and withdrawn ones too")]
Ordinal = Annotated[int, Path(ge=1, le=99)]


@router.get("/v1/encounters/{ref}/claims", responses=documented(404, 409, 422), summary="The claims of an encounter")
def get_claims(ref: str, parts: PartsOf, actor: ClaimReader, history: History = False) -> Claims:
    """The current version of each claim, in order of letter and ordinal."""
    encounter = reading.read_encounter(parts, actor, "claims", ref)
    with parts.db.read() as session:
        rows = reading.claims(session, encounter.encounter_id, history=history)
    return Claims(encounter_id=encounter.encounter_id, claims=[reading.claim_answer(row) for row in rows])


@router.get(
    "/v1/encounters/{ref}/claims/{letter}",
    responses=documented(404, 409, 422, 501),
    summary="The first claim of a letter",
)
def get_claim(ref: str, letter: Letter, request: Request, parts: PartsOf, actor: ClaimReader) -> ClaimAnswer:
    """The current version of the first claim of that letter."""
    return _claim(
        parts, actor.name, reading.read_encounter(parts, actor, "claim", ref).encounter_id, letter, None, request
    )


@router.get(
    "/v1/encounters/{ref}/claims/{letter}/{ordinal}", responses=documented(404, 409, 422, 501), summary="One claim"
)
def get_claim_of_ordinal(
    ref: str, letter: Letter, ordinal: Ordinal, request: Request, parts: PartsOf, actor: ClaimReader
) -> ClaimAnswer:
    """The current version of one claim."""
    encounter = reading.read_encounter(parts, actor, "claim", ref)
    return _claim(parts, actor.name, encounter.encounter_id, letter, ordinal, request)


def _claim(
    parts: Parts, _actor: str, encounter_id: str, letter: str, ordinal: int | None, request: Request
) -> ClaimAnswer:
    if X12 in request.headers.get("accept", ""):
        raise Refusal(501, "claims are not rendered as X12 yet; ask for application/json")
    with parts.db.read() as session:
        rows = reading.claims(session, encounter_id, letter, ordinal)
    if not rows:
        raise Refusal(404, "this encounter has no such claim")
    return reading.claim_answer(rows[0])
