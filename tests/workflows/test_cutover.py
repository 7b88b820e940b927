"""Encounters taken over at every stage live on to their end: no alert about the past, nothing billed twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from intake.scenario_feeds import expand
from tests.kit.feeds import CUSTODY, SCENARIOS, Event, Stop, cut, kind
from tests.kit.worker import World
from workflows.names import encounter_workflow_id

SOURCE = "urn:cart-encounter:import"
TAKEN: dict[str, tuple[Stop, str, str, set[str]]] = {
    # where it was: the first event that comes after it, the stage, the letters billed elsewhere, the claims that are left
    "after_apheresis": (kind(CUSTODY, "courier_pickup"), "manufacturing", "A", {"B/1", "C/1"}),
    "in_manufacturing": (kind("cart.product.released"), "manufacturing", "A", {"B/1", "C/1"}),
    "after_lymphodepletion": (kind("cart.admission.started"), "infusion", "A", {"B/1", "C/1"}),
    "after_infusion": (kind("cart.toxicity.assessed"), "monitoring", "A", {"B/1", "C/1"}),
    "after_a_and_b_billed": (kind("cart.coding.completed"), "monitoring", "AB", {"C/1"}),
}
ORDINARY = {"claim_waiting_for_coding", "crs_drug_reminder", "site_of_care"}


def elsewhere(events: list[Event], letter: str) -> dict[str, Any]:
    """The former system's claim: the collection, or the first day of lymphodepletion, which no stay takes in."""
    what = {"A": "cart.apheresis.completed", "B": "cart.lymphodepletion.administered"}[letter]
    data = next(event for event in events if event["type"] == what)["data"]
    day = data["started_at"][:10]
    return {
        "letter": letter,
        "number": f"OLD-{letter}",
        "facility": data["facility"],
        "setting": "outpatient",
        "statement_from": day,
        "statement_through": day,
        "total": "1915.50",
    }


def imported(events: list[Event], stage: str, billed: str) -> Event:
    """The takeover of now; everything before came with it."""
    at = datetime.now(UTC).isoformat()
    return {
        **{key: events[0][key] for key in ("specversion", "subject")},
        "id": f"cutover/{events[0]['subject']}",
        "source": SOURCE,
        "type": "cart.encounter.imported",
        "time": at,
        "data": {
            "at": at,
            "stage": stage,
            "system": "former list",
            "attested_by": "staff-7",
            "role": "coordinator",
            "billed": [elsewhere(events, letter) for letter in billed],
            "not_billed": ["B", "C"],
        },
    }


@pytest.mark.parametrize("where", sorted(TAKEN))
async def test_an_encounter_is_taken_over_and_goes_on_to_its_end(world: World, where: str) -> None:
    stop, stage, billed, left = TAKEN[where]
    before, first = cut("a", stop, f"-{where.replace('_', '')}")
    past = [{**event, "source": SOURCE} for event in before if event["type"] != "cart.appointment.booked"]
    encounter = await world.post(imported(before, stage, billed), *past)
    row = await world.settled(encounter)
    assert row.stage == stage
    assert set(world.alerts(encounter, None)) == set()
    assert {hold["gate"] for hold in row.view["holds"]} & set(EARLIER[stage]) == set()
    steps = [record.content for record in world.custody(encounter)]
    assert sum('"attested_by":"staff_' in content for content in steps) == len(steps) - 1

    await world.post(first, *rest(before, first, f"-{where.replace('_', '')}"))
    await world.settled(encounter)
    await world.skip(encounter, timedelta(days=90))
    await world.eventually(lambda: world.encounter(encounter).status == "closed", "closed")
    assert set(world.alerts(encounter, None)) <= ORDINARY
    claims = world.claims(encounter)
    assert set(claims) == left
    assert {claim.error_count for claim in claims.values()} == {0}
    if where == "after_infusion":
        await world.record(encounter_workflow_id(encounter), "encounter_taken_over")


EARLIER = {
    "manufacturing": ("apheresis",),
    "infusion": ("apheresis", "manufacturing", "lymphodepletion"),
    "monitoring": ("apheresis", "manufacturing", "lymphodepletion", "infusion"),
}


def rest(before: list[Event], first: Event, run: str) -> list[Event]:
    """What comes after the first event of the part that happens here."""
    whole = expand_like(before, run)
    at = next(number for number, event in enumerate(whole) if event["id"] == first["id"])
    return whole[at + 1 :]


def expand_like(before: list[Event], run: str) -> list[Event]:
    """The whole feed on the same anchor as its beginning."""
    feed = SCENARIOS["a"].feed
    probe = expand(feed, datetime.now(UTC).date(), suffix=run)
    days = datetime.fromisoformat(before[0]["time"]).date() - datetime.fromisoformat(probe[0]["time"]).date()
    return expand(feed, datetime.now(UTC).date() + days, suffix=run)
