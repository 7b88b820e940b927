"""A visit on the day of a procedure: billed with modifier 25 only on a documented separate evaluation (G240-242)."""

from __future__ import annotations

from domain.billing.build.draft import Draft, LineDraft
from domain.events.access import PlainEvidence


def add_evaluations(draft: Draft) -> None:
    """Posted visits of the claim's own days whose separate evaluation an event records. Other visits stay off the claim."""
    if draft.inpatient:
        return
    days = {line.on for line in draft.lines}
    with draft.section():
        visits = {row.code: row for row in draft.context.codes("evaluation", draft.services.first)}
        for fact in draft.context.record.charges:
            charge = fact.data
            row = visits.get(charge.hcpcs or "")
            notes = [event for note, event in _notes(draft) if note.dated == charge.date]
            if row is None or charge.date not in days or draft.context.stay_of(charge) or not notes:
                continue
            modifier = draft.code("modifier_separate_evaluation", charge.date)
            text = "A separate evaluation of a new complication is documented for this day."
            line = LineDraft(
                service="evaluation",
                on=charge.date,
                units=charge.units,
                revenue_code=charge.revenue_code,
                hcpcs=row.code,
                description=row.title,
                reason=draft.reason_from(row, text, fact.event_id, *notes),
                modifiers=(modifier.code,),
            )
            draft.lines.append(line)


def _notes(draft: Draft) -> list[tuple[PlainEvidence, str]]:
    found = draft.context.record.documents("separate_evaluation")
    return [(note, event) for note, event in found if isinstance(note, PlainEvidence)]
