"""Continue-as-new: every event, receipt, deadline, alert and hash is carried, also when events come in that very moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from domain.custody.ledger import check_chain
from intake.inbox.receive import receive
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from store.tables import AlertRecord, EncounterEvent
from tests.kit.path_feeds import Event, events_of
from tests.kit.paths import story_of
from tests.kit.waiting import eventually_async
from tests.kit.worker import World, temporal_server, working
from workflows.messages import Note, Receipt
from workflows.names import encounter_workflow_id

EVENTS_A_RUN = 60
"""So short that an encounter is continued many times; a history holds 4,096 by default."""


@pytest.fixture(scope="module")
async def short_runs(
    database: Database, keys: Keyring, config: ConfigCache, tmp_path_factory: Any
) -> AsyncIterator[World]:
    home: Path = tmp_path_factory.mktemp("short-runs")
    async with (
        temporal_server(keys, suggestContinueAsNew=EVENTS_A_RUN) as server,
        working(server, database, keys, config, home) as world,
    ):
        yield world


def assessments(event: Event, count: int) -> list[Event]:
    """Many small facts: the same assessment once a minute."""
    base = {key: event[key] for key in ("specversion", "source", "subject")}
    at = datetime.fromisoformat(event["time"])
    data = {"scale": "astct_2019", "assessor_role": "nurse", "crs_grade": 0, "icans_grade": 0}
    return [
        base
        | {
            "id": f"assessed-{n}",
            "type": "cart.toxicity.assessed",
            "time": at.isoformat(),
            "data": data | {"at": at.replace(minute=n % 60).isoformat()},
        }
        for n in range(count)
    ]


async def test_nothing_is_lost_over_many_runs(short_runs: World) -> None:
    world = short_runs
    taken = story_of("goes on", "monitoring")
    assert taken is not None
    events = events_of(*taken, run="continued")
    more = assessments(events[-1], 60)
    encounter = await world.post(*events[:-4])
    await world.settled(encounter)
    due, chain = world.encounter(encounter).next_due, [link.hash for link in world.custody(encounter)]
    opened = standing(world, encounter)

    await world.post(*events[-4:])
    await flood(world, more)
    row = await world.settled(encounter)

    assert await runs(world, encounter) >= 4
    decision = world.service.decision(encounter, row.decided_sequence, row.decided_at or datetime.now(UTC))
    assert row.decided_sequence == len([*events, *more]) == row.next_sequence - 1
    assert row.stage == decision.stage
    assert row.next_due == (decision.next_deadline.due if decision.next_deadline else None)
    assert due is not None
    links = world.custody(encounter)
    assert [link.hash for link in links][: len(chain)] == chain
    assert check_chain(links) is None
    assert len(links) == len(decision.custody), "no record twice"
    assert set(world.alerts(encounter)) == {alert.kind for alert in decision.alerts}
    assert {key: at for key, at in standing(world, encounter).items() if key in opened} == {
        key: at for key, at in opened.items() if key in standing(world, encounter)
    }, "an open alert is not opened again"
    await a_deadline_ends_a_run(world, encounter)
    await receipts(world, encounter)


async def a_deadline_ends_a_run(world: World, encounter: str) -> None:
    """No event wakes the run that follows: what it knows is what was carried."""
    handle, before = world.handle(encounter), await runs(world, encounter)
    for n in range(EVENTS_A_RUN // 3):
        note = Note(key=f"again-{n}", type="cart.toxicity.assessed", sequence=1)
        await handle.execute_update(note.type, note, id=note.key, result_type=Receipt)
    decided = world.encounter(encounter).decided_at
    await world.skip(encounter, timedelta(days=3))
    await world.eventually(lambda: world.encounter(encounter).decided_at != decided, "the deadline is decided on")
    assert await runs(world, encounter, before + 1) > before


async def flood(world: World, events: list[Event]) -> None:
    """All into the inbox, then every note at once: many arrive while a run ends and the next begins."""
    for event in events:
        receive(world.db, world.keys, event, datetime.now(UTC), str(event["source"]))
    await world.post(*events)


async def receipts(world: World, encounter: str) -> None:
    """The same update id in a later run answers with the same sequence and changes nothing."""
    with world.db.read() as session:
        rows = session.exec(
            select(EncounterEvent)
            .where(EncounterEvent.encounter_id == encounter)
            .order_by(col(EncounterEvent.sequence))
        ).all()
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        note = Note(key=row.note_key, type=row.type, sequence=row.sequence)
        answered = await world.handle(encounter).execute_update(row.type, note, id=row.note_key, result_type=Receipt)
        assert (answered.sequence, answered.noted) == (row.sequence, rows[-1].sequence), (
            "the run knows all that came before"
        )


async def runs(world: World, encounter: str, wanted: int = 4) -> int:
    """Runs of the encounter's workflow; visibility needs a moment to show the last ones."""
    query = f'WorkflowId = "{encounter_workflow_id(encounter)}"'

    async def counted() -> int | None:
        count = (await world.server.client.count_workflows(query)).count
        return count if count >= wanted else None

    return await eventually_async(counted, f"{wanted} runs are shown")


def standing(world: World, encounter: str) -> dict[str, datetime]:
    with world.db.read() as session:
        query = select(AlertRecord).where(AlertRecord.encounter_id == encounter, AlertRecord.state == "open")
        return {row.key: row.opened_at for row in session.exec(query)}
