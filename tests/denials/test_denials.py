"""All twelve denials of the guide: provoked by a feed, stopped before the claim with their fix, and gone after correction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from domain.billing.model import Claim
from domain.decision.model import Decision
from domain.encounter.model import Hold
from domain.rulebook import Rulebook
from domain.rulebook.rows import Denial
from domain.site import Site
from tests.denials.cases import CASES
from tests.denials.spoiling import Spoiled, corrections, name
from tests.kit import feeds
from tests.kit.feeds import ANCHOR, Event, events_of

END = datetime(2026, 7, 12, 23, tzinfo=UTC)
every = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number} {case.what}")


def decided(found: Iterable[Event], site: Site, rules: Rulebook, now: datetime = END) -> Decision:
    return feeds.decided(found, site, rules, now)


def hold_of(decision: Decision, case: Spoiled) -> Hold:
    found = [hold for hold in decision.holds if hold.id == case.rule]
    assert found, f"no hold {case.rule}; there are {sorted(hold.id for hold in decision.holds)}"
    return found[0]


def emitted(decision: Decision) -> set[str]:
    """What the lifecycle may send: ready and without an error."""
    return {claim.key for claim in decision.claims if claim.ready and not claim.errors}


def ready(decision: Decision) -> dict[str, Claim]:
    return {claim.key: claim for claim in decision.claims if claim.ready}


def test_all_twelve_are_provoked() -> None:
    assert {case.number for case in CASES} == set(range(1, 13))
    assert {case.feed[0] for case in CASES} == {"a", "b", "c"}


@every
def test_each_is_stopped_with_owner_fix_and_denial(case: Spoiled, site: Site, rules: Rulebook) -> None:
    hold = hold_of(decided(case.events(), site, rules), case)

    assert hold.is_open
    assert hold.requirement.denial == case.number
    assert hold.requirement.owner
    assert hold.requirement.releases_on
    assert hold.requirement.citation
    missing = [
        words for words in case.fix if words.lower() not in f"{hold.requirement.title} {hold.requirement.fix}".lower()
    ]
    assert missing == [], hold.requirement.fix
    row = rules.one(Denial, ANCHOR, number=case.number)
    assert f"G{431 + case.number}" in row.citation
    assert row.fix


@every
def test_a_claim_that_would_be_denied_is_not_emitted(case: Spoiled, site: Site, rules: Rulebook) -> None:
    decision = decided(case.events(), site, rules)

    assert case.held <= set(ready(decision)), sorted(ready(decision))
    assert not case.held & emitted(decision)
    if case.before is None:
        claim = ready(decision)[case.rule.split(".")[1] + "/1"]
        assert case.number in {edit.denial for edit in claim.errors}


@every
def test_claims_that_the_denial_does_not_affect_are_not_held(case: Spoiled, site: Site, rules: Rulebook) -> None:
    """A claim that the denial does not affect goes out unchanged."""
    decision = decided(case.events(), site, rules)
    whole = decided(events_of(case.feed), site, rules)
    beside = {"B/1"} if case.number == 11 else set()  # without a bed lymphodepletion is a claim of its own
    assert emitted(decision) == emitted(whole) - case.held | beside


@pytest.mark.parametrize("case", [c for c in CASES if c.before], ids=lambda case: f"{case.number} {case.what}")
def test_the_gate_is_closed_before_the_service_is_given(case: Spoiled, site: Site, rules: Rulebook) -> None:
    found = case.events()
    service = next(event for event in found if name(event) == case.before)
    label = case.rule.startswith("infusion.identity.label")
    moment = datetime.fromisoformat(service["time"]) - timedelta(hours=0 if label else 6)
    known = [event for event in found if datetime.fromisoformat(event["time"]) <= moment]

    decision = decided(known, site, rules, moment)

    stage = case.rule.partition(".")[0]
    assert hold_of(decision, case).requirement.denial == case.number
    assert stage not in {cleared.value for cleared in decision.cleared}
    if stage == "apheresis":
        assert decision.claims == ()


@every
def test_the_same_feed_corrected_passes(case: Spoiled, site: Site, rules: Rulebook) -> None:
    """Sent late or corrected by events, the encounter ends with the claims of the one that was right from the start."""
    spoiled, right = case.events(), events_of(case.feed)

    decision = decided([*spoiled, *corrections(spoiled, right)], site, rules)

    whole = decided(right, site, rules)
    assert [hold.id for hold in decision.holds if hold.is_open] == []
    assert emitted(decision) == emitted(whole) == set(ready(whole))
    assert bodies(decision) == bodies(whole)


def bodies(decision: Decision) -> dict[str, object]:
    """The content of each claim without its source events, since a correction adds its own."""
    return {
        claim.key: (
            [(line.revenue_code, line.hcpcs, line.units, line.charge) for line in claim.lines],
            [(diagnosis.code, diagnosis.role) for diagnosis in claim.diagnoses],
            [procedure.code for procedure in claim.procedures],
            claim.drg,
            claim.total,
        )
        for claim in decision.claims
    }


def test_a_grade_that_the_coder_omitted_is_added_from_the_chart(site: Site, rules: Rulebook) -> None:
    """Denial 8 of the guide: no hold; the documented grade is added to the claim, with a note."""
    found = events_of("a_mcl_medicare_inpatient")
    for event in found:
        if event["type"] == "cart.coding.completed":
            event["data"]["other_diagnoses"] = [{"code": "Z79.899"}]

    stay = ready(decided(found, site, rules))["C/1"]

    assert "D89.831" in {diagnosis.code for diagnosis in stay.diagnoses}
    assert (8, "warning") in {(edit.denial, edit.severity) for edit in stay.edits}
    assert stay.errors == ()


def test_a_stay_with_a_wrong_abstract_still_groups_to_the_car_t_ms_drg(site: Site, rules: Rulebook) -> None:
    """Denial 10: without the cell procedure the encoder would group to marrow transplant; the infusion on record decides."""
    found = events_of("a_mcl_medicare_inpatient")
    for event in found:
        if event["type"] == "cart.coding.completed":
            event["data"]["procedures"] = []

    stay = ready(decided(found, site, rules))["C/1"]

    assert stay.drg == "018"
    assert (10, "warning") in {(edit.denial, edit.severity) for edit in stay.edits}
