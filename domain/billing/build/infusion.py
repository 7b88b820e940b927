"""The lines of the cell infusion (Claim C): product, administration, receipt (G218-226, G288-289, G325-336, C10)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.billing.build.draft import Draft, LineDraft
from domain.billing.build.expanded_access import accepted_under_it
from domain.billing.model import CodedValue
from domain.billing.ndc import eleven
from domain.encounter.facts import Fact
from domain.encounter.record import Infusion
from domain.events.cells import ProductReleased


def add_infusion(draft: Draft) -> None:
    """One product unit for the therapeutic dose, its administration, and the steps that the payer tracks."""
    given = draft.services.given
    if not given:
        return
    first = given[0]
    on = draft.context.day(first.started_at, first.facility)
    with draft.section():
        _product_line(draft, given, on)
    with draft.section():
        _administration_line(draft, first, on)
    with draft.section():
        _receipt_line(draft, first, on)
    with draft.section():
        _collection_services(draft, first, on)
    if draft.inpatient:
        with draft.section():
            _invoice_cost(draft, on, first)


def release_of(draft: Draft, bag_id: str) -> Fact[ProductReleased] | None:
    """The manufacturer's release of a bag; the latest one counts."""
    found = [fact for fact in draft.context.record.releases if fact.data.bag_id == bag_id]
    return found[-1] if found else None


def _product_line(draft: Draft, given: tuple[Infusion, ...], on: date) -> None:
    product = draft.context.product_row(on)
    label = given[0].last.data.label
    events = tuple(event for infusion in given for event in infusion.events)
    text = "One therapeutic dose is one unit, whatever the cell count; the label names product and NDC."
    printed = not draft.inpatient or draft.policy("product_hcpcs_inpatient", on).value == "printed"
    draft.lines.append(
        LineDraft(
            service="cell_product",
            on=on,
            units=product.claim_units,
            revenue_code=draft.code("rev_cell_product", on).code,
            hcpcs=product.hcpcs,
            printed=printed,
            description=f"{product.brand} ({product.generic})",
            modifiers=_product_modifiers(draft, on),
            ndc=eleven(label.ndc),
            ndc_quantity=Decimal(1),
            ndc_unit="UN",
            reason=draft.reason_from(product, text, *events),
        )
    )


def _product_modifiers(draft: Draft, on: date) -> tuple[str, ...]:
    if draft.inpatient or draft.context.policy("product_waste_modifier", on, draft.services.facility).value != "report":
        return ()
    return tuple(row.code for row in draft.context.codes("modifier_no_waste", on))


def _administration_line(draft: Draft, first: Infusion, on: date) -> None:
    if draft.inpatient and draft.policy("administration_line_inpatient", on).value == "none":
        return
    revenue = draft.code("rev_cell_administration", on)
    if draft.inpatient:
        reason = draft.reason_from(
            revenue,
            "The cells were infused on this day; the procedure code of the stay describes the infusion.",
            *first.events,
        )
        draft.lines.append(LineDraft("cell_administration", on, 1, revenue.code, None, revenue.title, reason))
        return
    row = draft.code("cell_administration", on)
    reason = draft.reason_from(
        row, "The cells were infused on this day; the code is the one for the date of service.", *first.events
    )
    draft.lines.append(LineDraft("cell_administration", on, 1, revenue.code, row.code, row.title, reason))


def _receipt_line(draft: Draft, first: Infusion, on: date) -> None:
    key = "receipt_preparation_line_inpatient" if draft.inpatient else "receipt_preparation_line"
    if draft.policy(key, on).value != "tracking":
        return
    row = draft.code("receipt_preparation", on)
    revenue = draft.code("rev_receipt_preparation", on)
    reason = draft.reason_from(
        row, "Receipt and preparation of the product, tracked separately from the product line.", *first.events
    )
    code = None if draft.inpatient else row.code
    draft.lines.append(LineDraft("receipt_preparation", on, 1, revenue.code, code, row.title, reason))


def _collection_services(draft: Draft, first: Infusion, on: date) -> None:
    """Add collection and transport preparation to the infusion claim, where the rulebook requires the whole set (G289, G332)."""
    if draft.inpatient or draft.policy("collection_services_on_infusion_claim", on).value != "yes":
        return
    for role, revenue_role, service in (
        ("harvest", "rev_collection", "collection"),
        ("transport_preparation", "rev_transport_preparation", "transport_preparation"),
    ):
        row = draft.code(role, on)
        text = "Listed with the administration; the service was given on the day of collection."
        reason = draft.reason_from(row, text, *first.events)
        draft.lines.append(LineDraft(service, on, 1, draft.code(revenue_role, on).code, row.code, row.title, reason))


def _invoice_cost(draft: Draft, on: date, first: Infusion) -> None:
    if draft.policy("invoice_cost", on).value != "reported":
        return
    cost = draft.context.site.product_invoice_cost.get(draft.context.product)
    if cost is None or accepted_under_it(draft):
        return
    row = draft.code("value_invoice_cost", on)
    draft.codes.append(
        CodedValue(
            kind="value",
            code=row.code,
            amount=cost,
            field=draft.location("value_code", on).field,
            reason=draft.reason_from(row, "What the product cost the hospital, from the site file.", *first.events),
        )
    )
