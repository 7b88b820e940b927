"""Every wait has a deadline: when it passes, its alert opens and the encounter keeps waiting; the late fact resolves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.kit.feeds import CUSTODY, Event, Stop, booking, cut, kind
from tests.kit.worker import World
from workflows.names import encounter_workflow_id

OVERDUE: dict[str, tuple[str, Stop]] = {
    # alert: the feed, and the event that does not come
    "authorization_submission_overdue": ("b", kind("cart.authorization.submitted")),
    "authorization_decision_overdue": ("b", kind("cart.authorization.decided")),
    "evidence_overdue": ("e", kind("cart.evidence.added")),
    "apheresis_unbooked": ("a", booking("apheresis")),
    "apheresis_undocumented": ("a", kind("cart.apheresis.completed")),
    "pickup_overdue": ("a", kind(CUSTODY, "courier_pickup")),
    "manufacturer_receipt_overdue": ("a", kind(CUSTODY, "manufacturer_receipt")),
    "manufacturing_start_overdue": ("a", kind(CUSTODY, "manufacturing_start")),
    "release_overdue": ("a", kind("cart.product.released")),
    "shipment_overdue": ("a", kind(CUSTODY, "shipped")),
    "site_receipt_overdue": ("a", kind(CUSTODY, "site_receipt")),
    "lymphodepletion_undocumented": ("a", kind("cart.lymphodepletion.administered")),
    "infusion_undocumented": ("a", kind("cart.infusion.completed")),
    "assessment_overdue": ("a", kind("cart.toxicity.assessed")),
    "discharge_overdue": ("a", kind("cart.admission.ended")),
    "claim_waiting_for_coding": ("a", kind("cart.coding.completed")),
}

PASSING = {"assessment_overdue": 3}
"""Days that pass: daily assessment has an end of its own, and what was due before it is not asked for after it."""


def daily(event: Event) -> list[Event]:
    """The event on each of the days around now: a day's assessment does not stand for another day's."""
    days = [datetime.now(UTC) + timedelta(days=n) for n in range(-3, 5)]
    return [
        {**event, "id": f"{event['id']}/{n}", "time": at.isoformat(), "data": {**event["data"], "at": at.isoformat()}}
        for n, at in enumerate(days)
    ]


@pytest.mark.parametrize("alert", sorted(OVERDUE))
async def test_a_deadline_passes_and_raises_its_alert_until_the_fact_comes(world: World, alert: str) -> None:
    letter, missing = OVERDUE[alert]
    events, late = cut(letter, missing, f"-{alert.replace('_', '')}")
    encounter = await world.post(*events)
    await world.settled(encounter)
    assert alert not in world.alerts(encounter)
    await world.skip(encounter, timedelta(days=PASSING.get(alert, 60)))
    opened = (await world.eventually(lambda: alert in world.alerts(encounter) and world.alerts(encounter), alert))[
        alert
    ]
    assert opened.owner
    assert opened.citation
    assert opened.action
    assert world.encounter(encounter).status == "open"
    await world.post(*(daily(late) if alert in PASSING else [late]))
    await world.settled(encounter)
    await world.eventually(lambda: alert not in world.alerts(encounter), f"{alert} resolves")
    assert alert in world.alerts(encounter, state="resolved")
    if alert in ("release_overdue", "evidence_overdue"):
        await world.record(encounter_workflow_id(encounter), f"encounter_{alert}")
