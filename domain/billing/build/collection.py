"""The lines of a collection (Claim A, or on the claim of a stay): G202-208, G308-314, corrections B3, B6, C10."""

from __future__ import annotations

from domain.billing.build.draft import Draft, LineDraft
from domain.encounter.facts import Fact
from domain.events.cells import ApheresisCompleted

_NOT_BILLED = "none"


def add_collections(draft: Draft) -> None:
    """One line per collection, and one for transport preparation where the payer tracks it."""
    for fact in draft.services.collections:
        with draft.section():
            _collection_line(draft, fact)
        with draft.section():
            _transport_line(draft, fact)


def _collection_line(draft: Draft, fact: Fact[ApheresisCompleted]) -> None:
    on = draft.context.day(fact.data.started_at, fact.data.facility)
    choice = draft.policy("collection_code", on)
    draft.policy("collection_billed_apart", on)
    if choice.value == _NOT_BILLED:
        return
    row = draft.code(choice.value, on)
    printed = not draft.inpatient or draft.policy("drug_hcpcs_inpatient", on).value == "printed"
    draft.lines.append(
        LineDraft(
            service="collection",
            on=on,
            units=1,
            revenue_code=draft.code("rev_collection", on).code,
            hcpcs=row.code,
            printed=printed,
            description=row.title,
            reason=draft.reason_from(
                row, "One collection of the patient's own cells was completed on this day.", fact.event_id
            ),
        )
    )


def _transport_line(draft: Draft, fact: Fact[ApheresisCompleted]) -> None:
    on = draft.context.day(fact.data.started_at, fact.data.facility)
    if draft.policy("transport_preparation_line", on).value != "tracking":
        return
    row = draft.code("transport_preparation", on)
    text = "The collected cells were prepared for transport; this payer tracks that step separately."
    draft.lines.append(
        LineDraft(
            service="transport_preparation",
            on=on,
            units=1,
            revenue_code=draft.code("rev_transport_preparation", on).code,
            hcpcs=row.code,
            printed=not draft.inpatient,
            description=row.title,
            reason=draft.reason_from(row, text, fact.event_id),
        )
    )
