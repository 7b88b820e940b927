"""The worker process: both workflows and every activity on one task queue, and its `/metrics`."""

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
from activities.encounter import EncounterActivities
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
DECISION_THREADS = 4
GRACE = timedelta(seconds=4)
WORKFLOWS = [CarTEncounter, ClaimLifecycle, CertificationWatch, AlertEscalation]


def build_worker(client: Client, home: Home, pool: ThreadPoolExecutor) -> Worker:
    """A worker for what its role names; `decide` is a local activity and runs where the workflows run.

    It is not versioned: the shells are small and kept patched, so a running encounter moves to new code with the first
    worker that has it, and none is stranded when the last worker of a version goes.
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
    """Where alerts are sent.

    Raises:
        CannotStart: the file cannot be read or does not fit.
    """
    try:
        return read_destinations(settings.alerts_file)
    except DestinationsError as error:
        raise CannotStart(f"CART_ALERTS_FILE: {error}") from None


async def keep_schedule(client: Client) -> None:
    """Make the schedule of the watch, or bring the one that is there to what this version asks for.

    Workers that start at once do not mind each other; whether somebody paused it stays.
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
        await client.get_schedule_handle(WATCH_SCHEDULE).update(lambda there: _brought_to(schedule, there))


def _brought_to(schedule: Schedule, there: ScheduleUpdateInput) -> ScheduleUpdate | None:
    kept, asked = there.description.schedule, schedule.action
    same = (
        kept.spec.intervals == schedule.spec.intervals
        and kept.policy.overlap == schedule.policy.overlap
        and isinstance(kept.action, ScheduleActionStartWorkflow)
        and isinstance(asked, ScheduleActionStartWorkflow)
        and (kept.action.workflow, kept.action.task_queue) == (asked.workflow, asked.task_queue)
    )
    return None if same else ScheduleUpdate(replace(schedule, state=kept.state))


def reply_directory(home: Home) -> ReplyDirectory:
    """Where payers' answers arrive as files; their times are the first facility's."""
    return ReplyDirectory(home.db, home.keys, home.settings.inbox, home.config.site)


async def run_worker(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way and close."""
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
        with ThreadPoolExecutor(ACTIVITY_THREADS + DECISION_THREADS, thread_name_prefix="activity") as pool:
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
