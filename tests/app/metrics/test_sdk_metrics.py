"""The names that rules and dashboards ask for are those that a real worker exposes; an SDK that renames them fails here."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from app.metrics import exposition, free_port, sdk_metrics
from app.metrics.sdk_names import SDK
from tests.kit.waiting import eventually_async

SHORT = timedelta(seconds=10)
NEVER_HERE = frozenset({"temporal_sticky_cache_total_forced_eviction_total"})
"""Counted only under a load that no test makes; its name is in the SDK's documentation."""


@activity.defn
def fails_once(local: bool) -> None:
    if activity.info().attempt == 1:
        raise RuntimeError("once")


@workflow.defn
class Works:
    """Does one activity of each kind, each failing at first."""

    @workflow.run
    async def run(self) -> None:
        retry = RetryPolicy(initial_interval=timedelta(milliseconds=10))
        await workflow.execute_activity(fails_once, False, start_to_close_timeout=SHORT, retry_policy=retry)
        await workflow.execute_local_activity(fails_once, True, start_to_close_timeout=SHORT, retry_policy=retry)


@workflow.defn
class Raises:
    """Raises in workflow code: its task is tried again for ever."""

    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("always")


async def scrape(port: int) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def connect(where: str, port: int) -> Client:
    runtime = Runtime(telemetry=TelemetryConfig(metrics=sdk_metrics(port)))

    async def connected() -> Client | None:
        with contextlib.suppress(RuntimeError):
            return await Client.connect(where, namespace="default", runtime=runtime)
        return None

    return await eventually_async(connected, "the server answers")


async def test_a_worker_exposes_what_the_rules_ask_for(server: str) -> None:
    port = free_port()
    client = await connect(server, port)
    with ThreadPoolExecutor(4) as pool:
        async with Worker(
            client,
            task_queue="names",
            workflows=[Works, Raises],
            activities=[fails_once],
            activity_executor=pool,
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            stuck: WorkflowHandle[Raises, None] = await client.start_workflow(
                Raises.run, id="raises", task_queue="names"
            )
            await client.execute_workflow(Works.run, id="works", task_queue="names")

            async def shows_the_failure() -> str | None:
                text = await scrape(port)
                return text if "temporal_workflow_task_execution_failed_total" in text else None

            text = await eventually_async(shows_the_failure, "the failed task is counted")
            whole = (await asyncio.to_thread(exposition, port)).decode()
            await stuck.terminate()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {each.name for each in SDK} - NEVER_HERE <= shown
    failed = next(
        line for line in text.splitlines() if line.startswith("temporal_workflow_task_execution_failed_total{")
    )
    assert 'failure_reason="WorkflowError"' in failed
    assert 'workflow_type="Raises"' in failed
    for poller in ("workflow_task", "activity_task"):
        assert f'poller_type="{poller}"' in text
    families = [family.name for family in text_string_to_metric_families(whole)]
    assert len(families) == len(set(families))
