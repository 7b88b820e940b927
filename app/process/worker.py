"""The worker process: every workflow and activity on one task queue, and its `/metrics`."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.alerting.destinations import Destinations, DestinationsError, read_destinations
from activities.alerts import AlertActivities
from activities.claim import ClaimActivities
from activities.encounter import DECISION_THREADS, EncounterActivities
from activities.watch import WatchActivities
from app.metrics import free_port, sdk_metrics, serve_metrics
from app.process.alert_poller import AlertPoller
from app.process.connect import Home, connect_temporal, open_home
from app.process.failure_hints import Advice
from app.process.logs import core_log, started
from app.settings import CannotStart, Settings
from intake.payer_files.directory import ReplyDirectory
from store.step_log import log_step
from workflows.alert_escalation import AlertEscalation
from workflows.certification_watch import CertificationWatch
from workflows.claim import ClaimLifecycle
from workflows.encounter import CarTEncounter
from workflows.names import TASK_QUEUE, WATCH_EVERY, WATCH_SCHEDULE, WATCH_TYPE

ACTIVITY_THREADS = 8
GRACE = timedelta(seconds=4)
WORKFLOWS = [CarTEncounter, ClaimLifecycle, CertificationWatch, AlertEscalation]


def build_worker(client: Client, home: Home, pool: ThreadPoolExecutor) -> Worker:
    """Returns a worker for its role; `decide` is a local activity and runs with the workflows.

    The worker is not versioned: workflows are small and patched, so that a running encounter continues on any newer worker.
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
        max_cached_workflows=settings.max_cached_workflows,
        graceful_shutdown_timeout=GRACE,
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules("pydantic", "workflows")
        ),
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


async def keep_schedule(client: Client) -> None:
    """Creates the schedule of the certification watch, or updates the existing one to this version.

    Safe for workers that start at the same time; a paused schedule stays paused.
    """
    action = ScheduleActionStartWorkflow(WATCH_TYPE, id=WATCH_SCHEDULE, task_queue=TASK_QUEUE)
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=WATCH_EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(WATCH_SCHEDULE, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(WATCH_SCHEDULE).update(lambda found: _updated(schedule, found))


def _updated(schedule: Schedule, found: ScheduleUpdateInput) -> ScheduleUpdate | None:
    kept, required = found.description.schedule, schedule.action
    same = (
        kept.spec.intervals == schedule.spec.intervals
        and kept.policy.overlap == schedule.policy.overlap
        and isinstance(kept.action, ScheduleActionStartWorkflow)
        and isinstance(required, ScheduleActionStartWorkflow)
        and (kept.action.workflow, kept.action.task_queue) == (required.workflow, required.task_queue)
    )
    return None if same else ScheduleUpdate(replace(schedule, state=kept.state))


def reply_directory(home: Home) -> ReplyDirectory:
    """Returns the watched directory of payer response files; their times are in the first facility's time zone."""
    return ReplyDirectory(home.db, home.keys, home.settings.inbox, home.config.site)


async def run_worker(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes running work and closes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    home = open_home(settings)
    core_port = free_port()
    runtime = Runtime(telemetry=TelemetryConfig(logging=core_log(), metrics=sdk_metrics(core_port)))
    client = await connect_temporal(settings, home.keys, runtime=runtime)
    metrics = serve_metrics(settings.metrics_host, settings.metrics_port, home.db, core_port, home.config, home.keys)
    acts = (reply_directory(home), AlertPoller(home.db, client)) if settings.worker_role != "workflows" else ()
    background = [asyncio.create_task(each.run()) for each in acts]
    try:
        with ThreadPoolExecutor(ACTIVITY_THREADS, thread_name_prefix="activity") as pool:
            async with build_worker(client, home, pool):
                await keep_schedule(client)
                started(settings, role=settings.worker_role)
                await stop.wait()
    finally:
        log_step("process.stopped")
        for task in background:
            task.cancel()
        metrics.shutdown()
        home.db.close()
