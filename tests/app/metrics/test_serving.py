"""`/metrics` over HTTP: both expositions in one, and an answer also when the SDK's is away."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import StoreMetrics, exposition, free_port, serve_metrics
from tests.kit.metrics_store import World
from tests.kit.monitoring import Exposition

CORE = "# TYPE temporal_num_pollers gauge\ntemporal_num_pollers 5\n"


@pytest.fixture
def registry_as_before() -> Iterator[None]:
    """Whatever a test registers for this process is taken out again."""
    before = set(REGISTRY._collector_to_names)
    yield
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


def read(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.mark.usefixtures("registry_as_before")
def test_one_page_holds_the_store_and_the_sdk(world: World) -> None:
    core = Exposition(CORE)
    port = free_port()
    server = serve_metrics("127.0.0.1", port, world.db, core.server.server_port, world.config, world.keys)
    try:
        status, text = read(port, "/metrics")
        names = [family.name for family in text_string_to_metric_families(text)]
        assert status == 200
        assert {"cart_store_up", "temporal_num_pollers"} <= set(names)
        assert len(names) == len(set(names))
        assert read(port, "/healthz") == (200, "ok\n")
        assert read(port, "/secrets")[0] == 404
    finally:
        server.shutdown()
        server.server_close()
        core.server.shutdown()


def test_the_own_numbers_are_served_while_the_core_is_away() -> None:
    assert b"python_info" in exposition(free_port())
    assert b"temporal_" not in exposition(free_port())


def test_registering_reads_no_database(world: World) -> None:
    world.db.close()
    collector = StoreMetrics(world.db)
    assert all(not family.samples or family.type == "histogram" for family in collector.describe())


def test_a_free_port_can_be_bound_at_once() -> None:
    first = Exposition("")
    assert free_port() != first.server.server_port
    first.server.shutdown()
