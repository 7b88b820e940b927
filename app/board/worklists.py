"""Worklists of roles: tasks grouped by encounter, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final

from app.board.cards import Card, own_clock
from domain.alerts.make import sentence
from domain.billing.submission.model import State
from domain.decision.holds import reports
from store.claims import Followed, followed
from store.engine import Session
from store.queries.alerts import encounters_with_alerts, unresolved_of_owners
from store.queries.claims import encounters_with_claims
from store.queries.custody import last_transfers
from store.tables import AlertRecord

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


WORKLISTS: Final[Mapping[str, Worklist]] = {
    worklist.key: worklist
    for worklist in (
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
        Worklist("privacy", "Privacy officer", frozenset({"privacy"})),
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
    worklist: Worklist,
    cards: Sequence[Card],
    views: Mapping[str, Mapping[str, Any]],
    now: datetime,
    all_facilities: bool,
    claims_shown: bool,
) -> list[Task]:
    """Returns the tasks of a worklist for these encounters.

    Args:
        all_facilities: include tasks that concern all facilities.
        claims_shown: the caller may read claims.
    """
    alerts = _alerts(session, worklist)
    claims = _claims(session, now) if worklist.claims and claims_shown else {}
    found = []
    if all_facilities and "" in alerts:
        found.append(Task(None, tuple(_of_alert(alert, None, now) for alert in alerts[""])))
    for card in cards:
        mine = alerts.get(card.encounter_id, [])
        holds = _holds(views.get(card.encounter_id, {}))
        causes = {alert.alert_id: _cause(alert, holds) for alert in mine}
        reported = [hold for hold in causes.values() if hold]
        items = [
            *(_of_alert(alert, causes[alert.alert_id], now) for alert in mine),
            *(_of_hold(hold) for hold in holds if hold["owner"] in worklist.owners and hold not in reported),
            *claims.get(card.encounter_id, ()),
        ]
        if items:
            found.append(Task(card, tuple(sorted(items, key=lambda item: (RANK[item.severity], item.title)))))
    return sorted(found, key=lambda task: task.rank)


def _alerts(session: Session, worklist: Worklist) -> dict[str, list[AlertRecord]]:
    found: dict[str, list[AlertRecord]] = {}
    for alert in unresolved_of_owners(session, worklist.owners):
        found.setdefault(alert.encounter_id or "", []).append(alert)
    return found


def concerned(session: Session) -> set[str]:
    """Returns the encounters with an unresolved alert or a claim that needs work."""
    return encounters_with_alerts(session) | encounters_with_claims(session, TO_WORK)


def _cause(alert: AlertRecord, holds: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the hold that an alert reports, if it reports one: its title ends with what the hold misses."""
    return next((hold for hold in holds if reports(alert.key, hold["id"])), None)


def _of_alert(alert: AlertRecord, cause: Mapping[str, Any] | None, now: datetime) -> Item:
    """Returns the task of an alert; of an alert about a hold, with the title and next step of the hold."""
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
    """Returns the claims that need a biller: held by an edit, rejected, or denied in full or in part."""
    found: dict[str, list[Item]] = {}
    for one in followed(session, TO_WORK):
        refused = one.status.refused if one.state in PAYER_SAID_NO else None
        money = f"${refused if refused is not None else one.total:,.2f}"
        title = f"Claim {one.letter}/{one.ordinal} is {TO_WORK[one.state]}: {money}"
        errors = f"{one.error_count} error{'' if one.error_count == 1 else 's'}"
        text = one.status.next_title or f"{errors} to correct, listed on the claim."
        item = Item("claim", title, text, "biller", "", *_claim_due(one, now), state=one.state)
        found.setdefault(one.encounter_id, []).append(item)
    return found


def _claim_due(claim: Followed, now: datetime) -> tuple[datetime | None, bool]:
    """Returns the last day to appeal or for timely filing, and whether it has passed."""
    day = claim.status.appeal_by if claim.state in PAYER_SAID_NO else claim.status.file_by
    if day is None:
        return None, False
    last = datetime.combine(day, time(), UTC)
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
    return [Cells(by_id[one.encounter_id], one.step, one.at, one.links) for one in last_transfers(session, by_id)]
