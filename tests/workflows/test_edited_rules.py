"""A row of the rulebook is edited while an encounter is open: the next decision reads it, and every history replays."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.worker import Replayer

from app.process.payload_encryption import data_converter
from app.process.worker import WORKFLOWS
from intake.scenario_feeds import expand, load_feed
from tests.kit.files import SCENARIOS
from tests.kit.site import Files, copied
from tests.kit.waiting import eventually_async
from tests.kit.worker import World, read_by
from workflows.names import claim_workflow_id, encounter_workflow_id

FEED = SCENARIOS / "c_mcl_outpatient_crs.json"
ROW = 'id = "drugs.fludarabine"\n'


def from_day(files: Files, day: date) -> None:
    """The unit of a drug changes on a day: the old row ends the day before, a new one begins (50 mg become 25 mg)."""
    text = (files.rules / "drugs.toml").read_text(encoding="utf-8")
    body = text.partition(ROW)[2].partition("[[drugs]]")[0]
    assert "mg_per_unit = 50" in body
    assert "effective_from = 2017-01-01" in body
    ended = body.replace(
        "effective_from = 2017-01-01", f"effective_from = 2017-01-01\neffective_to = {day - timedelta(days=1)}"
    )
    later = body.replace("effective_from = 2017-01-01", f"effective_from = {day}")
    later = later.replace("mg_per_unit = 50", "mg_per_unit = 25")
    files.edit("drugs.toml", ROW + body, f'{ROW}{ended}[[drugs]]\nid = "drugs.fludarabine.later"\n{later}')


async def test_the_next_decision_uses_the_new_row_by_date_of_service(world: World, tmp_path: Path) -> None:
    files, feed = copied(tmp_path), load_feed(FEED)
    anchor = datetime.now(UTC).date() - timedelta(days=40)
    events = expand(feed, anchor, suffix="-edited")
    first_dose = next(i for i, e in enumerate(events) if e["type"] == "cart.lymphodepletion.administered")
    with read_by(world, files) as config:
        encounter = await world.post(*events[:first_dose])
        await world.settled(encounter)
        await emitted(world, encounter, "A/1")
        before = config.rules().digest

        from_day(files, anchor - timedelta(days=4))
        after = config.rules().digest
        await world.post(*events[first_dose:])
        await world.settled(encounter)
        for key in ("B/1", "C/1", "D/1"):
            await emitted(world, encounter, key)

        assert before != after
        assert world.encounter(encounter).rulebook_digest == after
        claims = world.claims(encounter)
        assert {key: claim.rulebook_digest for key, claim in claims.items()} == {
            "A/1": before,
            "B/1": after,
            "C/1": after,
            "D/1": after,
        }
        assert claims["B/1"].document["rulebook_digest"] == after
        assert claims["A/1"].version == 1
        assert units(claims["B/1"].document, anchor) == {-5: 2, -4: 3, -3: 3}

    await replayed(world, encounter)


async def emitted(world: World, encounter: str, key: str) -> None:
    def check() -> bool:
        claim = world.claims(encounter).get(key)
        return claim is not None and claim.state == "emitted"

    await world.eventually(check, f"claim {key} is emitted")


def units(claim: dict[str, Any], anchor: date) -> dict[int, int]:
    """Fludarabine's billed units by day from the infusion, discarded drug apart."""
    return {
        (date.fromisoformat(line["date_of_service"]) - anchor).days: line["units"]
        for line in claim["lines"]
        if line["hcpcs"] == "J9185" and "JW" not in line["modifiers"]
    }


async def replayed(world: World, encounter: str) -> None:
    """Every history of the encounter, on the code and the files of today: a recorded answer stays what it was."""
    replayer = Replayer(workflows=WORKFLOWS, data_converter=data_converter(world.keys))
    names = [encounter_workflow_id(encounter), *(claim_workflow_id(encounter, letter, 1) for letter in "ABCD")]
    for name in names:
        history = await world.server.client.get_workflow_handle(name).fetch_history()
        assert history.events
        await replayer.replay_workflow(history)


async def test_a_rulebook_that_does_not_load_stops_no_encounter_for_good(world: World, tmp_path: Path) -> None:
    """A slip of the editor: the decision is tried again until the file is mended; no old row is used in its place."""
    files = copied(tmp_path)
    events = expand(load_feed(FEED), datetime.now(UTC).date() - timedelta(days=40), suffix="-slip")
    with read_by(world, files) as config:
        encounter = await world.post(events[0])
        await world.settled(encounter)
        known = world.encounter(encounter).decided_sequence
        files.edit("drugs.toml", ROW, "id = 7 +\n")

        posting = asyncio.create_task(world.post(*events[1:4]))
        await eventually_async(
            lambda: (encounter_workflow_id(encounter), "raise_alerts") in world.faults.failed,
            "the decision fails, and what it is for waits",
        )
        assert world.encounter(encounter).decided_sequence == known

        files.edit("drugs.toml", "id = 7 +\n", ROW)
        await posting
        row = await world.settled(encounter)
        assert row.decided_sequence > known
        assert row.rulebook_digest == config.rules().digest
