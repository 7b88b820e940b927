"""Worklists: what each desk has to do, grouped by encounter, the most urgent first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final

from sqlalchemy import and_, func
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from app.board.cards import Card, own_clock
from domain.alerts.make import sentence
from domain.billing.submission.model import State
from domain.decision.holds import reports
from store.claims import Followed, followed
from store.tables import AlertRecord, ClaimVersion, CustodyRecord

PAYER_SAID_NO: Final = frozenset({State.DENIED.value, State.PARTLY_PAID.value})
TO_WORK: Final[Mapping[str, str]] = {
    State.HELD.value: "held and unbilled",
    State.REJECTED.value: "rejected",
    State.DENIED.value: "denied",
    State.PARTLY_PAID.value: "paid in part only",
}


@dataclass(frozen=True, slots=True)
class Worklist:
    """A worklist: whose work it is."""

    key: str
    title: str
    owners: frozenset[str]
    claims: bool = False
    custody: bool = False


DESKS: Final[Mapping[str, Worklist]] = {
    desk.key: desk
    for desk in (
        Worklist(
            "coordinator",
            "Coordinator",
            frozenset(
                {"coordinator", "authorization", "physician", "provider", "nurse", "site_administrator", "integration"}
            ),
        ),
        Worklist(
            "biller", "Biller", frozenset({"biller", "coder", "revenue_integrity", "revenue integrity"}), claims=True
        ),
        Worklist("lab", "Cell lab and pharmacy", frozenset({"cell_lab", "pharmacy", "lab"}), custody=True),
    )
}

FAR: Final = datetime.max.replace(tzinfo=UTC)
RANK: Final = {"critical": 0, "warning": 1, "hold": 2, "claim": 2, "info": 3}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do. `severity` is an alert's, or `hold` or `claim`."""

    severity: str
    title: str
    text: str
    owner: str
    citation: str
    due: datetime | None = None
    late: bool = False
    alert_id: str | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One encounter with what the desk has to do for it; without a card, what concerns the whole installation."""

    card: Card | None
    items: tuple[Item, ...]

    @property
    def rank(self) -> tuple[int, datetime, str]:
        dues = [item.due for item in self.items if item.due]
        return (
            min(RANK[item.severity] for item in self.items),
            min(dues, default=FAR),
            self.card.encounter_id if self.card else "",
        )


def tasks(
    session: Session,
    desk: Worklist,
    cards: Sequence[Card],
    views: Mapping[str, Mapping[str, Any]],
    now: datetime,
    whole_house: bool,
    claims_shown: bool,
) -> list[Task]:
    """The desk's work on these encounters.

    Args:
        whole_house: also what concerns none of them alone.
        claims_shown: the caller may read claims.
    """
    alerts = _alerts(session, desk)
    claims = _claims(session, now) if desk.claims and claims_shown else {}
    found = []
    if whole_house and "" in alerts:
        found.append(Task(None, tuple(_of_alert(alert, None, now) for alert in alerts[""])))
    for card in cards:
        mine = alerts.get(card.encounter_id, [])
        holds = _holds(views.get(card.encounter_id, {}))
        causes = {alert.alert_id: _cause(alert, holds) for alert in mine}
        said = [hold for hold in causes.values() if hold]
        items = [
            *(_of_alert(alert, causes[alert.alert_id], now) for alert in mine),
            *(_of_hold(hold) for hold in holds if hold["owner"] in desk.owners and hold not in said),
            *claims.get(card.encounter_id, ()),
        ]
        if items:
            found.append(Task(card, tuple(sorted(items, key=lambda item: (RANK[item.severity], item.title)))))
    return sorted(found, key=lambda task: task.rank)


def _alerts(session: Session, desk: Worklist) -> dict[str, list[AlertRecord]]:
    query = select(AlertRecord).where(AlertRecord.state != "resolved", col(AlertRecord.owner).in_(desk.owners))
    found: dict[str, list[AlertRecord]] = {}
    for alert in session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)):
        found.setdefault(alert.encounter_id or "", []).append(alert)
    return found


def concerned(session: Session) -> set[str]:
    """The encounters with an alert that stands or a claim to work on."""
    alerts = select(AlertRecord.encounter_id).where(AlertRecord.state != "resolved")
    claims = select(ClaimVersion.encounter_id).where(col(ClaimVersion.state).in_(list(TO_WORK)))
    return {one for query in (alerts, claims) for one in session.exec(query) if one}


def _cause(alert: AlertRecord, holds: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The hold that an alert reports, if it reports one."""
    return next((hold for hold in holds if reports(alert.key, hold["id"])), None)


