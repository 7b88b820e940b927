"""What must hold of every decision, whatever was reported."""

from __future__ import annotations

from domain.billing.model import Claim
from domain.decision.model import Decision
from domain.encounter.facts import Fact, Facts, fold
from domain.encounter.model import Enforcement
from domain.events import EventData, care, cells, revenue
from domain.events.base import Stage
from tests.kit.patient import SECRETS
from tests.kit.stories import Story

STAGES = tuple(Stage)

DOCUMENTED: dict[str, tuple[type[EventData], ...]] = {
    "collection": (cells.ApheresisCompleted,),
    "transport_preparation": (cells.ApheresisCompleted,),
    "receipt_preparation": (care.InfusionStopped, care.InfusionCompleted),
    "cell_administration": (care.InfusionStopped, care.InfusionCompleted),
    "cell_product": (care.InfusionStopped, care.InfusionCompleted),
    "room_and_board": (care.AdmissionStarted, care.AdmissionChanged, revenue.ChargePosted),
    "posted": (revenue.ChargePosted,),
    "evaluation": (revenue.ChargePosted, cells.ApheresisCompleted),
}
"""What documents the service of a line; every other line is a drug or its administration."""

DRUGS = (care.LymphodepletionAdministered, care.MedicationAdministered)


def check(story: Story, decision: Decision) -> None:
    """Nothing is cleared that is held, billed twice, billed without its document, lost, or with an identity."""
    facts = fold(story.facts)
    _gates(decision)
    _claims(decision.claims, facts)
    _nothing_lost(story, decision, facts)
    assert (decision.stage is Stage.CLOSED) is (decision.outcome is not None)
    if decision.outcome is not None:
        assert all(claim.ready and not claim.errors for claim in decision.claims)
    said = repr((decision.holds, decision.alerts, decision.deadlines, decision.milestones, decision.gates))
    assert not [secret for secret in SECRETS if secret in said]


def _gates(decision: Decision) -> None:
    for gate in decision.gates:
        holding = [r for r in gate.requirements if not r.met and r.enforcement is Enforcement.HOLD]
        assert gate.open is all(r.key in gate.overridden for r in holding)
        before = [g for g in decision.gates if STAGES.index(g.stage) <= STAGES.index(gate.stage)]
        assert (gate.stage in decision.cleared) is all(g.open for g in before)
        assert not any(r.kind == "identity" and r.key in gate.overridden for r in gate.requirements)
    if any(hold.requirement.kind == "identity" and hold.gate == "infusion" for hold in decision.holds):
        assert Stage.INFUSION not in decision.cleared


def _claims(claims: tuple[Claim, ...], facts: Facts) -> None:
    standing: dict[str, Fact[EventData]] = {fact.event_id: fact for fact in facts.all}
    billed: list[str] = []
    for claim in claims:
        for line in claim.lines:
            assert set(line.reason.events) <= set(standing), "a line rests on facts in effect"
            documents = DOCUMENTED.get(line.service, DRUGS)
            assert any(isinstance(standing[event].data, documents) for event in line.reason.events), line.service
            if line.service == "cell_product":
                billed += {getattr(standing[event].data, "bag_id", "") for event in line.reason.events}
    assert len(billed) == len(set(billed)), "one product line for a bag"


def _nothing_lost(story: Story, decision: Decision, facts: Facts) -> None:
    kept = {fact.event_id for fact in (*facts.all, *facts.retracted)}
    assert kept == {fact.event_id for fact in story.facts}
    scanned = ("cart.custody", "cart.apheresis", "cart.infusion", "cart.product.released", "cart.disposition")
    chain = {fact.event_id for fact in story.facts if fact.type.startswith(scanned)}
    assert chain <= {entry.key for entry in decision.custody}, "no transfer is lost, also when it was retracted"
    if facts.of(revenue.ChargePosted) and not any(claim.lines for claim in decision.claims):
        assert "charge_unclaimed" in {alert.kind for alert in decision.alerts}
