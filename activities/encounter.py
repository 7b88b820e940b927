"""The activities of `CarTEncounter`. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter as Metric
from sqlmodel import Session, col, select
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.decisions import DecisionService, claim_marks
from activities.encounter_plan import plan_of, with_obsolete_claims, with_replies
from activities.encounter_view import view_of
from domain.decision.model import Decision
from store.alerts import reconcile_alerts
from store.chain import append_custody
from store.claims import open_claims
from store.step_log import tell
from store.tables import Encounter, EncounterEvent
from workflows.messages import (
    ClaimIntent,
    ClaimQuestion,
    ClaimStart,
    Plan,
    Question,
)
from workflows.names import CLAIM_SIGNAL, CLAIM_TYPE, TASK_QUEUE, claim_workflow_id

DECISIONS = Metric("cart_decisions_total", "Decisions, by resulting stage.", ["stage"])
ALERTS = Metric("cart_alert_changes_total", "Alerts opened and resolved.", ["change"])


class EncounterActivities:
    """Decides, and writes what was decided: custody records, alerts, the view, claims to open."""

    def __init__(self, service: DecisionService, client: Client) -> None:
        self.service, self.client = service, client

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [
            self.decide,
            self.keep_custody,
            self.raise_alerts,
            self.show_encounter,
            self.open_claim,
        ]

    @activity.defn(name="decide")
    def decide(self, question: Question) -> Plan:
        own = self.service.facts(question.encounter)
        decision = self.service.answer(question, own)
        DECISIONS.labels(stage=decision.stage.value).inc()
        with self.service.db.read() as session:
            marks = claim_marks(session, self.service.keys, question.encounter, question.up_to_sequence, own)
            standing = open_claims(session, question.encounter)
            seen = _first_seen(session, question)
        _tell_decision(decision, question, seen)
        return with_obsolete_claims(with_replies(plan_of(decision, question), marks), standing)

    @activity.defn(name="keep_custody")
    def keep_custody(self, question: Question) -> None:
        decision = self.service.answer(question)
        with self.service.db.write() as session:
            if _stale(session, question):
                return
            append_custody(session, self.service.keys, question.encounter, decision.custody, question.now)

    @activity.defn(name="raise_alerts")
    def raise_alerts(self, question: Question) -> None:
        decision = self.service.answer(question)
        with self.service.db.write() as session:
            if _stale(session, question):
                return
            opened, resolved = reconcile_alerts(session, question.encounter, decision.alerts, question.now)
        ALERTS.labels(change="opened").inc(opened)
        ALERTS.labels(change="resolved").inc(resolved)

    @activity.defn(name="show_encounter")
    def show_encounter(self, question: Question) -> None:
        decision = self.service.answer(question)
        with self.service.db.write() as session:
            if _stale(session, question):
                return
            row = session.get_one(Encounter, question.encounter)
            due = decision.next_deadline
            row.status = "closed" if decision.outcome else "open"
            row.stage = decision.stage.value
            row.product, row.payer, row.payer_class = decision.product, decision.payer, decision.payer_class
            row.holds_open = sum(hold.stands for hold in decision.holds)
            row.next_due = due.due if due else None
            row.decided_sequence, row.decided_at = question.up_to_sequence, question.now
            row.rulebook_digest = decision.rulebook_digest
            row.view = view_of(decision)
            session.add(row)

    @activity.defn(name="open_claim")
    async def open_claim(self, question: ClaimQuestion, intent: ClaimIntent) -> None:
        start = ClaimStart(encounter=question.encounter, letter=question.letter, ordinal=question.ordinal)
        await self.client.start_workflow(
            CLAIM_TYPE,
            start,
            id=claim_workflow_id(question.encounter, question.letter, question.ordinal),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=CLAIM_SIGNAL,
            start_signal_args=[question],
            static_summary=f"Claim {intent.key}",
        )


def _first_seen(session: Session, question: Question) -> list[str]:
    """The events that the decision shown before this one did not know."""
    before = select(Encounter.decided_sequence).where(Encounter.encounter_id == question.encounter)
    rows = select(EncounterEvent.event_id).where(
        EncounterEvent.encounter_id == question.encounter,
        col(EncounterEvent.sequence) > before.scalar_subquery(),
        col(EncounterEvent.sequence) <= question.up_to_sequence,
    )
    return list(session.exec(rows.order_by(col(EncounterEvent.sequence))))


def _tell_decision(decision: Decision, question: Question, seen: list[str]) -> None:
    due = decision.next_deadline
    tell(
        "encounter.decided",
        encounter=question.encounter,
        sequence=question.up_to_sequence,
        event_ids=seen,
        stage=decision.stage.value,
        holds=sorted({hold.requirement.kind for hold in decision.holds if hold.stands}),
        claims=[claim.key for claim in decision.claims if claim.ready],
        alerts=len(decision.alerts),
        next_due=due.due.isoformat() if due else None,
        outcome=decision.outcome.value if decision.outcome else None,
        rulebook=decision.rulebook_digest[:12],
    )


def _stale(session: Session, question: Question) -> bool:
    """A retried activity of an older decision must not undo what a newer one did, not even one on the same facts."""
    row = session.get_one(Encounter, question.encounter, with_for_update=True)
    done, asked = (row.acted_sequence, row.acted_at or question.now), (question.up_to_sequence, question.now)
    if done > asked:
        return True
    row.acted_sequence, row.acted_at = asked
    session.add(row)
    return False
