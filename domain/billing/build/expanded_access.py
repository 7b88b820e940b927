"""An out-of-specification product infused under expanded access: supplied without charge and marked so on the claim."""

from __future__ import annotations

from domain.billing.build.draft import Draft
from domain.billing.model import CodedValue
from domain.encounter.attempts import disposition_of
from domain.encounter.facts import Fact
from domain.events.cells import DispositionSigned


def accepted_under_it(draft: Draft) -> tuple[Fact[DispositionSigned], ...]:
    """The signed dispositions that accepted the bags of the claim under expanded access."""
    signed = (disposition_of(draft.context.record, infusion.bag_id) for infusion in draft.services.given)
    return tuple(fact for fact in signed if fact is not None and fact.data.disposition == "expanded_access")


def add_expanded_access(draft: Draft) -> None:
    """Add the condition code for expanded access; an office claim has none."""
    signed = accepted_under_it(draft)
    if not signed or draft.professional:
        return
    on = draft.services.first
    row = draft.code("condition_expanded_access", on)
    reason = draft.reason_from(row, "The bag was accepted under expanded access.", *(fact.event_id for fact in signed))
    field = draft.location("condition_code", on).field
    draft.codes.append(CodedValue(kind="condition", code=row.code, field=field, reason=reason))


def note(draft: Draft) -> str:
    """The remark that the payer requires; empty for a purchased product."""
    return draft.policy("expanded_access_note", draft.services.first).value if accepted_under_it(draft) else ""
