"""The activities as the workflows call them: a name, typed input, typed result, a retry policy.

Every activity is idempotent by key, so each is retried until it succeeds: no encounter is abandoned because a database or a
disk was unavailable. The one local activity, `decide`, always succeeds: a local activity that is retried writes history, and a
run whose history is too long is ended by the server. A decision that fails is retried as `raise_alerts`.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from workflows.messages import (
        ClaimBuilt,
        ClaimFollowUp,
        ClaimIntent,
        ClaimMoment,
        ClaimQuestion,
        DecisionQuestion,
        EscalationReport,
        Moment,
        Plan,
        Question,
        WatchReport,
    )

PATIENT_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
ATTEMPT = timedelta(seconds=30)
DELIVERY_ATTEMPT = timedelta(minutes=3)


async def decide(question: DecisionQuestion) -> Plan:
    """Return the plan by the facts up to a sequence and the current rulebook. Replay uses the recorded answer.

    The plan is `undecided` if the decision failed.
    """
    plan: Plan = await workflow.execute_local_activity(
        "decide",
        question,
        result_type=Plan,
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary=f"decide on facts 1-{question.up_to_sequence}",
    )
    return plan


async def keep_custody(question: Question) -> None:
    """Append new entries to the chain of identity."""
    await _act("keep_custody", question, "append to the chain of identity")


async def raise_alerts(question: Question) -> None:
    """Open the alerts that should be open; resolve the others. After a failed decision: wait until one succeeds."""
    await _act("raise_alerts", question, "decide again" if question.undecided else "open and resolve alerts")


async def show_encounter(question: Question) -> None:
    """Update the encounter's view for readers."""
    await _act("show_encounter", question, "update the reading side")


async def open_claim(question: ClaimQuestion, intent: ClaimIntent) -> None:
    """Notify the claim's own workflow that its facts changed; start it if it does not run."""
    await workflow.execute_activity(
        "open_claim",
        args=[question, intent],
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary=f"claim {intent.key} is due",
    )


async def build_claim(question: ClaimQuestion) -> ClaimBuilt:
    """Build the claim, run its edits, and mark it ready or held."""
    built: ClaimBuilt = await workflow.execute_activity(
        "build_claim",
        question,
        result_type=ClaimBuilt,
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary=f"build claim {question.letter}/{question.ordinal}, run its edits",
    )
    return built


async def watch(moment: Moment) -> WatchReport:
    """Check certificates, rows past review, claims and authorizations near their deadlines."""
    report: WatchReport = await workflow.execute_activity(
        "watch",
        moment,
        result_type=WatchReport,
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary="certificates, rows past review, claims and authorizations near their deadlines",
    )
    return report


async def work_alerts(moment: Moment) -> EscalationReport:
    """Escalate alerts that were not acknowledged in time; queue messages about changes."""
    report: EscalationReport = await workflow.execute_activity(
        "work_alerts",
        moment,
        result_type=EscalationReport,
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary="escalate alerts, queue messages",
    )
    return report


async def deliver_alerts(moment: Moment) -> None:
    """Try every message that is due. A message that a destination refuses waits in the database; the activity does not fail."""
    await workflow.execute_activity(
        "deliver_alerts",
        moment,
        start_to_close_timeout=DELIVERY_ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary="deliver messages about alerts",
    )


async def follow_claim(moment: ClaimMoment) -> ClaimFollowUp:
    """Return the status of the claim by what was sent and answered; open and resolve its alerts."""
    return await _claim("follow_claim", moment, f"follow claim {moment.letter}/{moment.ordinal}")


async def transmit_claim(moment: ClaimMoment) -> ClaimFollowUp:
    """Number the claim's file and write it to the outbox, if its time has come."""
    return await _claim("transmit_claim", moment, f"transmit claim {moment.letter}/{moment.ordinal}")


async def _claim(name: str, moment: ClaimMoment, summary: str) -> ClaimFollowUp:
    follow_up: ClaimFollowUp = await workflow.execute_activity(
        name,
        moment,
        result_type=ClaimFollowUp,
        start_to_close_timeout=ATTEMPT,
        retry_policy=PATIENT_RETRY,
        summary=summary,
    )
    return follow_up


async def _act(name: str, question: Question, summary: str) -> None:
    await workflow.execute_activity(
        name, question, start_to_close_timeout=ATTEMPT, retry_policy=PATIENT_RETRY, summary=summary
    )
