"""The remarks of a claim: values that have no form field (FL 80, NTE; corrections H)."""

from __future__ import annotations

from domain.billing.build.draft import Draft
from domain.billing.build.expanded_access import note


def remarks(draft: Draft) -> str:
    """Product name and lot of every bag that was infused. One contractor requires the name; no form has a field for the lot."""
    given = draft.services.given
    if not given:
        return ""
    row = next((line for line in draft.lines if line.service == "cell_product"), None)
    name = row.description if row else draft.context.product
    lots = ", ".join(infusion.last.data.label.lot for infusion in given)
    return "; ".join(filter(None, (note(draft), f"{name}, lot {lots}")))
