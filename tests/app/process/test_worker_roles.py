"""Workers that share the work: workflows and decisions on one process, everything that touches the world on another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

from sqlmodel import select

from app.process.connect import Home, connect_temporal
from app.process.deployment import register
from app.process.worker import build_worker
from app.settings import Settings, WorkerRole
from intake.delivery import Deliverer
from intake.inbox.receive import receive
from intake.scenario_feeds import expand, load_feed
from intake.workflow_client import WorkflowClient
from store.config import ConfigCache
from store.engine import Database
from store.keys import create_keyring, read_keyring
from store.tables import ClaimVersion
from tests.kit.databases import migrated_database
from tests.kit.files import ROOT, SITE_FILE
from tests.kit.programs import connected
from tests.kit.waiting import eventually_async

FEED = ROOT / "tests" / "scenarios" / "a_mcl_medicare_inpatient.json"


def claims(db: Database) -> set[str]:
    with db.read() as session:
        return set(session.exec(select(ClaimVersion.letter)))


async def test_a_claim_waits_for_the_worker_that_may_touch_the_world(server: str, tmp_path: Path) -> None:
    await register(await connected(server), "cart")
    settings = Settings(data_dir=tmp_path, temporal_address=server, temporal_namespace="cart")
    create_keyring(settings.key_file)
    keys = read_keyring(settings.key_file)
    db = migrated_database(tmp_path / "encounters.db")
    config = ConfigCache("current", None, SITE_FILE)
    client = await connect_temporal(settings, keys)

    def of(role: WorkerRole) -> Home:
        return Home(settings.model_copy(update={"worker_role": role}), keys, db, config)

    for event in expand(load_feed(FEED), date(2026, 8, 3)):
        receive(db, keys, event, datetime.now(UTC), str(event["source"]))
    with ThreadPoolExecutor(24) as pool:
        async with build_worker(client, of("workflows"), pool):
            await Deliverer(db, WorkflowClient(client).deliver).drain()
            assert claims(db) == set()
            async with build_worker(client, of("activities"), pool):
                await eventually_async(lambda: claims(db) == {"A", "B", "C"}, "the claims are built")
    assert claims(db) == {"A", "B", "C"}
    db.close()
