"""The activities of the workflows. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prometheus_client import Counter as Metric
from pydantic import TypeAdapter
from sqlmodel import Session, col, select
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.alerts import reconcile_alerts
from activities.claim_life import ClaimLife, claim_marks
from activities.claims import keep_claim, standing_claims
from activities.courier import deliver
from activities.desk import work
from activities.destinations import NOWHERE, Destinations
from activities.mind import Mind, plan_of, with_replies
from activities.store.chain import append_custody
from activities.store.tables import Encounter, EncounterEvent
from activities.store.telling import tell
from activities.watch import watch
from domain.decision import Decision
from domain.plan import (
    ClaimBuilt,
    ClaimIntent,
    ClaimQuestion,
    ClaimStart,
    DeskReport,
    Moment,
    Plan,
    Question,
    WatchReport,
)
from domain.watch import again_after
from workflows.names import CLAIM_SIGNAL, CLAIM_TYPE, TASK_QUEUE, claim_workflow_id

DECISIONS = Metric("cart_decisions_total", "Decisions, by resulting stage.", ["stage"])
CLAIMS_BUILT = Metric("cart_claims_built_total", "Claim builds, by letter and resulting state.", ["letter", "state"])
ALERTS = Metric("cart_alert_changes_total", "Alerts opened and resolved.", ["change"])

_JSON: TypeAdapter[Any] = TypeAdapter(Any)


class Activities:
    """What the workflows can have done. Holds the processes' one store, keys and Temporal client."""

    def __init__(self, mind: Mind, client: Client, outbox: Path, destinations: Destinations = NOWHERE) -> None:
        self.mind, self.client, self.destinations = mind, client, destinations
        self.claim_life = ClaimLife(mind, outbox)

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [
            self.decide,
            self.keep_custody,
            self.raise_alerts,
            self.show_encounter,
            self.open_claim,
            self.build_claim,
            self.watch,
            self.work_alerts,
            self.deliver_alerts,
            *self.claim_life.all,
        ]

    @activity.defn(name="decide")
    def decide(self, question: Question) -> Plan:
        decision = self.mind.answer(question)
        DECISIONS.labels(stage=decision.stage.value).inc()
        with self.mind.db.read() as session:
            marks = claim_marks(session, self.mind.keys, question.encounter, question.up_to_sequence)
            standing = standing_claims(session, question.encounter)
            seen = _first_seen(session, question)
        _tell_decision(decision, question, seen)
        return without_ghosts(with_replies(plan_of(decision, question), marks), standing)

    @activity.defn(name="keep_custody")
    def keep_custody(self, question: Question) -> None:
        decision = self.mind.answer(question)
        with self.mind.db.write() as session:
            if _stale(session, question):
                return
            append_custody(session, self.mind.keys, question.encounter, decision.custody, question.now)

    @activity.defn(name="raise_alerts")
    def raise_alerts(self, question: Question) -> None:
        decision = self.mind.answer(question)
        with self.mind.db.write() as session:
            if _stale(session, question):
                return
            opened, resolved = reconcile_alerts(session, question.encounter, decision.alerts, question.now)
        ALERTS.labels(change="opened").inc(opened)
        ALERTS.labels(change="resolved").inc(resolved)

    @activity.defn(name="show_encounter")
    def show_encounter(self, question: Question) -> None:
        decision = self.mind.answer(question)
        with self.mind.db.write() as session:
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

    @activity.defn(name="build_claim")
    def build_claim(self, question: ClaimQuestion) -> ClaimBuilt:
        decision = self.mind.decision(question.encounter, question.up_to_sequence, question.now)
        key = f"{question.letter}/{question.ordinal}"
        claim = next((claim for claim in decision.claims if claim.key == key), None)
        with self.mind.db.write() as session:
            session.get_one(Encounter, question.encounter, with_for_update=True)
            built = keep_claim(session, question, claim, self.claim_life.same_file(session))
        CLAIMS_BUILT.labels(letter=question.letter, state=built.state).inc()
        return built

    @activity.defn(name="watch")
    def watch(self, moment: Moment) -> WatchReport:
        with self.mind.db.write() as session:
            return watch(session, self.mind.keys, self.mind.shelf.site(), self.mind.shelf.rules(), moment.now)

    @activity.defn(name="work_alerts")
    def work_alerts(self, moment: Moment) -> DeskReport:
        again = again_after(self.mind.shelf.rules(), moment.now)
        with self.mind.db.write() as session:
            return work(session, self.destinations, moment.now, again)

    @activity.defn(name="deliver_alerts")
    def deliver_alerts(self, moment: Moment) -> None:
        deliver(self.mind.db, self.destinations, moment.now)


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
        holds=sorted({hold.kind for hold in decision.holds if hold.stands}),
        claims=[claim.key for claim in decision.claims if claim.ready],
        alerts=len(decision.alerts),
        next_due=due.due.isoformat() if due else None,
        outcome=decision.outcome.value if decision.outcome else None,
        rulebook=decision.rulebook_digest[:12],
    )


def without_ghosts(plan: Plan, standing: Sequence[tuple[str, int]]) -> Plan:
    """Name the claims that stand in the store and are no longer due: a run after closure does not remember them."""
    due = {(intent.letter, intent.ordinal) for intent in plan.claims}
    gone = [ClaimIntent(letter=letter, ordinal=n, content="") for letter, n in standing if (letter, n) not in due]
    return plan.model_copy(update={"claims": (*plan.claims, *gone)})


def _stale(session: Session, question: Question) -> bool:
    """A retried activity of an older decision must not undo what a newer one did, not even one on the same facts."""
    row = session.get_one(Encounter, question.encounter, with_for_update=True)
    done, asked = (row.acted_sequence, row.acted_at or question.now), (question.up_to_sequence, question.now)
    if done > asked:
        return True
    row.acted_sequence, row.acted_at = asked
    session.add(row)
    return False


def view_of(decision: Decision) -> dict[str, Any]:
    """The reading side: gates, holds, milestones, deadlines and what claims wait for, as JSON."""
    body = {
        "stage": decision.stage,
        "cleared": sorted(stage.value for stage in decision.cleared),
        "gates": [asdict(gate) | {"open": gate.open} for gate in decision.gates],
        "holds": [asdict(hold) for hold in decision.holds],
        "milestones": [asdict(milestone) for milestone in decision.milestones],
        "deadlines": [asdict(deadline) for deadline in decision.deadlines],
        "advisories": list(decision.advisories),
        "outcome": decision.outcome,
        "vein_to_vein_days": decision.vein_to_vein_days,
        "toxicity": decision.toxicity,
        "claims_waiting": [
            {"claim": claim.key, "waiting_for": list(claim.waiting_for), "total": str(claim.total)}
            for claim in decision.claims
            if not claim.ready
        ],
        "unbilled": [
            {"letter": claim.letter, "total": str(claim.total), "through": claim.statement_through.isoformat()}
            for claim in decision.claims
            if not claim.ready
        ],
        "edition": decision.edition,
        "rulebook_digest": decision.rulebook_digest,
    }
    plain: dict[str, Any] = _JSON.dump_python(body, mode="json")
    return plain