def _of_alert(alert: AlertRecord, cause: Mapping[str, Any] | None, now: datetime) -> Item:
    """The alert; where it reports a hold, with what is missing and the fix of that very hold."""
    late = alert.state == "open" and alert.acknowledge_by < own_clock(now, alert.opened_at)
    return Item(
        alert.severity,
        alert.title,
        _missing(cause) if cause else alert.action,
        alert.owner,
        cause["citation"] if cause else alert.citation,
        alert.acknowledge_by if alert.state == "open" else None,
        late,
        alert.alert_id,
        alert.state,
    )


def _holds(view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [hold for hold in view.get("holds", ()) if not hold.get("override")]


def _of_hold(hold: Mapping[str, Any]) -> Item:
    return Item("hold", hold["title"], _missing(hold), hold["owner"], hold["citation"])


def _missing(hold: Mapping[str, Any]) -> str:
    """What a hold misses, and what to do."""
    return " ".join(filter(None, (sentence(f"missing: {hold['missing']}") if hold["missing"] else "", hold["fix"])))


def _claims(session: Session, now: datetime) -> dict[str, list[Item]]:
    """The claims that a biller must take up again: held by an edit, rejected, refused wholly or in part."""
    found: dict[str, list[Item]] = {}
    for one in followed(session, TO_WORK):
        refused = one.status.refused if one.state in PAYER_SAID_NO else None
        money = f"${refused if refused is not None else one.total:,.2f}"
        title = f"Claim {one.letter}/{one.ordinal} is {TO_WORK[one.state]}: {money}"
        errors = f"{one.error_count} error{'' if one.error_count == 1 else 's'}"
        text = one.status.next_title or f"{errors} to mend; the claim names each."
        item = Item("claim", title, text, "biller", "", *_claim_due(one, now), state=one.state)
        found.setdefault(one.encounter_id, []).append(item)
    return found


def _claim_due(claim: Followed, now: datetime) -> tuple[datetime | None, bool]:
    """The last day on which acting still helps, and whether it is over: of the appeal, or of timely filing."""
    day = claim.status.appeal_by if claim.state in PAYER_SAID_NO else claim.status.file_by
    if day is None:
        return None, False
    last = datetime.combine(day, time(), UTC)
    return last, last.date() < now.date()


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the cells of an encounter were last seen."""

    card: Card
    step: str
    at: datetime
    links: int


def cells(session: Session, cards: Iterable[Card]) -> list[Cells]:
    """The last documented hand-over of each encounter whose cells are under way. Only the last link is read of each chain."""
    by_id = {card.encounter_id: card for card in cards}
    newest = (
        func.row_number()
        .over(
            partition_by=col(CustodyRecord.encounter_id),
            order_by=(col(CustodyRecord.occurred).desc(), col(CustodyRecord.position).desc()),
        )
        .label("newest")
    )
    links = func.count().over(partition_by=col(CustodyRecord.encounter_id)).label("links")
    ranked = (
        columns(col(CustodyRecord.encounter_id), col(CustodyRecord.position), newest, links)
        .where(col(CustodyRecord.encounter_id).in_(list(by_id)))
        .subquery()
    )
    query = (
        columns(
            col(CustodyRecord.encounter_id),
            col(CustodyRecord.kind),
            col(CustodyRecord.content),
            col(CustodyRecord.occurred),
            ranked.c.links,
        )
        .join(
            ranked,
            and_(
                col(CustodyRecord.encounter_id) == ranked.c.encounter_id,
                col(CustodyRecord.position) == ranked.c.position,
            ),
        )
        .where(ranked.c.newest == 1)
        .order_by(col(CustodyRecord.occurred).desc(), col(CustodyRecord.encounter_id))
    )
    return [
        Cells(by_id[encounter_id], str(json.loads(content).get("step", kind)), occurred, count)
        for encounter_id, kind, content, occurred, count in session.connection().execute(query)
    ]
