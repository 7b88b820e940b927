"""A claim of scenario A on the real server: emitted, followed by its days, answered by its payer, corrected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select
from temporalio.client import WorkflowHandle

from intake.scenario_feeds import expand
from store.tables import AlertRecord, ClaimVersion, Transmission
from tests.kit.feeds import SCENARIOS, Event
from tests.kit.worker import World
from workflows.names import claim_workflow_id


async def emitted(world: World, run: str) -> tuple[str, list[Event]]:
    """An encounter that happened two months ago; its claims are emitted and the bill hold runs."""
    anchor = datetime.now(UTC).date() - timedelta(days=60)
    events = expand(SCENARIOS["a"].feed, anchor, suffix=run)
    encounter = await world.post(*events)
    await world.settled(encounter)
    await state(world, encounter, "emitted")
    return encounter, events


def handle(world: World, encounter: str, letter: str = "C") -> WorkflowHandle[Any, Any]:
    return world.server.client.get_workflow_handle(claim_workflow_id(encounter, letter, 1))


async def pass_days(world: World, encounter: str, days: float, letter: str = "C") -> None:
    await world.server.fast_forward(handle(world, encounter, letter), timedelta(days=days))


async def state(world: World, encounter: str, wanted: str, version: int = 1, letter: str = "C") -> ClaimVersion:
    def found() -> ClaimVersion | None:
        row = world.claims(encounter).get(f"{letter}/1")
        return row if row is not None and (row.state, row.version) == (wanted, version) else None

    row: ClaimVersion = await world.eventually(found, f"claim {letter}/1 version {version} is {wanted}")
    return row


def sent(world: World, encounter: str, letter: str = "C") -> list[Transmission]:
    with world.db.read() as session:
        rows = session.exec(select(Transmission).where(Transmission.encounter_id == encounter)).all()
    return sorted((row for row in rows if row.letter == letter), key=lambda row: row.version)


def file_of(world: World, row: Transmission) -> Path:
    return world.outbox / row.mode / row.payer / f"{row.receiver_id}-{row.interchange:09d}.x12"


def open_alerts(world: World, encounter: str, letter: str = "C") -> set[str]:
    with world.db.read() as session:
        rows = session.exec(select(AlertRecord).where(AlertRecord.encounter_id == encounter)).all()
    return {row.kind for row in rows if row.state == "open" and row.key.startswith(f"claim.{letter}/1.")}


def reply(kind: str, row: ClaimVersion, number: int = 1, **data: Any) -> Event:
    acknowledged = {"kind": kind, "accepted": True} if kind != "835" else {}
    return {
        "specversion": "1.0",
        "id": f"{row.control_number}-{kind}-{number}",
        "source": "/x12/EXMACJK",
        "subject": str(row.control_number),
        "type": "cart.claim.remitted" if kind == "835" else "cart.claim.acknowledged",
        "time": (datetime.now(UTC) + timedelta(seconds=number)).isoformat(),
        "data": {"control_number": row.control_number, **acknowledged, **data},
    }


def remitted(row: ClaimVersion, number: int = 1, status: str = "1", **data: Any) -> Event:
    return reply("835", row, number, status=status, **data)


def late_charge(events: list[Event], amount: str = "100.00") -> Event:
    """One of the posted charges, corrected to another amount."""
    charge = next(e for e in reversed(events) if e["type"] == "cart.charge.posted" and "admission_id" in e["data"])
    return correction(
        charge, replacement={**charge["data"], "amount": amount}, reason=f"charge entered wrongly {amount}"
    )


def correction(event: Event, **data: Any) -> Event:
    reason = data.pop("reason", "entered wrongly")
    return {
        "specversion": "1.0",
        "id": f"{event['id']}/corrected/{reason}",
        "source": event["source"],
        "subject": event["subject"],
        "type": "cart.correction.made",
        "time": datetime.now(UTC).isoformat(),
        "data": {"of": {"source": event["source"], "id": event["id"]}, "reason": reason, "signer": "biller", **data},
    }
