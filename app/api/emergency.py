"""Emergency access ("break glass", 45 CFR 164.312(a)(2)(ii)): open one encounter for a limited time; list; review."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from app.api import reading
from app.api.actors import Actor
from app.api.answers import EmergencyEntry, EmergencyOpened, EmergencyPage, EmergencyReason
from app.api.bodies import model_from
from app.api.parts import AuditReader, EmergencyUser, OutOfReach, Parts, PartsOf, denied
from app.api.problems import Refusal, documented
from store.emergency import Reviewable, grant, listed, review, shown
from store.engine import Session
from store.tables import EmergencyAccess, Encounter
from store.vault import audit, person_of

PAGE = 200
LARGEST_PAGE = 1000
ACTION = "emergency access"
UNKNOWN = "no emergency access has this ID"
REVIEWED_BY_ANOTHER = "whoever opened an encounter in an emergency does not review it; another person must"

router = APIRouter(tags=["emergency access"])

BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": EmergencyReason.model_json_schema()}}}
}


async def _taken(request: Request, actor: EmergencyUser) -> EmergencyReason:
    return await model_from(request, actor, EmergencyReason, "not a valid reason")


@router.post(
    "/v1/encounters/{ref:path}/emergency-access",
    status_code=201,
    responses=documented(400, 404, 409, 413, 422),
    openapi_extra=BODY,
    summary="Open an encounter in an emergency",
)
def open_encounter(
    ref: str, body: Annotated[EmergencyReason, Depends(_taken)], parts: PartsOf, actor: EmergencyUser
) -> EmergencyOpened:
    """Opens one encounter to the caller for an hour, to read: also of another facility, also without the role.

    Every read is audited under the ID of this access. An alert asks for a review.
    """
    access = opened(parts, actor, ref, body.reason)
    return EmergencyOpened(access_id=access.access_id, encounter_id=access.encounter_id, until=access.until)


def opened(parts: Parts, actor: Actor, reference: str, reason: str) -> EmergencyAccess:
    """Opens an encounter to an actor; audited, also for an unknown one.

    Raises:
        Refusal: 404 if there is no such encounter, 409 if there are several.
    """
    with parts.db.write() as session:
        try:
            encounter = reading.only(reading.known(session, parts, reference), reference)
        except Refusal as refusal:
            failed = refusal
        else:
            access = grant(session, parts.keys, encounter.encounter_id, actor.name, reason, parts.clock())
            audit(session, actor.name, ACTION, encounter.encounter_id, f"opened {access.access_id}", parts.clock())
            return access
        audit(session, actor.name, ACTION, "(unknown)", "refused", parts.clock())
    raise failed


@router.get("/v1/emergency-access", responses=documented(404, 422), summary="List emergency accesses")
def list_accesses(
    parts: PartsOf,
    actor: AuditReader,
    after: Annotated[str | None, Query(description="`next` of the previous page", max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
) -> EmergencyPage:
    """Returns emergency accesses with reason, number of reads and review, the newest first.

    A caller with some facilities sees those to encounters there; a page may then be shorter than `limit`.
    """
    with parts.db.write() as session:
        last = session.get(EmergencyAccess, after) if after else None
        if after and last is None:
            raise Refusal(404, "`after` must be the `next` of a page")
        rows = listed(session, parts.keys, limit + 1, last)
        following = rows[limit - 1].access.access_id if len(rows) > limit else None
        entries = [_entry(session, parts, row) for row in rows[:limit] if _concerns(session, actor, row.access)]
        audit(session, actor.name, "emergency accesses", "(list)", "read", parts.clock())
    return EmergencyPage(entries=entries, next=following)


@router.post("/v1/emergency-access/{access_id}/review", responses=documented(404), summary="Review an emergency access")
def review_access(access_id: str, request: Request, parts: PartsOf, actor: AuditReader) -> EmergencyEntry:
    """Notes that reason and reads were compared: the alert is resolved, and an access that is still open ends.

    Not by the person who opened it. Repeating changes nothing.
    """
    with parts.db.write() as session:
        access = session.get(EmergencyAccess, access_id, with_for_update=True)
        if access is None:
            raise Refusal(404, UNKNOWN)
        if not _concerns(session, actor, access):
            raise OutOfReach(actor, access.encounter_id, UNKNOWN)
        own = access.actor == actor.name
        if not own and access.reviewed_at is None:
            review(session, access, actor.name, parts.clock())
            outcome = f"reviewed {access_id}"
            audit(session, actor.name, "review emergency access", access.encounter_id, outcome, parts.clock())
        entry = _entry(session, parts, shown(session, parts.keys, [access])[0])
    if own:
        raise denied(request, 403, actor.name, REVIEWED_BY_ANOTHER)
    return entry


def _concerns(session: Session, actor: Actor, access: EmergencyAccess) -> bool:
    return actor.sees(session.get_one(Encounter, access.encounter_id).facilities)


def _entry(session: Session, parts: Parts, one: Reviewable) -> EmergencyEntry:
    access = one.access
    return EmergencyEntry(
        access_id=access.access_id,
        encounter_id=access.encounter_id,
        actor=access.actor,
        person=person_of(session, parts.keys, access.actor),
        reason=one.reason,
        opened_at=access.opened_at,
        until=access.until,
        reads=one.reads,
        reviewed=access.reviewed_at is not None,
        reviewed_at=access.reviewed_at,
        reviewed_by=access.reviewed_by,
    )
