"""`ClaimLifecycle`: one claim, a workflow of its own because payment outlives the encounter."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from workflows import activity_stubs
from workflows.search_attributes import CLAIM_STATE

with workflow.unsafe.imports_passed_through():
    from workflows.messages import ClaimBuilt, ClaimFollowUp, ClaimMoment, ClaimQuestion, ClaimStart

ANOTHER_TRY = timedelta(days=1)
"""Until a claim that could not be transmitted is tried again, if none of its facts changes before."""


@workflow.defn(name="ClaimLifecycle")
class ClaimLifecycle:
    """Builds the claim from the facts, holds it while an edit stands, sends it, and follows it until nothing is due.

    Facts, what was sent and what payers answered lie in the database; the workflow notes only that it must look again. So
    it ends when a claim is settled, and the next fact or answer starts it anew under the same id.
    """

    @workflow.init
    def __init__(self, start: ClaimStart) -> None:
        self.start = start
        self.wanted: ClaimQuestion | None = None
        self.standing: ClaimFollowUp | None = None
        self.follows = False
        self.asked_again = 0
        self.rounds = 0

    @workflow.run
    async def run(self, start: ClaimStart) -> None:
        while True:
            built = await self._next_build()
            if self._has_a_life_after_emission():
                await self._follow()
                if self.standing is not None and self.standing.settled and await self._nothing_new():
                    return
            elif built is not None:
                self._show_built(*built)
            if workflow.info().is_continue_as_new_suggested() and self.wanted is None:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried())

    @workflow.signal(name="facts_changed")
    def facts_changed(self, question: ClaimQuestion) -> None:
        """The facts under this claim, or the answers to it, changed; only the newest question counts, whichever comes last."""
        if self.wanted is None or (question.up_to_sequence, question.now) >= (
            self.wanted.up_to_sequence,
            self.wanted.now,
        ):
            self.wanted = question

    async def _next_build(self) -> tuple[ClaimBuilt, ClaimQuestion] | None:
        """Wait for facts, an answer or the next deadline; build the claim when it was not the deadline."""
        if self.standing is None and self.wanted is None and self.start.sequence:
            return None  # carried over: there is a claim already, look at it first
        await self._facts_or_deadline()
        question, self.wanted = self.wanted, None
        if question is None:
            return None
        return await activity_stubs.build_claim(question), question

    async def _facts_or_deadline(self) -> None:
        if self.standing is None or self.standing.due is None:
            await workflow.wait_condition(lambda: self.wanted is not None)
            return
        wait = max(self.standing.due - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(
                lambda: self.wanted is not None, timeout=wait, timeout_summary=self.standing.due_title
            )
        except TimeoutError:
            return

    def _has_a_life_after_emission(self) -> bool:
        """Claims that older code built keep its commands for the rounds they recorded, and live on from the next."""
        self.rounds += 1
        self.follows = self.follows or workflow.patched(f"life-after-emission-{self.rounds}")
        return self.follows

    async def _follow(self) -> None:
        blocked = self.standing is not None and self.standing.send
        standing = None if blocked else await activity_stubs.follow_claim(self._moment())
        if standing is None or standing.send:
            standing = await activity_stubs.transmit_claim(self._moment())
        if standing.send:  # it could not be sent
            standing = standing.model_copy(
                update={"due": workflow.now() + ANOTHER_TRY, "due_title": "try to transmit again"}
            )
        self.standing = standing
        self._show(standing)
        self._ask_again_after_a_void(standing)

    def _ask_again_after_a_void(self, standing: ClaimFollowUp) -> None:
        """Once for each void: what took the place of the voided claim could not go out before it."""
        if standing.again is None:
            rejected_after_all = self.asked_again != 0 and standing.version == self.asked_again
            # A run of before the patch has asked once and goes on as it is recorded.
            if rejected_after_all and workflow.patched("void-asked-anew"):
                self.asked_again = 0
            return
        if standing.version == self.asked_again:
            return
        self.asked_again = standing.version
        if self.wanted is None:
            start = self.start
            self.wanted = ClaimQuestion(
                encounter=start.encounter,
                letter=start.letter,
                ordinal=start.ordinal,
                up_to_sequence=standing.again,
                now=workflow.now(),
            )

    def _moment(self) -> ClaimMoment:
        start = self.start
        return ClaimMoment(encounter=start.encounter, letter=start.letter, ordinal=start.ordinal, now=workflow.now())

    async def _nothing_new(self) -> bool:
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.wanted is None

    def _carried(self) -> ClaimStart:
        return self.start.model_copy(update={"sequence": 1}) if self.follows else self.start

    def _show_built(self, built: ClaimBuilt, question: ClaimQuestion) -> None:
        workflow.upsert_search_attributes([CLAIM_STATE.value_set(built.state)])
        workflow.set_current_details(
            f"**Claim {question.letter}/{question.ordinal}** version {built.version}: {built.state}\n\n"
            f"Open errors:\n{_list(built.errors)}"
        )

    def _show(self, standing: ClaimFollowUp) -> None:
        workflow.upsert_search_attributes([CLAIM_STATE.value_set(standing.state)])
        following = f"{standing.due_title} by {standing.due:%Y-%m-%d %H:%M} UTC" if standing.due else "nothing"
        workflow.set_current_details(
            f"**Claim {self.start.letter}/{self.start.ordinal}** version {standing.version}: {standing.state}\n\n"
            f"Next: {following}\n\nOpen errors:\n{_list(standing.errors)}\nOpen alerts:\n{_list(standing.alerts)}"
        )


def _list(lines: tuple[str, ...]) -> str:
    return "".join(f"- {line}\n" for line in lines) or "- none\n"
