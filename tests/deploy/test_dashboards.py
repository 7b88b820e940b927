"""Dashboards: written from one file, asking only for what exists, and answered by a real Prometheus."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from app.metrics import StoreMetrics, free_port
from tests.deploy.monitoring import Exposition, eventually, start_prometheus
from tests.deploy.queries import DEPLOY, documented, metrics_in, recorded
from tests.deploy.store_world import NOW, World, furnish

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


def test_the_written_files_are_those_of_the_definitions() -> None:
    built = BUILD.build()
    for path, text in built.items():
        assert path.read_text(encoding="utf-8") == text, "run: python deploy/dashboards/build.py"
    written = {*(DEPLOY / "grafana" / "dashboards").iterdir(), *(DEPLOY / "prometheus" / "consoles").iterdir()}
    assert written == set(built)


def test_grafana_and_the_consoles_ask_the_same() -> None:
    for name, panel in PANELS:
        query = BUILD.query_of(panel)
        asked = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())["panels"]
        assert query in {each["targets"][0]["expr"] for each in asked}
        assert f"`{query}`" in (DEPLOY / "prometheus" / "consoles" / f"{name}.html").read_text()


def test_there_is_a_dashboard_for_every_question() -> None:
    assert [dashboard["name"] for dashboard in BUILD.definitions()] == ["service", "encounters", "revenue", "readiness"]


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=lambda value: value["title"] if isinstance(value, dict) else value
)
def test_a_panel_asks_for_metrics_that_exist(name: str, panel: dict[str, str]) -> None:
    asked = metrics_in(panel["query"])
    assert asked
    assert asked <= documented() | recorded()


def test_every_query_can_be_parsed(program: Callable[[str], str], tmp_path: Path) -> None:
    rules = [{"record": f"panel:q{number}", "expr": BUILD.query_of(panel)} for number, (_, panel) in enumerate(PANELS)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_grafana_panels_lie_on_the_grid_and_name_the_provisioned_source() -> None:
    source = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            place = panel["gridPos"]
            cells = {(x, place["y"]) for x in range(place["x"], place["x"] + place["w"])}
            assert place["x"] + place["w"] <= 24
            assert not cells & taken
            taken |= cells
            assert panel["datasource"]["uid"] == source["datasources"][0]["uid"]


@pytest.fixture(scope="module")
def prometheus(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with the repository's rules and consoles over a store that has one of everything."""
    binary = program("prometheus")
    directory = tmp_path_factory.mktemp("dashboards")
    world = World(directory)
    furnish(world)
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.shelf, world.keys, clock=lambda: NOW))
    port = free_port()
    store, _ = start_http_server(port, "127.0.0.1", registry)
    processes = Exposition(
        PROCESS_TEXT + "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 9e7\n"
    )
    targets = dict.fromkeys(("cart-worker", "temporal", "prometheus", "alertmanager"), processes.target)
    server, where = start_prometheus(binary, directory, targets | {"cart-gateway": f"127.0.0.1:{port}"}, "127.0.0.1:1")
    try:
        eventually(lambda: answers(where, "cart:unbilled_dollars:sum"), "the first recorded series")
        time.sleep(2.5)  # A rate needs two scrapes.
        yield where
    finally:
        server.stop()
        store.shutdown()
        processes.server.shutdown()
        world.db.close()


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


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=lambda value: value["title"] if isinstance(value, dict) else value
)
def test_a_panel_is_answered_with_data(prometheus: str, name: str, panel: dict[str, str]) -> None:
    assert answers(prometheus, BUILD.query_of(panel)), panel["query"]


def test_nothing_to_count_is_shown_as_zero(prometheus: str) -> None:
    panel = {"query": "cart_holds{kind='never heard of'}", "empty": "good"}
    (only,) = answers(prometheus, BUILD.query_of(panel))
    assert only["value"][1] == "0"


def test_what_is_counted_is_shown_without_a_zero_beside_it(prometheus: str) -> None:
    panel = {"query": "max by (kind) (cart_holds)", "empty": "good"}
    found = answers(prometheus, BUILD.query_of(panel))
    assert found
    assert all(each["metric"] and each["value"][1] != "0" for each in found)


@pytest.mark.parametrize("name", [dashboard["name"] for dashboard in BUILD.definitions()])
def test_a_console_page_shows_every_panel(prometheus: str, name: str) -> None:
    page = httpx.get(f"http://{prometheus}/consoles/{name}.html", timeout=10)
    assert page.status_code == 200, page.text
    assert "no data" not in page.text
    assert "{{" not in page.text
    assert page.text.count("<section>") == sum(mine == name for mine, _ in PANELS)
