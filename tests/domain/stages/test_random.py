"""Random valid and invalid encounters: whatever comes, nothing is cleared that is held, and nothing is billed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decision import Decision, Enforcement
from domain.events.base import Stage
from domain.rulebook.rows import Indication, Payer
from tests.domain.stages.stories import BAG, Story, holds, kinds, rulebook, until_infused

Deed = Callable[[Story, int], object]

STAGES = tuple(Stage)


def _disposition(what: str) -> Deed:
    def sign(story: Story, day: int) -> object:
        data = {"bag_id": BAG, "disposition": what, "reason": "reviewed", "role": "director", "signer": "staff-9"}
        return story.tell(day, "cart.disposition.signed", data)

    return sign


def _fail(story: Story, day: int) -> object:
    data = {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "no growth"}
    return story.tell(day, "cart.manufacturing.failed", data)


def _retract_last(story: Story, day: int) -> object:
    if not story.facts:
        return None
    last = story.facts[-1]
    of = {"of": {"source": last.source, "id": last.id}, "reason": "mistake", "signer": "staff-9", "retract": True}
    return story.tell(day, "cart.correction.made", of)


DEEDS: tuple[Deed, ...] = (
    lambda s, d: s.refer(d),
    lambda s, d: s.refer(d, coverage={"payer": "aetna", "member_id": "X"}),
    lambda s, d: s.refer(d, indication="b_all", diagnosis="C91.02"),
    lambda s, d: s.refer(d, facilities={"apheresis": "lakeside", "infusion": "st_mary"}, evidence=[]),
    lambda s, d: s.authorize(d, d, d + 40),
    lambda s, d: s.tell(d, "cart.authorization.decided", {"number": "AUTH-1", "decision": "denied"}),
    lambda s, d: s.book("apheresis", d + 5, d),
    lambda s, d: s.book("infusion", d + 20, d, setting="outpatient"),
    lambda s, d: s.collect(d),
    lambda s, d: s.collect(d, ordinal=2, coi="COI-2", din="DIN-2"),
    lambda s, d: s.release(d),
    lambda s, d: s.release(d, bag="BAG-2", lot="OTHER"),
    lambda s, d: s.release(d, viable_car_cells=900_000_000),
    lambda s, d: s.receive(d),
    lambda s, d: s.receive(d, lot="OTHER", seal_intact=False),
    lambda s, d: s.hand_over(d, "thaw", bag_id=BAG),
    lambda s, d: s.deplete(d),
    lambda s, d: s.dose(d, "cyclophosphamide", 1665),
    lambda s, d: s.admit(d),
    lambda s, d: s.admit(d, stay="ADM-2"),
    lambda s, d: s.discharge(d),
    lambda s, d: s.code(d),
    lambda s, d: s.infuse(d),
    lambda s, d: s.infuse(d, what="stopped", reason="reaction"),
    lambda s, d: s.infuse(d, label={"hcpcs": "Q2041"}),
    lambda s, d: s.infuse(d, bag="BAG-2", verified_by=[]),
    lambda s, d: s.assess(d, crs=2),
    lambda s, d: s.override(d, "apheresis.eligibility.ecog", d + 5),
    lambda s, d: s.override(d, "infusion.identity.label.hcpcs", d + 50),
    lambda s, d: s.withdraw(d, "progression"),
    _disposition("release"),
    _disposition("destroy"),
    _fail,
    _retract_last,
)


def check(story: Story, decision: Decision) -> None:
    """What must hold of every decision."""
    for gate in decision.gates:
        holding = [r for r in gate.requirements if not r.met and r.enforcement is Enforcement.HOLD]
        assert gate.open is all(r.key in gate.overridden for r in holding)
        before = [g for g in decision.gates if STAGES.index(g.stage) <= STAGES.index(gate.stage)]
        assert (gate.stage in decision.cleared) is all(g.open for g in before)
        assert not any(r.kind == "identity" and r.key in gate.overridden for r in gate.requirements)
    product_lines = [line for claim in decision.claims for line in claim.lines if line.service == "cell_product"]
    bags = {getattr(fact.data, "bag_id", None) for fact in story.facts if fact.type.startswith("cart.infusion")}
    assert len(product_lines) <= len(bags)
    billed = {event for claim in decision.claims for line in claim.lines for event in line.reason.events}
    assert billed <= {fact.event_id for fact in story.facts}
    chain = {
        fact.event_id
        for fact in story.facts
        if fact.type.startswith(("cart.custody", "cart.apheresis", "cart.infusion"))
    }
    assert chain <= {entry.key for entry in decision.custody}, "no hand-over is lost, also when it was retracted"
    assert (decision.stage is Stage.CLOSED) is (decision.outcome is not None)
    if decision.outcome is not None:
        assert all(claim.ready and not claim.errors for claim in decision.claims)
    if any(hold.kind == "identity" and hold.gate == "infusion" for hold in decision.holds):
        assert Stage.INFUSION not in decision.cleared
    text = repr((decision.holds, decision.alerts, decision.deadlines, decision.milestones, decision.gates))
    assert not [secret for secret in ("SYNTHETIC", "MRN-1", "1EG4TE5MK73", "1960") if secret in text]


@settings(max_examples=120, deadline=None)
@given(
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 6)), min_size=1, max_size=14),
    later=st.integers(0, 60),
)
def test_whatever_comes_nothing_is_cleared_that_is_held(deeds: list[tuple[Deed, int]], later: int) -> None:
    story, day = Story(), -60
    for deed, pause in deeds:
        day += pause
        deed(story, day)
        check(story, story.decide(day))
    check(story, story.decide(day + later))


@pytest.mark.parametrize("edition", ["current", "guide"])
@pytest.mark.parametrize("setting", ["inpatient", "outpatient", "office"])
def test_every_payer_and_indication_has_an_answer(edition: str, setting: str) -> None:
    """No two rows of the rulebook answer the same question of a gate."""
    rules = rulebook(edition)
    for payer in sorted({row.key for row in rules.table(Payer)} | {"nobody"}):
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

    from domain.decide import decide
    from domain.facts import fold
    from domain.rulebook.rows import Product

    rules = rulebook()
    products = tuple(row.model_copy(update={"enabled": True}) for row in rules.table(Product))
    enabled = replace(rules, rows={**rules.rows, "products": products})
    story = Story()
    papers = story.papers(-47, "btk_inhibitor")
    story.refer(product="yescarta", indication="lbcl", diagnosis="C83.30", evidence=papers)
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


def test_a_correction_that_does_not_fit_is_said() -> None:
    story = until_infused()
    last = story.facts[-1]
    of = {"of": {"source": last.source, "id": last.id}, "reason": "x", "signer": "s", "replacement": {"nonsense": 1}}
    event = story.tell(1, "cart.correction.made", of)

    decision = story.decide(1)

    assert kinds(decision)["broken_correction"].events == (event,)
    assert holds(decision) == {}
