"""What a payer should pay, where public amounts exist."""

from __future__ import annotations

from decimal import Decimal

from domain.billing.submission.expected_payment import expected
from tests.domain.billing.submission.course import base
from tests.kit.rules import rulebook
from tests.kit.site import site


def test_a_stay_is_expected_at_weight_times_base_rate_and_a_drug_at_its_limit() -> None:
    rules, claim = rulebook(), base().model_copy(update={"drg": "018"})
    assert expected(claim, rules, site()) is None
    rate = Decimal("7000.00")
    places = tuple(one.model_copy(update={"drg_base_rate": rate}) for one in site().facilities)
    paid = site().model_copy(update={"facilities": places})
    stay = expected(claim, rules, paid)
    assert stay is not None
    assert stay.amount == (Decimal("43.1828") * rate).quantize(Decimal("0.01"))
    assert expected(claim.model_copy(update={"payer": "uhc"}), rules, paid) is None
    line = claim.lines[0].model_copy(update={"hcpcs": "Q2053", "units": 1})
    limit = expected(claim.model_copy(update={"setting": "outpatient", "lines": (line,)}), rules, site())
    assert limit is not None
    assert limit.amount == Decimal("489290.60")
