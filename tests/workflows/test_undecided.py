"""A decision that fails for days: the run stays open, its history stays short, the UI states cause and fix, and it recovers.

`CART_UNDECIDED_HOURS=32 pytest tests/workflows/test_undecided.py` lets the whole outage pass, with a try every 30 seconds.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import make_url
from temporalio import activity
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionStatus

from domain.decision.model import Decision
from domain.rulebook import NoRule
from store.engine import Database
from store.keys import Keyring
from tests.kit.databases import closed, migrated_database
from tests.kit.feeds import cut, kind
from tests.kit.files import ROOT
from tests.kit.site import Files, copied
from tests.kit.waiting import eventually_async
from tests.kit.worker import World, temporal_server, working
from workflows import search_attributes
from workflows.names import encounter_workflow_id

HOURS = float(os.environ.get("CART_UNDECIDED_HOURS", "0.25"))
TABLE = "drugs.toml"
HISTORIES = ROOT / "tests" / "replay" / "histories"
SKIPPED = "EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED"
"""Only a skipped clock writes it: once for every step."""

HANDFUL = 12
"""History events of an outage, with the fact that comes into it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return copied(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
async def world(
    keys: Keyring, files: Files, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world of its own: while its rulebook is unreadable, no encounter of it decides."""
    home: Path = tmp_path_factory.mktemp("undecided")
    (home / "database").mkdir()
    db = migrated_database(home / "database" / "encounters.db")
    recording = HISTORIES if pytestconfig.getoption("--record-histories") else None
    async with temporal_server(keys) as server, working(server, db, keys, files.config(), home, recording) as made:
        yield made
    db.close()


async def failing(world: World, encounter: str) -> PendingActivityInfo | None:
    found = (await world.handle(encounter).describe()).raw_description.pending_activities
    return next((one for one in found if one.HasField("last_failure")), None)


async def idle(world: World, encounter: str) -> None:
    """Until the run waits for a fact or its deadline: what was decided last is carried out and shown."""

    async def waits() -> bool:
        found = (await world.handle(encounter).describe()).raw_description
        return not found.pending_activities and not found.HasField("pending_workflow_task")

    await eventually_async(waits, "the run is idle")


async def written(world: World, encounter: str) -> list[str]:
    """The types of the history's events."""
    history = await world.handle(encounter).fetch_history()
    names = [type(event).DESCRIPTOR.fields_by_name["event_type"].enum_type.values_by_number for event in history.events]
    types = [name[event.event_type].name for name, event in zip(names, history.events, strict=True)]
    return [one for one in types if one != SKIPPED]


async def advice(world: World, encounter: str) -> str:
    """The last failure of the run's pending activity, as the Temporal UI shows it."""
    found = await eventually_async(lambda: failing(world, encounter), "a pending activity with its failure")
    assert found.activity_type.name == "raise_alerts"
    return str(await world.server.client.data_converter.decode_failure(found.last_failure))


async def described(world: World, encounter: str) -> tuple[WorkflowExecutionStatus | None, dict[str, object]]:
    """Status and search attributes of the run, but for its next deadline."""
    found = await world.handle(encounter).describe()
    own = [search_attributes.STAGE, search_attributes.HOLDS, search_attributes.PRODUCT, search_attributes.PAYER_CLASS]
    return found.status, {key.name: found.typed_search_attributes.get(key) for key in own}


async def activities(world: World, encounter: str, since: int) -> list[str]:
    """The activities that the history's last events scheduled."""
    history = await world.handle(encounter).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events[since:]
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


@contextmanager
def away(db: Database) -> Iterator[None]:
    """While it lasts the database cannot be opened, as when its disk is not mounted."""
    if db.url.startswith("postgresql"):
        with closed(db):
            yield
        return
    file = Path(make_url(db.url).database or "")
    elsewhere = file.parent.with_name("unmounted")
    db.engine.dispose()
    file.parent.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(file.parent)


@contextmanager
def deciding(world: World, fails: Callable[[str, int], bool]) -> Iterator[list[str]]:
    """While it lasts a decision has no rule where `fails` is true of encounter and sequence; yields the failed tries."""
    tries: list[str] = []
    decision = world.service.decision

    def failing(encounter: str, up_to_sequence: int, *rest: Any) -> Decision:
        if fails(encounter, up_to_sequence):
            tries.append(activity.info().activity_type)
            raise NoRule("drugs", {"drug": "x"}, date(2026, 1, 1))
        return decision(encounter, up_to_sequence, *rest)

    with patch.object(world.service, "decision", failing):
        yield tries


async def details(world: World, encounter: str) -> str:
    return str((await world.handle(encounter).query("__temporal_workflow_metadata")).current_details)


async def test_a_rulebook_unreadable_for_days(world: World, files: Files) -> None:
    events, late = cut("a", kind("cart.admission.ended"), "-unreadable")
    encounter = await world.post(*events)
    await world.settled(encounter)
    assert world.custody(encounter)
    await world.eventually(lambda: world.claims(encounter), "claim A is built")
    await idle(world, encounter)
    claims = world.claims(encounter)
    before, shown = await written(world, encounter), await described(world, encounter)
    good = (files.rules / TABLE).read_text(encoding="utf-8")
    (files.rules / TABLE).write_text("not = [toml", encoding="utf-8")
    await world.post(late)
    for hours in (0.01, HOURS):
        await world.skip(encounter, timedelta(hours=hours))
        stated = await advice(world, encounter)
        facts = world.encounter(encounter).next_sequence - 1
        assert stated.startswith(
            f"RulebookError: the decision on facts 1-{facts} fails: The rulebook cannot be read. Undo"
        )
        assert "deploy/runbooks/CartShelfUnreadable.md" in stated
    assert len(await written(world, encounter)) - len(before) <= HANDFUL
    assert await described(world, encounter) == shown, "what was decided last is shown still"
    assert f"The decision on facts 1-{facts} fails" in await details(world, encounter)
    assert "**Stage: monitoring**" in await details(world, encounter)

    (files.rules / TABLE).write_text(good, encoding="utf-8")
    await world.skip(encounter, timedelta(minutes=1))
    await world.settled(encounter)
    assert "fails" not in await details(world, encounter)
    again = await activities(world, encounter, len(before))
    assert "open_claim" not in again, "no claim was withdrawn or asked for meanwhile"
    now = world.claims(encounter)
    assert {key: (now[key].version, now[key].state) for key in claims} == {
        key: (row.version, row.state) for key, row in claims.items()
    }
    await world.record(encounter_workflow_id(encounter), "encounter_undecided")


async def test_a_database_away_over_a_weekend(world: World) -> None:
    """An outage of days is no end of an encounter."""
    events, late = cut("a", kind("cart.product.released"), "-away")
    encounter = await world.post(*events)
    await world.settled(encounter)
    due = world.encounter(encounter).next_due
    assert due is not None
    await idle(world, encounter)
    before, shown = await written(world, encounter), await described(world, encounter)
    with away(world.db):
        await world.skip(encounter, due - await world.server.get_current_time(world.handle(encounter)))
        await world.skip(encounter, timedelta(hours=HOURS))
        stated = await advice(world, encounter)
        assert "the decision on facts 1-" in stated
        assert "deploy/runbooks/CartStoreDown.md" in stated
        assert len(await written(world, encounter)) - len(before) <= HANDFUL
        assert await described(world, encounter) == shown
    await world.skip(encounter, timedelta(minutes=1))
    await world.eventually(lambda: (world.encounter(encounter).decided_at or due) > due, "the deadline is decided on")
    await world.post(late)
    await world.settled(encounter)
    assert (await described(world, encounter))[0] == WorkflowExecutionStatus.RUNNING


async def test_a_fact_that_no_rule_fits_is_corrected_by_the_next_one(world: World) -> None:
    """A pending decision on old facts must not wait for ever: newer facts end it."""
    events, late = cut("a", kind("cart.product.released"), "-superseded")
    encounter = await world.post(*events)
    await world.settled(encounter)
    sequence = world.encounter(encounter).next_sequence - 1
    with deciding(world, lambda one, upto: one == encounter and upto == sequence + 1):
        await world.post(late)
        assert "The rulebook has no row for this case" in await advice(world, encounter)
        await world.post({**late, "id": "corrected"} | {"time": late["time"]})
        await world.skip(encounter, timedelta(minutes=1))
        await world.settled(encounter)


async def test_a_decision_that_fails_on_and_off_is_tried_at_growing_intervals(world: World) -> None:
    """`raise_alerts` finds that a decision is possible and the next one fails again: no loop without a pause."""
    events, late = cut("a", kind("cart.product.released"), "-flapping")
    encounter = await world.post(*events)
    await world.settled(encounter)
    before = await written(world, encounter)
    decide = lambda one, _: one == encounter and activity.info().activity_type == "decide"  # noqa: E731
    with deciding(world, decide) as tries:
        await world.post(late)
        await world.eventually(lambda: len(tries) >= 6, "two decisions failed")
        await world.skip(encounter, timedelta(minutes=30))
        assert len(await written(world, encounter)) - len(before) < 200
        count = len(tries)
    assert count < 60
    await world.skip(encounter, timedelta(minutes=11))
    await world.settled(encounter)
