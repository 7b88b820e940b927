"""A product out of specification under expanded access: no purchase price, and the payer's code and note."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.billing.model import Claim
from tests.domain.billing.stories import Story


def stay(disposition: str | None, *, posted: str = "") -> Claim:
    story = Story().referral().collection().released().mcl_course()
    if disposition:
        signed = {
            "bag_id": "BAG-1",
            "disposition": disposition,
            "reason": "viability",
            "role": "director",
            "signer": "s",
        }
        story.fact("cart.disposition.signed", story.at(-8), **signed)
    story.admitted(-1).infused().discharged(14).coded()
    if posted:
        story.charge("cells", 0, "0891", posted, admission_id="ADM1")
    return story.claim("C/1")


def errors(claim: Claim) -> set[str]:
    return {edit.id for edit in claim.errors}


def test_the_chargemaster_price_holds_the_claim_until_the_agreed_charge_is_posted() -> None:
    assert "expanded_access_charge" in errors(stay("expanded_access"))

    claim = stay("expanded_access", posted="1.01")

    assert "expanded_access_charge" not in errors(claim)
    assert [line.charge for line in claim.lines if line.service == "cell_product"] == [Decimal("1.01")]


def test_a_code_and_a_note_inform_the_payer_and_no_invoice_cost_is_reported() -> None:
    claim = stay("expanded_access", posted="1.01")

    assert "90" in [value.code for value in claim.codes if value.kind == "condition"]
    assert claim.remarks.startswith("Expand Acc Use; ")
    assert "86" not in [value.code for value in claim.codes if value.kind == "value"]
    assert "invoice_cost_missing" not in errors(claim)


@pytest.mark.parametrize("disposition", [None, "release"])
def test_a_purchased_product_has_neither_code_nor_note(disposition: str | None) -> None:
    claim = stay(disposition)

    assert "90" not in [value.code for value in claim.codes]
    assert "Expand" not in claim.remarks
    assert "86" in [value.code for value in claim.codes if value.kind == "value"]
    assert "expanded_access_charge" not in errors(claim)
