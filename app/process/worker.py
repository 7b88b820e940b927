"""The worker process: every workflow and activity on one task queue, and its `/metrics`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.alerting.destinations import Destinations, DestinationsError, read_destinations
from activities.alerts import AlertActivities
from activities.claim import ClaimActivities
from activities.encounter import DECISION_THREADS, EncounterActivities
from activities.watch import WatchActivities
from app.liveness import Liveness
from app.metrics import free_port, sdk_metrics, serve_metrics
from app.process.alert_poller import AlertPoller
from app.process.connect import Home, connect_temporal, open_home, temporal_access
from app.process.failure_hints import Advice
from app.process.logs import core_log, started
from app.process.probes import watch_worker, worker_probes
from app.process.reconciler import Reconciler
from app.process.sealing import SealWriter
from app.settings import CannotStart, Settings
from intake.payer_files.directory import ReplyDirectory
from store.step_log import log_step
from workflows.alert_escalation import AlertEscalation
from workflows.certification_watch import CertificationWatch
from workflows.changes import is_written
from workflows.claim import ClaimLifecycle
from workflows.encounter import CarTEncounter
from workflows.names import TASK_QUEUE

ACTIVITY_THREADS = 8
GRACE = timedelta(seconds=4)
CONNECT_TIMEOUT = timedelta(seconds=10)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds until the next try to connect."""
STEADY_SECONDS = 60.0
"""A worker that ran so long starts again after the first pause."""
AWAY = (
    "nothing is lost and the worker tries again; if this lasts, check the Temporal server, CART_TEMPORAL_ADDRESS, "
    "CART_TEMPORAL_NAMESPACE, its TLS settings and API key"
)
WORKFLOWS = [CarTEncounter, ClaimLifecycle, CertificationWatch, AlertEscalation]

log = structlog.get_logger(__name__)
T = TypeVar("T")


def build_worker(client: Client, home: Home, pool: ThreadPoolExecutor) -> Worker:
    """Returns a worker for its role; `decide` is a local activity and runs with the workflows.

    The worker is not versioned: workflows are small and changed in two steps, so that a running encounter continues on a
    worker of the release before or after.
    """
    settings = home.settings
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[] if settings.worker_role == "activities" else WORKFLOWS,
        no_remote_activities=settings.worker_role == "workflows",
        activities=[
            *EncounterActivities(home.service, client).all,
            *ClaimActivities(home.service, settings.outbox).all,
            *WatchActivities(home.service).all,
            *AlertActivities(home.service, destinations_of(settings)).all,
        ],
        activity_executor=pool,
        interceptors=[Advice()],
        max_concurrent_activities=ACTIVITY_THREADS,
        max_concurrent_local_activities=DECISION_THREADS,
        patch_activation_callback=lambda asked: is_written(asked.patch_id),
        max_cached_workflows=settings.max_cached_workflows,
        graceful_shutdown_timeout=GRACE,
        workflow_runner=sandbox(),
    )


def sandbox() -> SandboxedWorkflowRunner:
    """Returns the sandbox of workflow code."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("pydantic", "workflows")
    )


def destinations_of(settings: Settings) -> Destinations:
    """Returns the destinations of alert messages.

    Raises:
        CannotStart: the file cannot be read or is not valid.
    """
    try:
        return read_destinations(settings.alerts_file)
    except DestinationsError as error:
        raise CannotStart(f"CART_ALERTS_FILE: {error}") from None


def reply_directory(home: Home) -> ReplyDirectory:
    """Returns the watched directory of payer response files; their times are in the first facility's time zone."""
    return ReplyDirectory(home.db, home.keys, home.settings.inbox, home.config.site)


def _background(home: Home) -> tuple[ReplyDirectory, SealWriter]:
    """What runs beside workflows and activities, also without a Temporal server: payer files, sealing."""
    return (
        reply_directory(home),
        SealWriter(home.db, home.keys, lambda: datetime.now(UTC)),
    )


