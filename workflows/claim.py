"""`ClaimLifecycle`: one claim, a workflow of its own because payment outlives the encounter."""

from __future__ import annotations

from temporalio import workflow

from workflows import hands
from workflows.search_attributes import CLAIM_STATE

with workflow.unsafe.imports_passed_through():
    from domain.plan import ClaimBuilt, ClaimQuestion, ClaimStart


@workflow.defn(name="ClaimLifecycle")
class ClaimLifecycle:
    """Builds the claim from the facts, holds it while an edit stands, emits it, and builds again when facts change."""

    @workflow.init
    def __init__(self, start: ClaimStart) -> None:
        self.start = start
        self.wanted: ClaimQuestion | None = None
        self.built = start.sequence

    @workflow.run
    async def run(self, start: ClaimStart) -> None:
        while True:
            await workflow.wait_condition(lambda: self.wanted is not None)
            question, self.wanted = self.wanted, None
            assert question is not None
            self._show(await hands.build_claim(question), question)
            if workflow.info().is_continue_as_new_suggested() and self.wanted is None:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self.start)

    @workflow.signal(name="facts_changed")
    def facts_changed(self, question: ClaimQuestion) -> None:
        """The facts under this claim changed; only the newest question counts."""
        if self.wanted is None or question.up_to_sequence >= self.wanted.up_to_sequence:
            self.wanted = question

    def _show(self, built: ClaimBuilt, question: ClaimQuestion) -> None:
        workflow.upsert_search_attributes([CLAIM_STATE.value_set(built.state)])
        errors = "".join(f"- {error}\n" for error in built.errors) or "- none\n"
        workflow.set_current_details(
            f"**Claim {question.letter}/{question.ordinal}** version {built.version}: {built.state}\n\nOpen errors:\n{errors}"
        )
