"""Every payer, indication and product of the rulebook has an answer in which everything holds that must."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.base import Stage
from domain.rulebook.rows import Indication, Payer
from tests.domain.decision.invariants import check
from tests.kit.rules import rulebook
from tests.kit.stories import Story, holds, kinds, until_infused


@pytest.mark.parametrize("edition", ["current", "guide"])
@pytest.mark.parametrize("setting", ["inpatient", "outpatient", "office"])
def test_every_payer_and_indication_has_an_answer(edition: str, setting: str) -> None:
    """No two rows of the rulebook answer the same question of a gate."""
    rules = rulebook(edition)
    for payer in sorted({row.key for row in rules.table(Payer)} | {"unlisted"}):
        for row in rules.table(Indication):
            story = Story(edition=edition)
            changes: dict[str, Any] = {"product": row.product, "indication": row.key}
            story.refer(coverage={"payer": payer, "member_id": "X"}, planned_setting=setting, **changes)
            story.book("apheresis", -24, -40)
            story.book("infusion", 0, -40, setting=setting)
            check(story, story.decide(-39))


def test_a_second_product_is_data_alone() -> None:
    """Enabled by its row and certified by reports, another product goes the whole way."""
    from dataclasses import replace

    from domain.decision.decide import decide
    from domain.encounter.facts import fold
    from domain.rulebook.rows import Product

    rules = rulebook()
    products = tuple(row.model_copy(update={"enabled": True}) for row in rules.table(Product))
    enabled = replace(rules, rows={**rules.rows, "products": products})
    story = Story()
    documents = story.documents(-47, "btk_inhibitor")
    story.refer(product="yescarta", indication="lbcl", diagnosis="C83.30", evidence=documents)
    for layer, holder in (("authorized_center", "st_mary"), ("manufacturing_chain", "Kite Pharma")):
        story.certify(-44, layer, holder, "2020-01-01", None, product="yescarta")
    story.book("apheresis", -24, -40)
    story.collect()
    story.release(ndc="71287-119-01")
    story.receive(ndc="71287-119-01")
    story.deplete()
    story.admit()
    story.infuse(label={"hcpcs": "Q2041", "ndc": "71287-119-01"})

    decision = decide(fold(story.facts), story.site, enabled, story.at(1), story.holders)

    assert decision.stage is Stage.MONITORING
    assert decision.product == "yescarta"
    assert decision.holds == ()
    assert not {"identity_mismatch", "performed_uncleared"} & set(kinds(decision))


def test_a_correction_that_does_not_fit_opens_an_alert() -> None:
    story = until_infused()
    last = story.facts[-1]
    of = {"of": {"source": last.source, "id": last.id}, "reason": "x", "signer": "s", "replacement": {"nonsense": 1}}
    event = story.report(1, "cart.correction.made", of)

    decision = story.decide(1)

    assert kinds(decision)["broken_correction"].events == (event,)
    assert holds(decision) == {}
