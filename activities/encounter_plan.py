"""The plan of an encounter: the keys, times and hashes of a decision that its workflow sees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from domain.alerts.model import Alert
from domain.custody.entries import CustodyEntry
from domain.decision.model import Decision
from store.installation import SEQUENCE_SIZE
from workflows.messages import (
    AlertIntent,
    ClaimIntent,
    Closure,
    DecisionQuestion,
    Plan,
    Question,
)


def plan_of(decision: Decision, question: Question) -> Plan:
    """The keys, moments and hashes of a decision that a workflow sees.

    After a restore they differ from those before it: what was carried out since the backup is missing, so all is done again.
    """
    again = _again(question.up_to_sequence)
    deadline = decision.next_deadline
    closed = decision.outcome is not None
    return Plan(
        sequence=question.up_to_sequence,
        decided_at=question.now,
        stage=decision.stage.value,
        product=decision.product,
        payer_class=decision.payer_class,
        holds=tuple(hold.id for hold in decision.holds if hold.is_open),
        hold_kinds=tuple(sorted({hold.requirement.kind for hold in decision.holds if hold.is_open})),
        alerts=tuple(
            AlertIntent(key=_alert_key(alert) + again, severity=alert.severity.value, since=alert.since)
            for alert in decision.alerts
        )
        + ((AlertIntent(key=again, severity="none", since=question.now),) if again else ()),
        claims=tuple(
            ClaimIntent(letter=claim.letter, ordinal=claim.ordinal, content=claim.content_hash + again)
            for claim in decision.claims
            if claim.ready
        ),
        custody_content=custody_fingerprint(decision.custody) + again,
        deadline=deadline.due if deadline else None,
        deadline_title=deadline.title if deadline else None,
        details=details_of(decision),
        rulebook_digest=decision.rulebook_digest,
        closure=Closure(outcome=decision.outcome.value, at=question.now) if closed and decision.outcome else None,
    )


def _again(up_to_sequence: int) -> str:
    """What every content of a plan ends with after a restore; empty before the first."""
    epoch = up_to_sequence // SEQUENCE_SIZE
    return f"+{epoch}" if epoch else ""


UNDECIDED = "undecided"
"""Stage of an encounter without any decision yet."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=10)


def undecided_plan(question: DecisionQuestion) -> Plan:
    """Return the plan of a decision that failed: it repeats what is shown and done, so that nothing wrong follows.

    Its alerts differ from all before, so the workflow calls `raise_alerts`, which waits until a decision succeeds. The
    deadline is at once, for the new decision; after several failures in a row it is later each time.
    """
    carried, failures = question.carried, question.carried.failures
    pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE) if failures else timedelta(0)
    known = carried.plan or _nothing_decided(question)
    claims = ((*key.split("/"), content) for key, content in sorted(carried.claims.items()) if content)
    alert = AlertIntent(key=f"undecided {question.now.isoformat()}", severity="critical", since=question.now)
    return known.model_copy(
        update={
            "undecided": True,
            "sequence": question.up_to_sequence,
            "decided_at": question.now,
            "alerts": (*known.alerts, alert),
            "claims": tuple(
                ClaimIntent(letter=letter, ordinal=int(n), content=content) for letter, n, content in claims
            ),
            "custody_content": carried.custody,
            "deadline": question.now + pause,
            "deadline_title": "decide again",
            "details": f"**The decision on facts 1-{question.up_to_sequence} fails**, since {question.now:%Y-%m-%d %H:%M} UTC. "
            f"Cause and next step: pending activity `raise_alerts`. Last decision:\n\n{known.details}",
            "closure": None,
        }
    )


def _nothing_decided(question: DecisionQuestion) -> Plan:
    return Plan(
        sequence=0,
        decided_at=question.now,
        stage=UNDECIDED,
        product="unknown",
        payer_class="unknown",
        holds=(),
        hold_kinds=(),
        alerts=(),
        claims=(),
        custody_content="",
        deadline=None,
        deadline_title=None,
        details="none",
        rulebook_digest="",
        closure=None,
    )


def details_of(decision: Decision) -> str:
    """Return the panel of the Temporal UI, half a screen wide: short lists (its tables have no gaps), no name of a person."""
    due = decision.next_deadline
    required = [hold.requirement for hold in decision.holds if hold.is_open]
    parts = [
        f"**Stage: {decision.stage.value}** · {decision.product} · {decision.payer_class}",
        f"Next: {due.title} by {due.due:%Y-%m-%d %H:%M} UTC" if due else "Next: nothing is due",
        _listed("Holds", [f"**{one.title}** ({_words(one.owner)}): {one.fix}" for one in required]),
        _listed(
            "Alerts",
            [f"**{alert.severity.value}** {alert.title} ({_words(alert.owner)})" for alert in decision.alerts],
        ),
        _listed(
            "Claims",
            [
                f"**{claim.key}** {_claim_state(claim.ready, bool(claim.errors))}, ${claim.total:,.2f}"
                for claim in decision.claims
            ],
        ),
    ]
    return "\n\n".join(parts)


def with_replies(plan: Plan, marks: Mapping[str, str]) -> Plan:
    """Return the plan with payer responses as part of each claim's content, so that a response wakes the claim's workflow.

    A claim that is no longer due and has a response is included: its void is followed to the end.
    """
    if not marks:
        return plan
    due = {intent.key: intent for intent in plan.claims}
    answered = [key for key in sorted(marks) if key not in due]
    again = _again(plan.sequence)
    gone = [ClaimIntent(letter=key.split("/")[0], ordinal=int(key.split("/")[1]), content=again) for key in answered]
    claims = [
        intent.model_copy(update={"content": f"{intent.content}+{marks[intent.key]}"})
        if intent.key in marks
        else intent
        for intent in (*plan.claims, *gone)
    ]
    return plan.model_copy(update={"claims": tuple(claims)})


def _alert_key(alert: Alert) -> str:
    """Return key and content of the alert: an open alert whose text or severity changed is written again."""
    content = (alert.severity.value, alert.title, alert.action, alert.events, alert.denial, alert.layer, alert.owner)
    return f"{alert.key}#{hashlib.sha256(repr(content).encode()).hexdigest()[:12]}"


def custody_fingerprint(entries: tuple[CustodyEntry, ...]) -> str:
    """Changes when any custody record's key or content changes."""
    body = [(entry.key, entry.content) for entry in entries]
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


MOST_SHOWN = 8


def _listed(title: str, lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    shown = [*lines[:MOST_SHOWN], *more] or ["none"]
    return "\n".join((f"**{title}**", "", *(f"- {line}" for line in shown)))


def _words(key: str) -> str:
    return key.replace("_", " ")


def _claim_state(ready: bool, errors: bool) -> str:
    if not ready:
        return "waiting"
    return "held" if errors else "due"


def with_obsolete_claims(plan: Plan, known: Sequence[tuple[str, int]]) -> Plan:
    """Add the claims that exist in the store and are no longer due: a run after closure does not remember them."""
    due = {(intent.letter, intent.ordinal) for intent in plan.claims}
    again = _again(plan.sequence)
    gone = [ClaimIntent(letter=letter, ordinal=n, content=again) for letter, n in known if (letter, n) not in due]
    return plan.model_copy(update={"claims": (*plan.claims, *gone)})
