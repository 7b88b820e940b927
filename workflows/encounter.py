"""`CarTEncounter`: one patient, one product, from the first event until nothing more is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate

from workflows import activity_stubs
from workflows.search_attributes import ALERT_SEVERITY, HOLDS, NEXT_DUE, PAYER_CLASS, PRODUCT, STAGE

with workflow.unsafe.imports_passed_through():
    from workflows.messages import (
        Carried,
        ClaimIntent,
        ClaimQuestion,
        Closure,
        DecisionQuestion,
        EncounterStart,
        Note,
        Plan,
        Question,
        Receipt,
    )

SEVERITIES = ("critical", "warning", "info")


@workflow.defn(name="CarTEncounter")
class CarTEncounter:
    """A small shell: decide, carry out the difference, show, wait for a fact or a deadline.

    Facts are in the database; the workflow only notes the last sequence. So a repeated or late update is harmless, and after
    closure the same id folds all facts again.

    A decision that fails gives a plan that changes nothing and asks again: `raise_alerts` then asks for the same decision and
    stays pending, with cause and fix, until it succeeds. A pending activity adds nothing to the history.
    """

    @workflow.init
    def __init__(self, start: EncounterStart) -> None:
        self.encounter = start.encounter
        self.noted = start.noted
        self.claims = dict(start.carried_claims)
        self.alerts = start.carried_alerts
        self.custody = start.carried_custody
        self.decided = start.carried_plan
        self.failures = 0

    @workflow.run
    async def run(self, start: EncounterStart) -> Closure:
        await workflow.wait_condition(lambda: self.noted > 0)
        while True:
            plan = await self._decide()
            self._note_outcome(plan)
            await self._carry_out(plan)
            self._show(plan)
            if plan.closure is not None and await self._nothing_new(plan):
                return plan.closure
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried())
            await self._next_fact_or_deadline(plan)

    @workflow.update(dynamic=True)
    async def note(self, name: str, arguments: Sequence[RawValue]) -> Receipt:
        """Note a fact of the type `name` in the inbox. `run` does the work."""
        note = workflow.payload_converter().from_payload(arguments[0].payload, Note)
        self.noted = max(self.noted, note.sequence)
        return Receipt(sequence=note.sequence, noted=self.noted)

    @note.validator
    def _is_a_note(self, name: str, arguments: Sequence[RawValue]) -> None:
        if len(arguments) != 1:
            raise ValueError("an update carries one note: key, type and sequence")
        note = workflow.payload_converter().from_payload(arguments[0].payload, Note)
        if note.type != name or note.sequence < 1:
            raise ValueError("the note's type must be the update's name, and its sequence at least 1")

    async def _decide(self) -> Plan:
        carried = Carried(plan=self.decided, claims=self.claims, custody=self.custody, failures=self.failures)
        return await activity_stubs.decide(
            DecisionQuestion(encounter=self.encounter, up_to_sequence=self.noted, now=workflow.now(), carried=carried)
        )

    def _note_outcome(self, plan: Plan) -> None:
        if plan.undecided:
            self.failures += 1
            workflow.set_current_details(plan.details)  # now: what follows may stay pending for days
        else:
            self.failures, self.decided = 0, plan

    async def _carry_out(self, plan: Plan) -> None:
        """The difference between what should exist and what was done, by key."""
        question = Question(
            encounter=self.encounter, up_to_sequence=plan.sequence, now=plan.decided_at, undecided=plan.undecided
        )
        if plan.custody_content != self.custody:
            await activity_stubs.keep_custody(question)
            self.custody = plan.custody_content
        keys = tuple(sorted(alert.key for alert in plan.alerts))
        if keys != self.alerts:
            await activity_stubs.raise_alerts(question)
            self.alerts = keys
        for intent in self._changed_claims(plan):
            await activity_stubs.open_claim(self._claim_question(plan, intent), intent)
            self.claims[intent.key] = intent.content
        await activity_stubs.show_encounter(question)

    def _changed_claims(self, plan: Plan) -> list[ClaimIntent]:
        """Claims that are new, changed, or no longer due (their content is empty then)."""
        due = {intent.key: intent for intent in plan.claims}
        changed = [intent for key, intent in sorted(due.items()) if self.claims.get(key) != intent.content]
        for key, content in sorted(self.claims.items()):
            if key not in due and content:
                letter, ordinal = key.split("/")
                changed.append(ClaimIntent(letter=letter, ordinal=int(ordinal), content=""))
        return changed

    def _show(self, plan: Plan) -> None:
        worst = next((s for s in SEVERITIES if any(alert.severity == s for alert in plan.alerts)), "none")
        updates: list[SearchAttributeUpdate[Any]] = [
            STAGE.value_set(plan.stage),
            HOLDS.value_set(list(plan.hold_kinds)),
            PRODUCT.value_set(plan.product),
            PAYER_CLASS.value_set(plan.payer_class),
            ALERT_SEVERITY.value_set(worst),
            NEXT_DUE.value_set(plan.deadline) if plan.deadline else NEXT_DUE.value_unset(),
        ]
        workflow.upsert_search_attributes(updates)
        workflow.set_current_details(plan.details)

    async def _nothing_new(self, plan: Plan) -> bool:
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.noted == plan.sequence

    async def _next_fact_or_deadline(self, plan: Plan) -> None:
        """Return when a fact came or the deadline passed; the next decision handles a passed deadline."""
        if plan.deadline is None:
            await workflow.wait_condition(lambda: self.noted > plan.sequence)
            return
        wait = max(plan.deadline - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(
                lambda: self.noted > plan.sequence, timeout=wait, timeout_summary=plan.deadline_title
            )
        except TimeoutError:
            return

    def _claim_question(self, plan: Plan, intent: ClaimIntent) -> ClaimQuestion:
        return ClaimQuestion(
            encounter=self.encounter,
            letter=intent.letter,
            ordinal=intent.ordinal,
            up_to_sequence=plan.sequence,
            now=plan.decided_at,
        )

    def _carried(self) -> EncounterStart:
        return EncounterStart(
            encounter=self.encounter,
            noted=self.noted,
            carried_claims=self.claims,
            carried_alerts=self.alerts,
            carried_custody=self.custody,
            carried_plan=self.decided,
        )
