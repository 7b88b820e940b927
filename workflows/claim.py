"""`ClaimLifecycle`: one claim, a workflow of its own because payment outlives the encounter."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from workflows import activity_stubs
from workflows.changes import LIFE_AFTER_EMISSION, VOID_ASKED_AGAIN, follows
from workflows.search_attributes import CLAIM_STATE

with workflow.unsafe.imports_passed_through():
    from workflows.messages import ClaimBuilt, ClaimFollowUp, ClaimMoment, ClaimQuestion, ClaimStart

ANOTHER_TRY = timedelta(days=1)
"""The time until a claim that could not be transmitted is tried again, if none of its facts changes before."""


@workflow.defn(name="ClaimLifecycle")
class ClaimLifecycle:
    """Builds the claim from the facts, holds it while an error is open, sends it, and follows it until nothing is due.

    Facts, files sent and payer responses are in the database; the workflow only notes that it must check again. So it ends
    when a claim is settled, and the next fact or response starts it again under the same id.
    """

    @workflow.init
    def __init__(self, start: ClaimStart) -> None:
        self.start = start
        self.pending: ClaimQuestion | None = None
        self.follow_up: ClaimFollowUp | None = None
        self.follows = False
        self.asked_again = 0
        self.rounds = 0

    @workflow.run
    async def run(self, start: ClaimStart) -> None:
        while True:
            built = await self._next_build()
            if self._has_a_life_after_emission():
                await self._follow()
                if self.follow_up is not None and self.follow_up.settled and await self._nothing_new():
                    return
            elif built is not None:
                self._show_built(*built)
            if workflow.info().is_continue_as_new_suggested() and self.pending is None:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried())

    @workflow.signal(name="facts_changed")
    def facts_changed(self, question: ClaimQuestion) -> None:
        """The facts of this claim, or the responses to it, changed; the newest question counts, in whatever order they arrive."""
        if self.pending is None or (question.up_to_sequence, question.now) >= (
            self.pending.up_to_sequence,
            self.pending.now,
        ):
            self.pending = question

    async def _next_build(self) -> tuple[ClaimBuilt, ClaimQuestion] | None:
        """Wait for facts, a response or the next deadline; build the claim unless it was the deadline."""
        if self.follow_up is None and self.pending is None and self.start.sequence:
            return None  # carried over: there is a claim already, so check that first
        await self._facts_or_deadline()
        question, self.pending = self.pending, None
        if question is None:
            return None
        return await activity_stubs.build_claim(question), question

    async def _facts_or_deadline(self) -> None:
        if self.follow_up is None or self.follow_up.due is None:
            await workflow.wait_condition(lambda: self.pending is not None)
            return
        wait = max(self.follow_up.due - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(
                lambda: self.pending is not None, timeout=wait, timeout_summary=self.follow_up.due_title
            )
        except TimeoutError:
            return

    def _has_a_life_after_emission(self) -> bool:
        """Claims that older code built keep its commands for recorded rounds, and use the new ones from the next round."""
        self.rounds += 1
        self.follows = self.follows or follows(LIFE_AFTER_EMISSION, self.rounds)
        return self.follows

    async def _follow(self) -> None:
        blocked = self.follow_up is not None and self.follow_up.send
        follow_up = None if blocked else await activity_stubs.follow_claim(self._moment())
        if follow_up is None or follow_up.send:
            follow_up = await activity_stubs.transmit_claim(self._moment())
        if follow_up.send:  # it could not be sent
            follow_up = follow_up.model_copy(
                update={"due": workflow.now() + ANOTHER_TRY, "due_title": "try to transmit again"}
            )
        self.follow_up = follow_up
        self._show(follow_up)
        self._ask_again_after_a_void(follow_up)

    def _ask_again_after_a_void(self, follow_up: ClaimFollowUp) -> None:
        """Ask once for each void: the claim that replaces the voided one could not be sent before."""
        if follow_up.again is None:
            rejected_after_all = self.asked_again != 0 and follow_up.version == self.asked_again
            # A run from before the patch has asked once and continues as it is recorded.
            if rejected_after_all and follows(VOID_ASKED_AGAIN):
                self.asked_again = 0
            return
        if follow_up.version == self.asked_again:
            return
        self.asked_again = follow_up.version
        if self.pending is None:
            start = self.start
            self.pending = ClaimQuestion(
                encounter=start.encounter,
                letter=start.letter,
                ordinal=start.ordinal,
                up_to_sequence=follow_up.again,
                now=workflow.now(),
            )

    def _moment(self) -> ClaimMoment:
        start = self.start
        return ClaimMoment(encounter=start.encounter, letter=start.letter, ordinal=start.ordinal, now=workflow.now())

    async def _nothing_new(self) -> bool:
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.pending is None

    def _carried(self) -> ClaimStart:
        return self.start.model_copy(update={"sequence": 1}) if self.follows else self.start

    def _show_built(self, built: ClaimBuilt, question: ClaimQuestion) -> None:
        workflow.upsert_search_attributes([CLAIM_STATE.value_set(built.state)])
        workflow.set_current_details(
            f"**Claim {question.letter}/{question.ordinal}** version {built.version}: {built.state}\n\n"
            f"Open errors:\n{_list(built.errors)}"
        )

    def _show(self, follow_up: ClaimFollowUp) -> None:
        workflow.upsert_search_attributes([CLAIM_STATE.value_set(follow_up.state)])
        following = f"{follow_up.due_title} by {follow_up.due:%Y-%m-%d %H:%M} UTC" if follow_up.due else "nothing"
        workflow.set_current_details(
            f"**Claim {self.start.letter}/{self.start.ordinal}** version {follow_up.version}: {follow_up.state}\n\n"
            f"Next: {following}\n\nOpen errors:\n{_list(follow_up.errors)}\nOpen alerts:\n{_list(follow_up.alerts)}"
        )


def _list(lines: tuple[str, ...]) -> str:
    return "".join(f"- {line}\n" for line in lines) or "- none\n"
