"""Content of an encounter page: timeline, gates, holds, claims with reasons, alerts, chain of identity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.api import reading
from app.api.actors import Actor
from app.api.answers import AlertAnswer, ClaimAnswer, ClaimElsewhere, CustodyLink, EncounterAnswer, Explanation
from app.api.explaining import explanations
from app.api.parts import Parts
from app.api.roles import Right
from app.board.cards import WAKE, entered, own_clock
from app.board.names import Names
from app.board.timeline_svg import Picture, draw
from domain.custody.ledger import Break
from store import chain
from store.engine import Session
from store.queries.alerts import alerts_of
from store.queries.claims import current_claims
from store.queries.custody import chain_links
from store.tables import CustodyRecord, Encounter


@dataclass(frozen=True)
class Custody:
    """The chain of identity: its records in effect, and the first broken link."""

    records: list[CustodyLink]
    links: int
    first_broken: int | None


@dataclass(frozen=True)
class Whole:
    """Everything that the page shows; parts without a right are None."""

    answer: EncounterAnswer
    facilities: list[str]
    since: datetime
    days: int
    picture: Picture
    deadlines: list[dict[str, Any]]
    alerts: list[AlertAnswer]
    claims: list[ClaimAnswer] | None
    elsewhere: list[ClaimElsewhere]
    custody: Custody | None
    reasons: dict[str, Explanation]


def whole(
    session: Session, parts: Parts, actor: Actor, encounter: Encounter, names: Names, *, emergency: bool = False
) -> Whole:
    """Returns the content of an encounter page; with `emergency` also what the actor's roles alone do not show."""
    records = chain_links(session, encounter.encounter_id)
    broken = chain.first_break(session, encounter.encounter_id, records)
    answer = reading.whole(encounter, broken is None)
    now = own_clock(parts.clock(), encounter.decided_at)
    milestones = encounter.view.get("milestones", [])
    since = entered(encounter.stage, milestones) or encounter.created_at
    rules = parts.rules() if parts.rules else None
    claims_shown = emergency or actor.may(Right.READ_CLAIMS)
    return Whole(
        answer=answer,
        facilities=[names.facility(key) for key in encounter.facilities],
        since=since,
        days=max(0, (now - since).days),
        picture=draw(milestones, now, answer.vein_to_vein_days),
        deadlines=[
            {"title": d.title, "due": d.due, "late": d.due < now, "stage": d.stage, "owner": names.owner(d.kind)}
            for d in sorted(answer.deadlines, key=lambda one: one.due)
            if d.kind != WAKE
        ],
        alerts=_alerts(session, encounter.encounter_id),
        claims=_claims(session, encounter.encounter_id) if claims_shown else None,
        elsewhere=reading.elsewhere(session, parts.keys, encounter.encounter_id),
        custody=_custody(records, broken) if emergency or actor.may(Right.READ_TIMELINE) else None,
        reasons={one.subject: one for one in explanations(session, encounter, rules, claims=claims_shown)},
    )


def _alerts(session: Session, encounter_id: str) -> list[AlertAnswer]:
    """Returns unresolved alerts before resolved ones, the newest first."""
    rows = sorted(alerts_of(session, encounter_id), key=lambda alert: alert.opened_at, reverse=True)
    return sorted((reading.alert_answer(row) for row in rows), key=lambda alert: alert.state == "resolved")


def _claims(session: Session, encounter_id: str) -> list[ClaimAnswer]:
    return [reading.claim_answer(row) for row in current_claims(session, encounter_id)]


def _custody(records: list[CustodyRecord], broken: Break | None) -> Custody:
    in_effect = [reading.custody_link(record) for record in chain.records_in_effect(records)]
    return Custody(in_effect, len(records), broken.position if broken else None)
