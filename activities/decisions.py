"""Asking the domain: facts from the store, rows from the shelf, one pure answer."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.decision.decide import decide
from domain.decision.model import Alert, CustodyEntry, Decision
from domain.encounter.facts import fold
from intake.inbox.notices import shared_identifiers
from store.config import Shelf
from store.engine import Database
from store.facts import doses_given, load_facts_in
from store.keys import Keyring
from workflows.messages import AlertIntent, ClaimIntent, Closure, Plan, Question

REMEMBERED = 64
"""Decisions kept in memory: the activities that follow one `decide` ask the same question again."""


class Mind:
    """Answers questions. The same facts, rulebook, site and moment give the same decision."""

    def __init__(self, db: Database, keys: Keyring, shelf: Shelf) -> None:
        self.db, self.keys, self.shelf = db, keys, shelf
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[object, ...], Decision] = OrderedDict()

    def decision(self, encounter: str, up_to_sequence: int, now: datetime) -> Decision:
        """The whole decision on the facts up to a sequence.

        Raises:
            RulebookError, SiteError: a file on the shelf does not hold together.
        """
        rules, site = self.shelf.rules(), self.shelf.site()
        key = (encounter, up_to_sequence, now, rules.digest, id(site))
        with self._lock:
            if key in self._recent:
                return self._recent[key]
        with self.db.read() as session:
            events, holders = load_facts_in(session, self.keys, encounter, up_to_sequence)
            holders = [*holders, *doses_given(session, self.keys, holders)]
            shared = shared_identifiers(session, self.keys, encounter, events)
        answer = decide(fold(events), site, rules, now, holders, shared)
        with self._lock:
            self._recent[key] = answer
            while len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return answer

    def answer(self, question: Question) -> Decision:
        return self.decision(question.encounter, question.up_to_sequence, question.now)


def plan_of(decision: Decision, question: Question) -> Plan:
    """The keys, moments and hashes of a decision that a workflow sees."""
    deadline = decision.next_deadline
    closed = decision.outcome is not None
    return Plan(
        sequence=question.up_to_sequence,
        decided_at=question.now,
        stage=decision.stage.value,
        product=decision.product,
        payer_class=decision.payer_class,
        holds=tuple(hold.id for hold in decision.holds if hold.stands),
        hold_kinds=tuple(sorted({hold.kind for hold in decision.holds if hold.stands})),
        alerts=tuple(
            AlertIntent(key=_alert_key(alert), severity=alert.severity.value, since=alert.since)
            for alert in decision.alerts
        ),
        claims=tuple(
            ClaimIntent(letter=claim.letter, ordinal=claim.ordinal, content=claim.content_hash)
            for claim in decision.claims
            if claim.ready
        ),
        custody_content=custody_fingerprint(decision.custody),
        deadline=deadline.due if deadline else None,
        deadline_title=deadline.title if deadline else None,
        details=details_of(decision),
        rulebook_digest=decision.rulebook_digest,
        closure=Closure(outcome=decision.outcome.value, at=question.now) if closed and decision.outcome else None,
    )


def with_replies(plan: Plan, marks: Mapping[str, str]) -> Plan:
    """The plan with what payers answered as part of each claim's content, so that an answer wakes the claim's workflow.

    A claim that is no longer due and has an answer is in it, too: its void is followed to the end.
    """
    if not marks:
        return plan
    due = {intent.key: intent for intent in plan.claims}
    answered = [key for key in sorted(marks) if key not in due]
    gone = [ClaimIntent(letter=key.split("/")[0], ordinal=int(key.split("/")[1]), content="") for key in answered]
    claims = [
        intent.model_copy(update={"content": f"{intent.content}+{marks[intent.key]}"})
        if intent.key in marks
        else intent
        for intent in (*plan.claims, *gone)
    ]
    return plan.model_copy(update={"claims": tuple(claims)})


def _alert_key(alert: Alert) -> str:
    """The alert and what it says: a standing alert whose text or severity changed is written again."""
    said = (alert.severity.value, alert.title, alert.action, alert.events, alert.denial, alert.layer, alert.owner)
    return f"{alert.key}#{hashlib.sha256(repr(said).encode()).hexdigest()[:12]}"


def custody_fingerprint(entries: tuple[CustodyEntry, ...]) -> str:
    """Changes when any custody record's key or content changes."""
    body = [(entry.key, entry.content) for entry in entries]
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


MOST_SHOWN = 8


def details_of(decision: Decision) -> str:
    """The panel of the Temporal UI, half a screen wide: short lists (its tables have no gaps), nothing that names a person."""
    due = decision.next_deadline
    standing = [hold for hold in decision.holds if hold.stands]
    parts = [
        f"**Stage: {decision.stage.value}** · {decision.product} · {decision.payer_class}",
        f"Next: {due.title} by {due.due:%Y-%m-%d %H:%M} UTC" if due else "Next: nothing is waited for",
        _listed("Holds", [f"**{hold.title}** ({_words(hold.owner)}): {hold.fix}" for hold in standing]),
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
