"""Every await of a claim's workflow under failure: the claim is built, numbered, sent and followed once all the same."""

from __future__ import annotations

import asyncio

import pytest

from activities.billing import transmit
from domain.billing.x12 import validate
from store.outbox_index import Entry
from tests.kit.waiting import PATIENCE, eventually_async
from tests.kit.worker import World
from tests.workflows.claims import emitted, file_of, handle, late_charge, pass_days, remitted, reply, sent, state
from workflows.names import claim_workflow_id

AWAITS = ("build_claim", "follow_claim", "transmit_claim")


async def test_each_await_fails_before_and_after_its_work_and_the_claim_goes_out_once(world: World) -> None:
    encounter, events = await emitted(world, "-faults")
    name = claim_workflow_id(encounter, "C", 1)
    world.faults.seen.clear()
    world.faults.armed += [(name, one, when) for one in AWAITS for when in ("before", "after")]
    await world.post(late_charge(events, "101.00"))
    await state(world, encounter, "emitted", 2)
    await pass_days(world, encounter, 5)
    row = await state(world, encounter, "transmitted", 2)
    await world.eventually(lambda: not world.faults.armed, "every failure was met")
    assert sorted(world.faults.seen) == sorted((one, when) for one in AWAITS for when in ("before", "after"))
    (out,) = await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at], "written", LONG)
    assert validate(file_of(world, out).read_text()) == []
    await world.post(remitted(row, paid="900.00"))
    await state(world, encounter, "paid", 2)
    assert [one.version for one in sent(world, encounter)] == [2]
    numbers = {one.control_number for one in world.versions(encounter, "C")}
    assert len(numbers) == len(world.versions(encounter, "C")) == 2


async def test_a_database_that_is_away_for_a_while_delays_a_claim_and_loses_nothing(world: World) -> None:
    encounter, _ = await emitted(world, "-away")
    name = claim_workflow_id(encounter, "C", 1)
    world.faults.seen.clear()
    # By tries, not by time: while the clock is skipped, tries come as fast as they fail, and the last may wait long.
    world.faults.away[name] = 3
    sent_meanwhile: list[int] = []
    world.faults.on_away = lambda: sent_meanwhile.append(len(sent(world, encounter)))
    await pass_days(world, encounter, 5)
    await state(world, encounter, "transmitted")
    assert world.faults.seen == [("follow_claim", "away")] * 3
    assert sent_meanwhile == [0, 0, 0]
    await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at], "written", LONG)
    assert len(sent(world, encounter)) == 1


LONG = 4 * PATIENCE
"""Each try that finds no room waits longer for the next one, up to minutes."""


async def test_a_full_outbox_keeps_the_claims_number_until_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    encounter, _ = await emitted(world, "-full")
    tries = []
    with monkeypatch.context() as patched:

        def full(_index: object, entry: Entry, text: str) -> None:
            tries.append((entry.path, text))
            raise OSError(28, "No space left on device")

        patched.setattr(transmit, "write_once", full)
        await pass_days(world, encounter, 5)
        await world.eventually(lambda: len(tries) > 1, "it was tried again")
        assert [row.written_at for row in sent(world, encounter)] == [None]
    (out,) = await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at], "written", LONG)
    path, text = tries[0]
    assert file_of(world, out).as_posix().endswith(path)
    assert file_of(world, out).read_text() == text
    assert len(set(tries)) == 1
    await state(world, encounter, "transmitted")


async def test_an_answer_that_comes_while_the_claim_is_looked_at_is_not_missed(world: World) -> None:
    encounter, _ = await emitted(world, "-between")
    await pass_days(world, encounter, 5)
    row = await state(world, encounter, "transmitted")
    name = claim_workflow_id(encounter, "C", 1)
    failed = len(world.faults.seen)
    world.faults.armed += [(name, "follow_claim", "after")]
    await world.post(reply("999", row))
    await eventually_async(lambda: ("follow_claim", "after") in world.faults.seen[failed:], "the first look is lost")
    await world.post(remitted(row, 2, paid="900.00"))
    await state(world, encounter, "paid")
    async with asyncio.timeout(PATIENCE):
        await handle(world, encounter).result()
