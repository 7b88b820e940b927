"""Claim worklists: unbilled, held, unacknowledged and denied claims with days, amounts, owner and next step.

HTTP interface and board share them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from app.api.actors import Actor
from app.api.answers import Worklist, WorklistEntry
from domain.billing.submission.model import VOID, State
from store.claims import status_of
from store.engine import Session
from store.queries.alerts import unresolved_of_kinds
from store.queries.claims import claims_in
from store.queries.encounters import encounters
from store.tables import AlertRecord, ClaimVersion, Encounter, Transmission

Name = Literal["unbilled", "held", "unacknowledged", "denied"]

STATES: Final[Mapping[str, frozenset[str]]] = {
    "unbilled": frozenset({State.HELD, State.EMITTED, State.REJECTED}),
    "held": frozenset({State.HELD}),
    "unacknowledged": frozenset({State.TRANSMITTED, State.ACKNOWLEDGED, State.VOIDED}),
    "denied": frozenset({State.DENIED, State.PARTLY_PAID}),
}
PAYERS_WORD: Final = frozenset({"277CA", "835"})
"""Answers by which a payer says that it has the claim; a 999 only says that the file could be read."""

CAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "unbilled": (
        "claim_void_rejected",
        "claim_rejected",
        "claim_unsendable",
        "claim_replacement_waiting",
        "claim_filing_ending",
    ),
    "held": ("claim_filing_ending",),
    "unacknowledged": ("claim_277ca_overdue", "claim_999_overdue"),
    "denied": ("claim_denied", "claim_taken_back", "claim_appeal_ending"),
}
"""Alerts of a claim with its next step; the first unresolved one counts."""

WAITING, BILLER, CODER = "waiting", "biller", "coder"


def worklist(session: Session, name: Name, actor: Actor, now: datetime) -> Worklist:
    """Returns a worklist for a caller, the longest waiting first."""
    entries = sorted(_entries(session, name, actor, now), key=_order)
    total = sum((entry.total for entry in entries), Decimal(0))
    return Worklist(name=name, as_of=now, claims=len(entries), total=total, entries=entries)


def _order(entry: WorklistEntry) -> tuple[int, str, str]:
    return (-entry.days, entry.encounter_id, entry.claim)


def _entries(session: Session, name: str, actor: Actor, now: datetime) -> Iterator[WorklistEntry]:
    seen = {row.encounter_id: row for row in encounters(session) if actor.sees(row.facilities)}
    mine = [row for row in claims_in(session, STATES[name]) if row.encounter_id in seen and _belongs(name, row)]
    alerts = _alerts(session, name, {row.encounter_id for row in mine})
    for row in mine:
        yield _entry(session, name, row, alerts.get((row.encounter_id, f"{row.letter}/{row.ordinal}"), {}), now)
    if name == "unbilled":
        for encounter in seen.values():
            yield from _waiting(encounter, now)


def _belongs(name: str, row: ClaimVersion) -> bool:
    """A void bills nothing, but a claim may wait behind it; one that only a 999 answered is not acknowledged by its payer."""
    if name == "unbilled":
        return row.frequency != VOID or status_of(row).rebill is not None
    if name != "unacknowledged":
        return True
    status = status_of(row)
    return not status.unanswered_in_shadow and not PAYERS_WORD & set(status.response_kinds)


def _alerts(session: Session, name: str, encounters: Collection[str]) -> dict[tuple[str, str], dict[str, AlertRecord]]:
    """Returns the unresolved alerts of a list's claims, by encounter and claim, then by kind."""
    found: dict[tuple[str, str], dict[str, AlertRecord]] = {}
    for alert in unresolved_of_kinds(session, CAUSES[name]):
        if alert.encounter_id in encounters:
            claim = alert.key.split(".")[1]
            found.setdefault((alert.encounter_id or "", claim), {})[alert.kind] = alert
    return found


