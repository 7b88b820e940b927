"""Make alerts: a finding and the rulebook row of its kind become an alert."""

from __future__ import annotations

from datetime import date, datetime

from domain.alerts.model import Alert, Finding, Severity
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind


def alert(rules: Rulebook, finding: Finding, on: date, since: datetime) -> Alert:
    """Return the alert of a finding, by the row of its kind in effect on a day.

    Args:
        since: when the condition became true, for a finding that does not state it.

    Raises:
        NoRule: the rulebook has no row of the kind.
    """
    row = rules.one(AlertKind, on, kind=finding.kind)
    only = finding.causes[0] if len(finding.causes) == 1 else None
    return Alert(
        key=finding.key,
        kind=finding.kind,
        severity=finding.severity or Severity(row.severity),
        owner=row.owner,
        title=f"{finding.subject}: {row.title}" if finding.subject else row.title,
        action=_text(row, finding),
        citation=only.citation if only and only.citation else row.citation,
        rule=row.id,
        since=finding.since or since,
        acknowledge_hours=row.acknowledge_hours,
        denial=_denial(row, finding),
        layer=finding.layer,
        events=finding.events,
    )


def _denial(row: AlertKind, finding: Finding) -> int | None:
    """The denial at stake; none where several are possible."""
    if len(finding.causes) > 1:
        return None
    named = finding.causes[0].denial if finding.causes else finding.denial
    return named if named is not None else row.denial


def _text(row: AlertKind, finding: Finding) -> str:
    """Return details, possible causes, what to do, and by when."""
    parts = [sentence(finding.detail)]
    if len(finding.causes) == 1:
        only = finding.causes[0]
        parts += [sentence(f"Possible cause: {only.title}"), only.fix]
    else:
        listed = [f"{number} {cause.title}: {cause.fix}" for number, cause in enumerate(finding.causes, start=1)]
        parts += [" ".join(("Possible causes:", *listed)) if listed else "", row.action]
    return " ".join(filter(None, (*parts, finding.next_step)))


def sentence(text: str) -> str:
    """Return a noun phrase or clause as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}" if text else ""
