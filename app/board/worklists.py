"""Worklists of roles: tasks grouped by encounter, the most urgent first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import and_, func
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from app.board.cards import Card, own_clock
from domain.billing.submission.versions import State
from store.tables import AlertRecord, ClaimVersion, CustodyRecord

PAYER_SAID_NO: Final = frozenset({State.DENIED.value, State.PARTLY_PAID.value})
TO_WORK: Final[Mapping[str, str]] = {
    State.HELD.value: "held and unbilled",
    State.REJECTED.value: "rejected",
    State.DENIED.value: "denied",
    State.PARTLY_PAID.value: "partly paid",
}


@dataclass(frozen=True, slots=True)
class Worklist:
    """A worklist and its owner roles."""

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
    """One task. `severity` is that of an alert, or `hold` or `claim`."""

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
    """The tasks of one encounter; without a card, of all facilities."""

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
    """Returns the tasks of a worklist for these encounters.

    Args:
        whole_house: include tasks that concern all facilities.
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
        reported = [hold for hold in causes.values() if hold]
        items = [
            *(_of_alert(alert, causes[alert.alert_id], now) for alert in mine),
            *(_of_hold(hold) for hold in holds if hold["owner"] in desk.owners and hold not in reported),
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
    """Returns the encounters with an unresolved alert or a claim that needs work."""
    alerts = select(AlertRecord.encounter_id).where(AlertRecord.state != "resolved")
    claims = select(ClaimVersion.encounter_id).where(col(ClaimVersion.state).in_(list(TO_WORK)))
    return {one for query in (alerts, claims) for one in session.exec(query) if one}


def _cause(alert: AlertRecord, holds: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the hold that an alert reports, if it reports one: its title ends with what the hold misses."""
    return next((hold for hold in holds if hold["missing"] and alert.title.endswith(hold["missing"])), None)


def _of_alert(alert: AlertRecord, cause: Mapping[str, Any] | None, now: datetime) -> Item:
    """Returns the task of an alert; of an alert about a hold, with the title and next step of the hold."""
    late = alert.state == "open" and alert.acknowledge_by < own_clock(now, alert.opened_at)
    return Item(
        alert.severity,
        cause["title"] if cause else alert.title,
        cause["fix"] if cause else alert.action,
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
    return Item("hold", hold["title"], hold["fix"], hold["owner"], hold["citation"])


def _claims(session: Session, now: datetime) -> dict[str, list[Item]]:
    """Returns the claims that need a biller: held by an edit, rejected, or denied in full or in part."""
    query = columns(
        col(ClaimVersion.encounter_id),
        col(ClaimVersion.letter),
        col(ClaimVersion.ordinal),
        col(ClaimVersion.total),
        col(ClaimVersion.error_count),
        col(ClaimVersion.state),
        col(ClaimVersion.standing),
    ).where(col(ClaimVersion.state).in_(list(TO_WORK)))
    found: dict[str, list[Item]] = {}
    for encounter_id, letter, ordinal, total, errors, state, standing in session.connection().execute(query):
        refused = standing.get("refused") if state in PAYER_SAID_NO else None
        money = f"${Decimal(refused or total):,.2f}"
        title = f"Claim {letter}/{ordinal} is {TO_WORK[state]}: {money}"
        text = standing.get("next") or f"{errors} error{'' if errors == 1 else 's'} to correct, listed on the claim."
        item = Item("claim", title, text, "biller", "", *_claim_due(state, standing, now), state=state)
        found.setdefault(encounter_id, []).append(item)
    return found


def _claim_due(state: str, standing: Mapping[str, Any], now: datetime) -> tuple[datetime | None, bool]:
    """Returns the last day to appeal or for timely filing, and whether it has passed."""
    text = standing.get("appeal_by" if state in PAYER_SAID_NO else "file_by")
    if not text:
        return None, False
    last = datetime.combine(date.fromisoformat(text), time(), UTC)
    return last, last.date() < now.date()


@dataclass(frozen=True, slots=True)
class Cells:
    """The last recorded location of an encounter's cells."""

    card: Card
    step: str
    at: datetime
    links: int


def cells(session: Session, cards: Iterable[Card]) -> list[Cells]:
    """Returns the last documented transfer of each encounter; only the last link of each chain is read."""
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
