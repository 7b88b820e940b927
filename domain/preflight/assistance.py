"""Help with what the patient owes and with travel, by coverage, indication and manufacturer (G420-425)."""

from __future__ import annotations

from datetime import date

from domain.encounter.context import EncounterContext
from domain.preflight.answer import Help
from domain.rulebook import ANY
from domain.rulebook.rows import Assistance


def assistance(context: EncounterContext, on: date) -> tuple[Help, ...]:
    """The assistance programs for this coverage, each with what to check before it is promised."""
    return tuple(
        Help(
            title=row.title,
            condition=row.condition,
            check=row.check,
            income_percent_fpl=row.income_percent_fpl,
            distance_miles=row.distance_miles,
            citation=row.citation,
        )
        for row in context.rules.find(Assistance, on)
        if _open_to(context, row, on)
    )


def _open_to(context: EncounterContext, row: Assistance, on: date) -> bool:
    product = context.product_row(on)
    maker = product.manufacturer if product else None
    return (
        context.payer_class in row.payer_classes
        and row.indication in (ANY, context.indication)
        and (not row.manufacturers or maker in row.manufacturers)
    )
