"""Preparing an installation: every step may be repeated, nothing that exists is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import select
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from typer.testing import CliRunner

from app.process.deployment import deploy_app, register, wake_encounters
from store.engine import Database
from store.tables import EncounterEvent
from tests.kit.databases import empty_url
from tests.kit.metrics_store import NOW, World
from tests.kit.programs import connected
from workflows.search_attributes import MEANING, REGISTRY


async def test_namespace_and_search_attributes_are_made_once(server: str) -> None:
    client = await connected(server)
    made = await register(client, "cart")
    assert made == ["namespace cart", *sorted(REGISTRY)]
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="cart"))
    assert REGISTRY.items() <= dict(listed.custom_attributes).items()


async def test_repeating_changes_nothing(server: str) -> None:
    client = await connected(server)
    await register(client, "cart")
    assert await register(client, "cart") == []


async def test_an_attribute_of_another_type_is_named(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await connected(server)
    await register(client, "cart")
    name, other = "CartStage", REGISTRY["CartNextDue"]
    monkeypatch.setitem(REGISTRY, name, other)
    with pytest.raises(ValueError, match=name):
        await register(client, "cart")


def test_keys_are_made_once_and_never_overwritten(tmp_path: Path) -> None:
    runner, where = CliRunner(), tmp_path / "keys"
    assert runner.invoke(deploy_app, ["keys", "--data-dir", str(where)]).exit_code == 0
    before = {path.name: path.read_bytes() for path in where.iterdir()}
    assert runner.invoke(deploy_app, ["keys", "--data-dir", str(where)]).exit_code == 0
    assert {path.name: path.read_bytes() for path in where.iterdir()} == before
    assert (where / "keys.json").stat().st_mode & 0o077 == 0


def test_the_database_is_migrated_twice_without_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = empty_url(tmp_path / "encounters.db")
    monkeypatch.setenv("CART_DATABASE_URL", url)
    for _ in range(2):
        assert CliRunner().invoke(deploy_app, ["migrate"]).exit_code == 0
    db = Database(url)
    assert db.takes_writes(1)
    db.close()


def test_every_search_attribute_says_what_it_means() -> None:
    shown = CliRunner().invoke(deploy_app, ["search-attributes"]).output
    assert REGISTRY.keys() == MEANING.keys()
    assert all(name in shown for name in REGISTRY)


def test_after_a_restore_a_closed_encounter_is_woken_while_a_claim_of_it_is_under_way(world: World) -> None:
    """Else its claim is never sent, and a missing payer response raises no alert."""
    states = {
        "emitted": {},
        "transmitted": {"next_due": "2026-05-01T00:00:00+00:00"},
        "denied": {"next_due": None},
        "paid": {"next_due": "2026-05-01T00:00:00+00:00"},
    }
    woken = set()
    for state, standing in states.items():
        woken.add(ended := world.encounter(status="closed"))
        world.event(ended, "cart.referral.received", NOW, sequence=1)
        world.claim(ended, "A", state=state, standing=standing)
    for state in ("paid", "voided", "superseded", "withdrawn"):
        ended = world.encounter(status="closed")
        world.event(ended, "cart.referral.received", NOW, sequence=1)
        world.claim(ended, "A", state=state, standing={"next_due": None})
    assert wake_encounters(world.db) == 4
    with world.db.read() as session:
        waiting = session.exec(select(EncounterEvent).where(EncounterEvent.delivered_at == None))  # noqa: E711
        assert {event.encounter_id for event in waiting} == woken


def test_after_a_restore_open_encounters_are_woken_by_their_last_event(world: World) -> None:
    running, ended = world.encounter(), world.encounter(status="closed")
    for sequence in (1, 2, 3):
        world.event(running, "cart.charge.posted", NOW, sequence=sequence)
    world.event(ended, "cart.referral.received", NOW, sequence=1)
    assert wake_encounters(world.db) == 1
    with world.db.read() as session:
        waiting = [
            (event.encounter_id, event.sequence)
            for event in session.exec(select(EncounterEvent))
            if event.delivered_at is None
        ]
    assert waiting == [(running, 3)]
