"""Every stage is moved, cancelled and withdrawn once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kit.feeds import Event, Stop, booking, cut, kind
from tests.kit.worker import World
from workflows.names import encounter_workflow_id

BOOKED = ("apheresis", "lymphodepletion", "infusion")
BEFORE: dict[str, Stop] = {
    "apheresis": kind("cart.apheresis.completed"),
    "lymphodepletion": kind("cart.lymphodepletion.administered"),
    "infusion": kind("cart.infusion.started"),
}


def changes(events: list[Event], what: str, stage: str, **data: Any) -> list[Event]:
    """An event about each of the stage's bookings."""
    return [change(booked, what, data) for booked in events if booking(stage)(booked)]


def change(booked: Event, what: str, data: dict[str, Any]) -> Event:
    body = {"appointment_id": booked["data"]["appointment_id"], **data}
    kept = {key: booked[key] for key in ("specversion", "source", "subject")}
    now = datetime.now(UTC).isoformat()
    return {**kept, "id": f"{booked['id']}/{what}", "type": f"cart.appointment.{what}", "time": now, "data": body}


@pytest.mark.parametrize("stage", BOOKED)
async def test_a_booking_is_moved(world: World, stage: str) -> None:
    events, _ = cut("a", BEFORE[stage], f"-moved{stage}")
    encounter = await world.post(*events)
    await world.settled(encounter)
    moved_to = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    await world.post(*changes(events, "rescheduled", stage, starts_at=moved_to.isoformat()))
    row = await world.settled(encounter)
    gate = next(gate for gate in row.view["gates"] if gate["stage"] == stage)
    assert abs(datetime.fromisoformat(gate["on"]).date() - moved_to.date()) <= timedelta(days=1)
    milestones = {m["name"]: m["at"] for m in row.view["milestones"] if m["planned"]}
    assert datetime.fromisoformat(milestones[stage]) == moved_to


@pytest.mark.parametrize("stage", BOOKED)
async def test_a_booking_is_cancelled(world: World, stage: str) -> None:
    events, _ = cut("a", BEFORE[stage], f"-cancelled{stage}")
    encounter = await world.post(*events)
    before = await world.settled(encounter)
    await world.post(*changes(events, "cancelled", stage))
    row = await world.settled(encounter)
    assert row.stage == before.stage
    if stage != "lymphodepletion":  # its days are planned again from the infusion's date
        assert stage not in {m["name"] for m in row.view["milestones"] if m["planned"]}
    await world.skip(encounter, timedelta(days=40))
    await world.eventually(lambda: f"{stage}_unbooked" in world.alerts(encounter), "it was not booked again")
    if stage == "apheresis":
        await world.record(encounter_workflow_id(encounter), "encounter_cancelled")


WITHDRAWN: dict[str, tuple[Stop, set[str]]] = {
    # stage: what does not come any more, and the claims for what was done before
    "apheresis": (kind("cart.apheresis.completed"), set()),
    "manufacturing": (kind("cart.product.released"), {"A/1"}),
    "lymphodepletion": (kind("cart.lymphodepletion.administered"), {"A/1"}),
    "infusion": (kind("cart.admission.started"), {"A/1", "B/1"}),
    "monitoring": (kind("cart.coding.completed"), {"A/1", "B/1", "C/1"}),
}


@pytest.mark.parametrize("stage", sorted(WITHDRAWN))
async def test_a_patient_withdraws(world: World, stage: str) -> None:
    missing, performed = WITHDRAWN[stage]
    events, late = cut("a", missing, f"-withdrawn{stage}")
    encounter = await world.post(*events)
    assert (await world.settled(encounter)).stage == stage
    await world.post(withdrawal(events))
    if stage == "monitoring":
        await world.settled(encounter)
        await world.post(late)
    await world.settled(encounter)
    await world.skip(encounter, timedelta(days=60))
    row = await world.eventually(lambda: (e := world.encounter(encounter)).status == "closed" and e, "it closes")
    assert row.view["outcome"] == ("completed" if stage == "monitoring" else "withdrawn")
    assert {key for key, claim in world.claims(encounter).items() if claim.state == "emitted"} == performed
    if stage == "manufacturing":
        await world.record(encounter_workflow_id(encounter), "encounter_withdrawn")


def withdrawal(events: list[Event]) -> Event:
    referral = next(event for event in events if event["type"] == "cart.referral.received")
    kept = {key: referral[key] for key in ("specversion", "source", "subject")}
    now = datetime.now(UTC).isoformat()
    body = {"reason": "choice"}
    return {**kept, "id": f"{referral['id']}/out", "type": "cart.encounter.withdrawn", "time": now, "data": body}


async def test_a_late_document_reopens_a_closed_encounter(world: World) -> None:
    events, late = cut("a", kind("cart.apheresis.completed"), "-reopened")
    encounter = await world.post(*events, withdrawal(events))
    await world.settled(encounter)
    await world.skip(encounter, timedelta(days=60))
    await world.eventually(lambda: world.encounter(encounter).status == "closed", "it closes")
    await world.handle(encounter).result()
    await world.post(late)
    await world.eventually(lambda: "A/1" in world.claims(encounter), "the collection is billed after all")
    assert world.claims(encounter)["A/1"].state in ("emitted", "held")