def _entry(
    session: Session, name: str, row: ClaimVersion, alerts: Mapping[str, AlertRecord], now: datetime
) -> WorklistEntry:
    since, due = _since(session, name, row), _due(name, row)
    errors = [edit for edit in row.document.get("edits", ()) if edit["severity"] == "error"]
    cause = next((alerts[kind] for kind in CAUSES[name] if kind in alerts), None)
    status = status_of(row)
    money = status.refused if name == "denied" and status.refused is not None else row.total
    key = f"{row.letter}/{row.ordinal}"
    rebill = status.rebill if row.frequency == VOID else None
    return WorklistEntry(
        encounter_id=row.encounter_id,
        claim=key,
        version=row.version,
        state=row.state,
        payer=rebill.payer if rebill else row.payer,
        total=rebill.total if rebill else money,
        since=since,
        days=max((now.date() - since).days, 0),
        owner=_owner(row, errors, cause),
        waits_for=[*(["the void of the claim before it"] if rebill else []), *_waits_for(row, errors, cause)],
        due=due,
        days_left=(due - now.date()).days if due else None,
        reason=cause.title.removeprefix(f"Claim {key}: ") if cause else None,
        fix=_fix(row, errors, cause),
        denial=cause.denial if cause else None,
        citation=_citation(row, errors, cause),
        paid=status.paid,
        lines=list(status.refused_lines) if name == "denied" else [],
        packet=f"/v1/encounters/{row.encounter_id}/claims/{key}/packet" if name == "denied" else None,
    )


def _holding(row: ClaimVersion, errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return errors[0] if errors and row.state == State.HELD else None


def _owner(row: ClaimVersion, errors: Sequence[Mapping[str, Any]], cause: AlertRecord | None) -> str:
    holding = _holding(row, errors)
    return str(holding["owner"]) if holding else cause.owner if cause else BILLER


def _fix(row: ClaimVersion, errors: Sequence[Mapping[str, Any]], cause: AlertRecord | None) -> str | None:
    holding = _holding(row, errors)
    return str(holding["fix"]) if holding else cause.action if cause else None


def _citation(row: ClaimVersion, errors: Sequence[Mapping[str, Any]], cause: AlertRecord | None) -> str | None:
    holding = _holding(row, errors)
    return str(holding["citation"]) if holding else cause.citation if cause else None


def _waits_for(row: ClaimVersion, errors: Sequence[Mapping[str, Any]], cause: AlertRecord | None) -> list[str]:
    """Returns why the claim is held, else what it waits for."""
    if _holding(row, errors):
        return [edit["message"] for edit in errors]
    title = status_of(row).next_title
    return [title] if title else []


def _since(session: Session, name: str, row: ClaimVersion) -> date:
    """Returns the date from which the list counts: end of service, build, transmission or remittance."""
    if name == "unbilled":
        rebill = status_of(row).rebill if row.frequency == VOID else None
        return rebill.through if rebill else date.fromisoformat(row.document["statement_through"])
    if name == "unacknowledged":
        sent = session.get(Transmission, (row.encounter_id, row.letter, row.ordinal, row.version))
        return (sent.created_at if sent else row.built_at).date()
    remitted = status_of(row).remitted_at if name == "denied" else None
    return remitted.date() if remitted else row.built_at.date()


def _due(name: str, row: ClaimVersion) -> date | None:
    """Returns the last day to appeal or for timely filing."""
    status = status_of(row)
    return status.appeal_by if name == "denied" else status.file_by


def _waiting(encounter: Encounter, now: datetime) -> Iterator[WorklistEntry]:
    """Yields claims without a version, since documents are missing."""
    view: Mapping[str, Any] = encounter.view
    for claim, amounts in zip(view.get("claims_waiting", ()), view.get("unbilled", ()), strict=False):
        through = date.fromisoformat(amounts["through"])
        if through > now.date():
            continue
        yield WorklistEntry(
            encounter_id=encounter.encounter_id,
            claim=claim["claim"],
            version=None,
            state=WAITING,
            payer=encounter.payer,
            total=Decimal(amounts["total"]),
            since=through,
            days=(now.date() - through).days,
            owner=CODER,
            waits_for=claim["waiting_for"],
            due=None,
            days_left=None,
        )
