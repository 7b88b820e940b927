"""Encounters: list, details, timeline, holds, explanations."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query

from app.api import reading
from app.api.answers import EncounterAnswer, EncounterPage, Explanations, Holds, MilestoneAnswer, Timeline
from app.api.explaining import explanations
from app.api.parts import EncounterReader, OneEncounterReader, OneTimelineReader, PartsOf
from app.api.problems import documented
from app.api.query_params import one_of
from app.api.roles import Right
from domain.encounter.model import HoldKind
from domain.events.governance import Layer
from store.chain import first_break, records_in_effect
from store.queries.custody import chain_links
from store.queries.encounters import encounters
from store.tables import Encounter

PAGE = 100
LARGEST_PAGE = 1000

router = APIRouter(tags=["encounters"])

HOLD_KINDS = get_args(HoldKind)
RULE = r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+"
Hold = Annotated[
    str | None,
    Query(
        description=f"An open hold: kind ({', '.join(HOLD_KINDS)}), layer ({', '.join(Layer)}), rule ID or hold ID",
        max_length=100,
        json_schema_extra={"pattern": f"^({'|'.join((*HOLD_KINDS, *Layer))}|{RULE})$"},
    ),
]
StageName = Literal["apheresis", "manufacturing", "lymphodepletion", "infusion", "monitoring", "closed"]


@router.get("/v1/encounters", responses=documented(422), summary="List encounters")
def list_encounters(
    parts: PartsOf,
    actor: EncounterReader,
    stage: StageName | None = None,
    hold: Hold = None,
    after: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
) -> EncounterPage:
    """Returns encounters by stage and open holds, in order of ID."""
    hold = hold or None
    if hold is not None and re.fullmatch(RULE, hold) is None:
        one_of("hold", hold, [*HOLD_KINDS, *Layer, "a rule ID or hold ID"])
    filtered = hold is not None or actor.facilities is not None
    with parts.db.read() as session:
        rows = encounters(session, stage, hold is not None, after, None if filtered else limit + 1)
    kept = [row for row in rows if actor.sees(row.facilities) and (hold is None or _holds(row, hold))]
    following = kept[limit - 1].encounter_id if len(kept) > limit else None
    parts.record(actor.name, "encounters", "(list)", "read")
    return EncounterPage(encounters=[reading.summary(row) for row in kept[:limit]], next=following)


def _holds(row: Encounter, name: str) -> bool:
    fields = ("kind", "layer", "rule", "id")
    return any(name in (hold.get(field) for field in fields) for hold in reading.open_holds(row))


@router.get("/v1/encounters/{ref:path}/timeline", responses=documented(404, 409), summary="Get the chain of identity")
def get_timeline(ref: str, parts: PartsOf, actor: OneTimelineReader) -> Timeline:
    """Returns the records in effect, in clinical order, and every link as appended; each call checks the hashes."""
    encounter = reading.read_encounter(parts, actor, "timeline", ref)
    with parts.db.read() as session:
        records = chain_links(session, encounter.encounter_id)
        broken = first_break(session, encounter.encounter_id, records)
    return Timeline(
        encounter_id=encounter.encounter_id,
        verified=broken is None,
        first_broken=broken.position if broken else None,
        milestones=[MilestoneAnswer(**milestone) for milestone in encounter.view.get("milestones", ())],
        records=[reading.custody_link(record) for record in records_in_effect(records)],
        links=[reading.custody_link(record) for record in records],
    )


@router.get("/v1/encounters/{ref:path}/holds", responses=documented(404, 409), summary="Get the holds of an encounter")
def get_holds(ref: str, parts: PartsOf, actor: OneEncounterReader) -> Holds:
    """Returns every hold with owner, what is missing and the next step; overridden holds stay listed."""
    encounter = reading.read_encounter(parts, actor, "holds", ref)
    return Holds(encounter_id=encounter.encounter_id, holds=encounter.view.get("holds", []))


@router.get("/v1/encounters/{ref:path}/explain", responses=documented(404, 409), summary="Explain an encounter")
def get_explanations(ref: str, parts: PartsOf, actor: OneEncounterReader) -> Explanations:
    """Returns rule, dates, source and events of every claim line, hold and alert.

    Claim lines require the right to read claims.
    """
    encounter = reading.read_encounter(parts, actor, "explain", ref)
    with parts.db.read() as session:
        found = explanations(
            session,
            encounter,
            parts.rules() if parts.rules else None,
            claims=actor.may(Right.READ_CLAIMS)
            or reading.emergency_access(session, parts, actor, encounter) is not None,
        )
    return Explanations(encounter_id=encounter.encounter_id, explanations=found)


@router.get("/v1/encounters/{ref:path}", responses=documented(404, 409), summary="Get an encounter")
def get_encounter(ref: str, parts: PartsOf, actor: OneEncounterReader) -> EncounterAnswer:
    """Returns stage, gates, holds, milestones and deadlines. `ref` is the encounter ID or any identifier."""
    encounter = reading.read_encounter(parts, actor, "encounter", ref)
    with parts.db.read() as session:
        records = chain_links(session, encounter.encounter_id)
        broken = first_break(session, encounter.encounter_id, records)
    return reading.whole(encounter, broken is None)
