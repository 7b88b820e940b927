"""Help with what the patient owes and with travel, by coverage, indication and maker (G420-425)."""

from __future__ import annotations

from datetime import date

from domain.encounter.context import Case
from domain.preflight.answer import Help
from domain.rulebook import ANY
from domain.rulebook.rows import Assistance


def assistance(case: Case, on: date) -> tuple[Help, ...]:
    """The programmes this patient's coverage may use; each says what to check before it is promised."""
    return tuple(
        Help(
            title=row.title,
            condition=row.condition,
            check=row.check,
            income_percent_fpl=row.income_percent_fpl,
            distance_miles=row.distance_miles,
            citation=row.citation,
        )
        for row in case.rules.find(Assistance, on)
        if _open_to(case, row, on)
    )


def _open_to(case: Case, row: Assistance, on: date) -> bool:
    product = case.product_row(on)
    maker = product.manufacturer if product else None
    return (
        case.payer_class in row.payer_classes
        and row.indication in (ANY, case.indication)
        and (not row.manufacturers or maker in row.manufacturers)
    )
