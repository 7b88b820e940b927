"""Alerts: list, group by cause, acknowledge."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from app.api import reading
from app.api.actors import Actor
from app.api.answers import Acknowledgement, AlertAnswer, Alerts, CauseAnswer, Causes
from app.api.bodies import model_from
from app.api.parts import AlertAcknowledger, AlertReader, OneAlertReader, OutOfReach, PartsOf
from app.api.problems import Refusal, documented
from domain.alerts.causes import Group, grouped
from store.engine import Session
from store.queries import alerts as listing
from store.tables import AlertRecord, Encounter, sealed_for
from store.vault import audit

LARGEST_PAGE = 1000
UNKNOWN = "no alert has this ID"

router = APIRouter(tags=["alerts"])

State = Annotated[Literal["open", "acknowledged", "resolved"] | None, Query(description="Default: all states")]
Severity = Annotated[Literal["critical", "warning", "info"] | None, Query()]
Kind = Annotated[str | None, Query(max_length=100)]


@router.get(
    "/v1/encounters/{ref:path}/alerts", responses=documented(404, 409, 422), summary="Get the alerts of an encounter"
)
def get_encounter_alerts(ref: str, parts: PartsOf, actor: OneAlertReader, state: State = None) -> Alerts:
    """Returns every alert of the encounter, oldest first; resolved alerts stay listed."""
    encounter = reading.read_encounter(parts, actor, "alerts", ref)
    with parts.db.read() as session:
        rows = listing.alerts_of(session, encounter.encounter_id, state)
    return Alerts(alerts=[reading.alert_answer(row) for row in rows])


@router.get("/v1/alerts", responses=documented(422), summary="List alerts")
def list_alerts(
    parts: PartsOf, actor: AlertReader, state: State = None, severity: Severity = None, kind: Kind = None
) -> Alerts:
    """Returns the newest 1,000 alerts that the caller may see, by state, severity and kind."""
    with parts.db.write() as session:
        rows = listing.alerts(session, state, severity, kind)
        seen = list(islice((row for row in rows if _visible(session, actor, row)), LARGEST_PAGE))
        audit(session, actor.name, "alerts", "(list)", "read", parts.clock())
    return Alerts(alerts=[reading.alert_answer(row) for row in seen])


@router.get("/v1/alerts/causes", responses=documented(), summary="List unresolved alerts by cause")
def list_causes(parts: PartsOf, actor: AlertReader) -> Causes:
    """Returns unresolved alerts by cause: critical first, then by acknowledgment deadline."""
    with parts.db.write() as session:
        audit(session, actor.name, "alerts", "(causes)", "read", parts.clock())
        return Causes(causes=[cause_answer(group) for group in unresolved_groups(session, actor)])


def unresolved_groups(session: Session, actor: Actor) -> tuple[Group, ...]:
    """Returns the causes of unresolved alerts that the caller may see."""
    rows = listing.unresolved_alerts(session)
    if actor.facilities is not None:
        rows = [row for row in rows if _visible(session, actor, row)]
    return grouped(rows)


def cause_answer(group: Group) -> CauseAnswer:
    first = group.alerts[0]
    return CauseAnswer(
        cause=group.cause,
        severity=group.severity,
        title=first.title,
        action=first.action,
        citation=first.citation,
        owners=list(group.owners),
        open=group.open,
        encounters=list(group.encounters),
        oldest=group.oldest,
        acknowledge_by=group.acknowledge_by,
        alerts=[alert.alert_id for alert in group.alerts],
    )


def _visible(session: Session, actor: Actor, row: AlertRecord) -> bool:
    """Returns True if the actor may see the alert; alerts without encounter require all facilities."""
    if actor.facilities is None:
        return True
    encounter = session.get(Encounter, row.encounter_id) if row.encounter_id else None
    return encounter is not None and actor.sees(encounter.facilities)


BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Acknowledgement.model_json_schema()}}}
}


async def _taken(request: Request, actor: AlertAcknowledger) -> Acknowledgement:
    return await model_from(request, actor, Acknowledgement, "not a valid acknowledgment")


@router.post(
    "/v1/alerts/{alert_id}/acknowledge",
    responses=documented(400, 404, 409, 413, 422),
    openapi_extra=BODY,
    summary="Acknowledge an alert",
)
def acknowledge(
    alert_id: str, body: Annotated[Acknowledgement, Depends(_taken)], parts: PartsOf, actor: AlertAcknowledger
) -> AlertAnswer:
    """Acknowledges an alert, which resolves when its condition ends. Repeating changes nothing."""
    with parts.db.write() as session:
        row = session.get(AlertRecord, alert_id, with_for_update=True)
        if row is None:
            raise Refusal(404, UNKNOWN)
        if not _visible(session, actor, row):
            raise OutOfReach(actor, alert_id, UNKNOWN)
        if row.state == "resolved":
            raise Refusal(409, "this alert is already resolved")
        if row.state == "open":
            row.state, row.acknowledged_at, row.acknowledged_by = "acknowledged", parts.clock(), body.by
            if body.note:
                row.acknowledged_note = parts.keys.seal(
                    body.note.encode(), sealed_for("alerts.acknowledged_note", alert_id)
                )
            session.add(row)
            audit(session, actor.name, "acknowledge", alert_id, "acknowledged", parts.clock())
    return reading.alert_answer(row)
