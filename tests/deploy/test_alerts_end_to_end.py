"""From a condition in the store, or in the SDK's metrics, to a webhook that is received: with the real programs between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from pydantic import AnyHttpUrl
from sqlmodel import select

from activities.alerting.deliver import deliver
from activities.alerting.destinations import Destination, Destinations
from activities.alerting.escalate import work
from app.metrics import StoreMetrics, free_port
from store.tables import AlertRecord
from tests.kit.metrics_store import World
from tests.kit.monitoring import (
    Exposition,
    Program,
    Receiver,
    alerts_of,
    start_alertmanager,
    start_prometheus,
)
from tests.kit.waiting import eventually

SDK_TEXT = """# TYPE temporal_workflow_task_execution_failed_total counter
temporal_workflow_task_execution_failed_total{failure_reason="NonDeterminismError",workflow_type="CarTEncounter"} 3
# TYPE temporal_num_pollers gauge
temporal_num_pollers{poller_type="workflow_task",task_queue="cart-encounter"} 2
temporal_num_pollers{poller_type="activity_task",task_queue="cart-encounter"} 2
"""


@dataclass
class Watch:
    """A store whose conditions are watched, and where alerts arrive."""

    world: World
    receiver: Receiver
    alertmanager: str

    def receives(self, name: str) -> tuple[str, dict[str, Any]]:
        found: tuple[str, dict[str, Any]] = eventually(lambda: self.receiver.find(name), f"delivery of {name}")
        return found


@pytest.fixture(scope="module")
def watch(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    binaries = program("prometheus"), program("alertmanager")
    directory: Path = tmp_path_factory.mktemp("monitoring")
    world = World(directory)
    spoil(world)
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.config, world.keys, cache_seconds=0, chain_cache_seconds=0))
    store_port = free_port()
    store, _ = start_http_server(store_port, "127.0.0.1", registry)
    sdk, receiver = Exposition(SDK_TEXT), Receiver()
    programs: list[Program] = []
    try:
        manager, where = start_alertmanager(binaries[1], directory, receiver.url)
        programs.append(manager)
        targets = {
            "cart-worker": f"127.0.0.1:{free_port()}",
            "cart-gateway": f"127.0.0.1:{store_port}",
            "temporal": sdk.target,
            "prometheus": sdk.target,
            "alertmanager": where,
        }
        prometheus, _ = start_prometheus(binaries[0], directory, targets, where)
        programs.append(prometheus)
        yield Watch(world, receiver, where)
    finally:
        for each in programs:
            each.stop()
        store.shutdown()
        sdk.server.shutdown()
        receiver.server.shutdown()
        world.db.close()


def spoil(world: World) -> None:
    """An expiring certificate and a chain of identity that does not hold."""
    world.certificate("st_mary_new", "authorized_center", "tecartus", datetime.now(UTC).date() + timedelta(days=12))
    name = world.encounter()
    world.alert(name, "identity_mismatch")
    world.chain(name, 3, broken=True)


def test_an_expiring_certificate_arrives_as_a_ticket(watch: Watch) -> None:
    receiver, alert = watch.receives("CartCertificateExpiring")
    assert receiver == "ticket"
    assert (alert["labels"]["layer"], alert["labels"]["product"]) == ("authorized_center", "tecartus")
    assert "12 days" in alert["annotations"]["summary"]


def test_a_broken_chain_of_identity_calls_the_cell_laboratory(watch: Watch) -> None:
    receiver, alert = watch.receives("CartIdentityMismatch")
    assert (receiver, alert["labels"]["owner"]) == ("page", "cell_lab")
    assert alert["annotations"]["runbook"] == "deploy/runbooks/CartIdentityMismatch.md"


def test_an_edited_custody_record_calls(watch: Watch) -> None:
    receiver, _ = watch.receives("CartCustodyChainBroken")
    assert receiver == "page"


def test_a_stuck_workflow_calls(watch: Watch) -> None:
    receiver, alert = watch.receives("CartWorkflowStuck")
    assert receiver == "page"
    assert alert["labels"]["failure_reason"] == "NonDeterminismError"


def test_a_dead_worker_calls_and_silences_its_symptoms(watch: Watch) -> None:
    receiver, alert = watch.receives("CartWorkerDown")
    assert (receiver, alert["labels"]["job"]) == ("page", "cart-worker")
    encounter, long_ago = watch.world.encounter(), datetime.now(UTC) - timedelta(hours=1)
    watch.world.event(encounter, "cart.referral.received", long_ago, delivered=None)

    def silenced() -> bool:
        return any(
            each["labels"]["alertname"] == "CartInboxUndelivered" and each["status"]["inhibitedBy"]
            for each in alerts_of(watch.alertmanager)
        )

    eventually(silenced, "inhibition of CartInboxUndelivered")
    assert watch.receiver.find("CartInboxUndelivered") is None


def test_an_alert_and_its_end_arrive_through_alertmanager(watch: Watch) -> None:
    world, now = watch.world, datetime.now(UTC)
    name = world.encounter()
    world.alert(name, "stock_missing", owner="pharmacy", title="Two doses are missing", action="Order them.")
    where = AnyHttpUrl(f"http://{watch.alertmanager}")
    destinations = Destinations(destinations=(Destination(name="am", kind="alertmanager", url=where),))
    _deliver(world, destinations, now)

    def of_kind(status: str) -> tuple[str, dict[str, Any]] | None:
        return next(
            (
                each
                for each in watch.receiver.delivered
                if each[1]["labels"].get("kind") == "stock_missing"
                and each[1]["labels"]["alertname"] == "CartEncounterAlert"
                and each[1]["status"] == status
            ),
            None,
        )

    receiver, alert = eventually(lambda: of_kind("firing"), "delivery of the alert")
    assert receiver == "page"
    assert (alert["annotations"]["summary"], alert["annotations"]["next_step"]) == (
        "Two doses are missing",
        "Order them.",
    )
    with world.db.write() as session:
        for row in session.exec(select(AlertRecord).where(AlertRecord.kind == "stock_missing")):
            row.state, row.resolved_at = "resolved", now
            session.add(row)
    _deliver(world, destinations, datetime.now(UTC))
    eventually(lambda: of_kind("resolved"), "the end of the alert")


def _deliver(world: World, destinations: Destinations, now: datetime) -> None:
    with world.db.write() as session:
        work(session, destinations, now, timedelta(hours=4))
    assert deliver(world.db, destinations, now) >= 1
