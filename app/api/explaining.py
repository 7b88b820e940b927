"""Explains claim lines, holds and alerts: rule, edition, dates, source and events, never values of an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.api.answers import Explanation
from domain.rulebook import Rulebook
from domain.rulebook.rows import Row
from store.engine import Session
from store.queries.alerts import alerts_of
from store.queries.claims import current_claims
from store.tables import AlertRecord, ClaimVersion, Encounter


def explanations(
    session: Session, encounter: Encounter, rules: Rulebook | None, *, claims: bool = True
) -> list[Explanation]:
    """Returns the reason of every claim line (with `claims`), hold and alert of an encounter."""
    rows = {row.id: row for table in rules.rows.values() for row in table} if rules else {}
    edition = rules.edition if rules else None
    alerts = sorted(alerts_of(session, encounter.encounter_id), key=lambda alert: alert.alert_id)
    lines = _lines(current_claims(session, encounter.encounter_id)) if claims else ()
    found = [*lines, *_holds(encounter), *_alerts(alerts)]
    return [_with_row(one, rows.get(one.rule), edition) for one in found]


def _with_row(one: Explanation, row: Row | None, edition: str | None) -> Explanation:
    if row is None:
        return one
    return one.model_copy(
        update={
            "edition": edition,
            "effective_from": row.effective_from,
            "effective_to": row.effective_to,
            "status": row.status,
            "source": row.citation,
        }
    )


def _explanation(subject: str, what: str, text: str, rule: str, source: str, events: Iterable[str]) -> Explanation:
    return Explanation.model_validate(
        {
            "subject": subject,
            "what": what,
            "text": text,
            "rule": rule,
            "edition": None,
            "effective_from": None,
            "effective_to": None,
            "status": None,
            "source": source,
            "events": list(events),
        }
    )


def _lines(claims: Iterable[ClaimVersion]) -> Iterator[Explanation]:
    for claim in claims:
        for line in claim.document.get("lines", ()):
            reason = line["reason"]
            subject = f"claim {claim.letter}/{claim.ordinal} line {line['number']}"
            text = reason.get("text") or line["description"]
            one = _explanation(subject, "claim_line", text, reason["rule"], reason["citation"], reason["events"])
            yield one.model_copy(update={"edition": claim.edition})


def _holds(encounter: Encounter) -> Iterator[Explanation]:
    for hold in encounter.view.get("holds", ()):
        subject = f"hold {hold['id']}"
        yield _explanation(subject, "hold", hold["missing"], hold["rule"], hold["citation"], hold.get("events", ()))


def _alerts(alerts: Iterable[AlertRecord]) -> Iterator[Explanation]:
    for alert in alerts:
        yield _explanation(f"alert {alert.alert_id}", "alert", alert.title, alert.rule, alert.citation, alert.events)
