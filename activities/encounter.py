"""The activities of `CarTEncounter`. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter as Metric
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.decisions import DecisionService, claim_marks
from activities.encounter_plan import plan_of, undecided_plan, with_obsolete_claims, with_replies
from activities.encounter_view import view_of
from domain.decision.model import Decision
from store import encounters
from store.alerts import reconcile_alerts
from store.chain import append_custody
from store.claims import open_claims
from store.queries.claims import claim_keys
from store.step_log import log_step
from store.unit import Unit
from workflows.messages import (
    ClaimIntent,
    ClaimQuestion,
    ClaimStart,
    DecisionQuestion,
    Plan,
    Question,
)
from workflows.names import CLAIM_SIGNAL, CLAIM_TYPE, TASK_QUEUE, claim_workflow_id

DECISIONS = Metric("cart_decisions_total", "Decisions, by resulting stage.", ["stage"])
UNDECIDED = Metric("cart_decisions_failed_total", "Decisions that failed and are retried as a pending activity.")
ALERTS = Metric("cart_alert_changes_total", "Alerts opened and resolved.", ["change"])

DECISION_THREADS = 4
"""Decisions at once in a worker."""

PAUSES = (0.25, 1.0)
"""Seconds before the second and the third try of a decision."""

DECISION_SECONDS = 25.0
"""Longest time for all tries; less than the workflow's time limit for `decide`, which must not fail."""

log = logging.getLogger("activities.encounter")


class EncounterActivities:
    """Decides, and writes what was decided: custody records, alerts, the view, claims to open."""

    def __init__(self, service: DecisionService, client: Client) -> None:
        self.service, self.store, self.client = service, service.store, client
        self._deciding = ThreadPoolExecutor(DECISION_THREADS, thread_name_prefix="decision")

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
    async def decide(self, question: DecisionQuestion) -> Plan:
        """Return the plan of the decision; after a few failed tries a plan that asks for the decision again.

        It never fails: a local activity that is retried for hours writes history until the server ends the run.
        """
        try:
            async with asyncio.timeout(DECISION_SECONDS):
                return await self._tried(question)
        except Exception:
            log.exception("encounter.undecided", extra={"facts": {"sequence": question.up_to_sequence}})
            UNDECIDED.inc()
            return undecided_plan(question)

    async def _tried(self, question: DecisionQuestion) -> Plan:
        for pause in PAUSES:
            try:
                return await self._in_thread(question)
            except Exception:  # noqa: BLE001 the last try reports
                await asyncio.sleep(pause)
        return await self._in_thread(question)

    async def _in_thread(self, question: DecisionQuestion) -> Plan:
        """Decide in a thread of decisions: a database that does not answer holds these threads, and no other activity."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._deciding, context.run, self.plan, question)

    def plan(self, question: Question) -> Plan:
        """Return the plan of the decision.

        Raises:
            RulebookError, SiteError, NoRule, DatabaseError: among others, a file or the database cannot be read.
        """
        encounter, sequence = question.encounter, question.up_to_sequence
        with self.store.read() as unit:
            own = unit.facts(encounter)
            marks = claim_marks(unit.keys, own, sequence, claim_keys(unit.session, encounter))
            open_now = open_claims(unit.session, encounter)
            seen = encounters.events_since_shown(unit.session, encounter, sequence)
        decision = self.service.answer(question, own)
        DECISIONS.labels(stage=decision.stage.value).inc()
        _log_decision(decision, question, seen)
        return with_obsolete_claims(with_replies(plan_of(decision, question), marks), open_now)

    @activity.defn(name="keep_custody")
    def keep_custody(self, question: Question) -> None:
        decision = self.service.answer(question)
        with self._carrying_out(question) as unit:
            if unit:
                append_custody(unit.session, unit.keys, question.encounter, decision.custody, question.now)

    @activity.defn(name="raise_alerts")
    def raise_alerts(self, question: Question) -> None:
        if question.undecided:
            self._decidable(question)
            return
        decision = self.service.answer(question)
        opened = resolved = 0
        with self._carrying_out(question) as unit:
            if unit:
                opened, resolved = reconcile_alerts(unit.session, question.encounter, decision.alerts, question.now)
        ALERTS.labels(change="opened").inc(opened)
        ALERTS.labels(change="resolved").inc(resolved)

    @activity.defn(name="show_encounter")
    def show_encounter(self, question: Question) -> None:
        if question.undecided:
            return  # nothing was decided that could be shown
        decision = self.service.answer(question)
        due = decision.next_deadline
        with self._carrying_out(question) as unit:
            if unit:
                encounters.show(
                    unit.session,
                    question.encounter,
                    status="closed" if decision.outcome else "open",
                    stage=decision.stage.value,
                    product=decision.product,
                    payer=decision.payer,
                    payer_class=decision.payer_class,
                    holds_open=sum(hold.is_open for hold in decision.holds),
                    next_due=due.due if due else None,
                    decided_sequence=question.up_to_sequence,
                    decided_at=question.now,
                    rulebook_digest=decision.rulebook_digest,
                    view=view_of(decision),
                )

    def _decidable(self, question: Question) -> None:
        """Return once a decision is possible: on these facts, or because there are newer ones, such as a correction.

        Raises:
            Exception: that of the decision, which fails still.
        """
        try:
            self.plan(question)
        except Exception:
            with self.store.read() as unit:
                if encounters.last_sequence(unit.session, question.encounter) <= question.up_to_sequence:
                    raise

    @contextmanager
    def _carrying_out(self, question: Question) -> Iterator[Unit | None]:
        """Yield a transaction for the work of a decision; None instead of a unit if a newer decision was started."""
        with self.store.write() as unit:
            begun = encounters.begin_decision(unit.session, question.encounter, question.up_to_sequence, question.now)
            yield unit if begun else None

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


def _log_decision(decision: Decision, question: Question, seen: list[str]) -> None:
    due = decision.next_deadline
    log_step(
        "encounter.decided",
        encounter=question.encounter,
        sequence=question.up_to_sequence,
        event_ids=seen,
        stage=decision.stage.value,
        holds=sorted({hold.requirement.kind for hold in decision.holds if hold.is_open}),
        claims=[claim.key for claim in decision.claims if claim.ready],
        alerts=len(decision.alerts),
        next_due=due.due.isoformat() if due else None,
        outcome=decision.outcome.value if decision.outcome else None,
        rulebook=decision.rulebook_digest[:12],
    )
