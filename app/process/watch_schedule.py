"""The Temporal Schedule that runs the certification watch."""

from __future__ import annotations

from dataclasses import replace

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

from workflows.names import TASK_QUEUE, WATCH_EVERY, WATCH_SCHEDULE, WATCH_TYPE


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
