"""The panels of the dashboards, and a real Prometheus over a store that is asked for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from prometheus_client import CollectorRegistry, start_http_server

from app.metrics import StoreMetrics, free_port
from tests.kit.files import DEPLOY
from tests.kit.metrics_store import World
from tests.kit.monitoring import Exposition, start_prometheus
from tests.kit.waiting import eventually

PROCESS_TEXT = """# TYPE cart_events_received_total counter
cart_events_received_total{disposition="accepted"} 40
# TYPE cart_decisions_total counter
cart_decisions_total{stage="apheresis"} 12
# TYPE temporal_workflow_task_execution_failed_total counter
temporal_workflow_task_execution_failed_total{failure_reason="WorkflowError",workflow_type="CarTEncounter"} 1
# TYPE temporal_num_pollers gauge
temporal_num_pollers{poller_type="workflow_task"} 2
# TYPE temporal_worker_task_slots_available gauge
temporal_worker_task_slots_available{worker_type="ActivityWorker"} 8
# TYPE temporal_workflow_task_schedule_to_start_latency_seconds histogram
temporal_workflow_task_schedule_to_start_latency_seconds_bucket{le="0.1"} 5
temporal_workflow_task_schedule_to_start_latency_seconds_bucket{le="+Inf"} 5
# TYPE temporal_activity_schedule_to_start_latency_seconds histogram
temporal_activity_schedule_to_start_latency_seconds_bucket{le="0.1"} 5
temporal_activity_schedule_to_start_latency_seconds_bucket{le="+Inf"} 5
"""


def load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards_build", DEPLOY / "dashboards" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = load_build()
PANELS = [(dashboard["name"], panel) for dashboard in BUILD.definitions() for panel in dashboard["panels"]]


@contextmanager
def watched(world: World, now: datetime, directory: Path, binary: str) -> Iterator[str]:
    """A Prometheus with the repository's rules and consoles that has scraped the store often enough for a rate."""
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.config, world.keys, clock=lambda: now))
    port = free_port()
    store, _ = start_http_server(port, "127.0.0.1", registry)
    memory = "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 9e7\n"
    processes = Exposition(PROCESS_TEXT + memory)
    targets = dict.fromkeys(("cart-worker", "temporal", "prometheus", "alertmanager"), processes.target)
    server, where = start_prometheus(binary, directory, targets | {"cart-gateway": f"127.0.0.1:{port}"}, "127.0.0.1:1")
    try:
        eventually(lambda: answers(where, "cart:unbilled_dollars:sum"), "the first recorded series")
        eventually(lambda: answers(where, "min(count_over_time(up[5m])) >= 4"), "enough scrapes for a rate")
        yield where
    finally:
        server.stop()
        store.shutdown()
        processes.server.shutdown()


def answers(where: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus finds; nothing while it starts."""
    try:
        answer = httpx.get(f"http://{where}/api/v1/query", params={"query": query}, timeout=5)
    except httpx.HTTPError:
        return []
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return []
    body = answer.json()
    assert body["status"] == "success", body
    found: list[dict[str, Any]] = body["data"]["result"]
    return found