async def run_worker(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes running work and closes. It outlives every outage of the Temporal server.

    Raises:
        CannotStart: among others, a file that a setting names cannot be read.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    home = open_home(settings)
    temporal_access(settings)  # reports wrong settings now; what fails later is an outage
    core_port = free_port()
    runtime = Runtime(telemetry=TelemetryConfig(logging=core_log(), metrics=sdk_metrics(core_port)))
    liveness = Liveness()
    metrics = serve_metrics(
        settings.metrics_host,
        settings.metrics_port,
        home.db,
        core_port,
        home.config,
        home.keys,
        worker_probes(home, liveness),
    )
    acts = _background(home) if settings.worker_role != "workflows" else ()
    background = {type(each).__name__: asyncio.create_task(each.run()) for each in acts}
    try:
        with ThreadPoolExecutor(ACTIVITY_THREADS, thread_name_prefix="activity") as pool:
            watch_worker(liveness, background, pool)
            await outliving(stop, lambda: connected(home, runtime), lambda client: serve(client, home, pool, stop))
            await liveness.stop()
    finally:
        log_step("process.stopped")
        for task in background.values():
            task.cancel()
        metrics.shutdown()
        home.db.close()


async def connected(home: Home, runtime: Runtime) -> Client:
    """Returns a client of a server that responds and knows the namespace.

    Raises:
        RPCError, RuntimeError, TimeoutError: the server does not respond, or the namespace does not exist yet.
    """
    client = await connect_temporal(home.settings, home.keys, runtime=runtime)
    request = DescribeNamespaceRequest(namespace=client.namespace)
    await client.workflow_service.describe_namespace(request, timeout=CONNECT_TIMEOUT)
    return client


async def serve(client: Client, home: Home, pool: ThreadPoolExecutor, stop: asyncio.Event) -> None:
    """Runs a worker on a client until `stop`.

    Raises:
        Exception: the worker ended by itself.
    """
    settings = home.settings
    worker = build_worker(client, home, pool)
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    background = [asyncio.create_task(each.run()) for each in _beside(client, home)]
    started(settings, role=settings.worker_role)
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await worker.shutdown()
        await running
    finally:
        for task in (stopping, *background):
            task.cancel()


def _beside(client: Client, home: Home) -> Sequence[AlertPoller | Reconciler]:
    """Returns what runs beside a worker that carries out activities."""
    if home.settings.worker_role == "workflows":
        return ()
    return AlertPoller(home.db, client), Reconciler(home.db, client, EncounterActivities(home.service, client))


async def outliving(
    stop: asyncio.Event, connect: Callable[[], Awaitable[Client]], act: Callable[[Client], Awaitable[None]]
) -> None:
    """Connects and acts until `stop`; after any failure again, with growing pauses. A failure that repeats is logged once."""
    pause, reported = FIRST_PAUSE, ""
    while not stop.is_set():
        began = asyncio.get_running_loop().time()
        try:
            client = await _unless(stop, connect())
            if client is not None:
                reported = ""
                await act(client)
        except Exception as error:  # noqa: BLE001 a worker outlives every outage
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            if type(error).__name__ != reported:
                reported = type(error).__name__
                log.warning("temporal.away", error=reported, next_step=AWAY)
            await _unless(stop, asyncio.sleep(pause))
            pause = min(pause * 2, LONGEST_PAUSE)


async def _unless(stop: asyncio.Event, awaited: Awaitable[T]) -> T | None:
    """Returns the result, or None if `stop` comes before it.

    Raises:
        TimeoutError: it takes longer than a connection may.
    """
    wanted, stopping = asyncio.ensure_future(awaited), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(
            {wanted, stopping}, return_when=asyncio.FIRST_COMPLETED, timeout=2 * CONNECT_TIMEOUT.total_seconds()
        )
        if wanted.done():
            return await wanted
        if stop.is_set():
            return None
        raise TimeoutError
    finally:
        wanted.cancel()
        stopping.cancel()
