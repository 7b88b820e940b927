"""Failures of activities on demand: before their work, or after it, when the answer is lost and the work is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import OperationalError
from temporalio import activity, client, worker
from temporalio.api.failure.v1 import Failure
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput


class Lost(RuntimeError):
    """The work is done and its answer is lost, as when a worker is killed before it reports."""


@dataclass
class Faults(client.Interceptor, worker.Interceptor):
    """Armed by workflow and activity; harmless for every other one.

    Attributes:
        armed: (workflow id, activity, "before" or "after") still to fail, once each.
        away: workflows whose activities find no database, with how many more tries do not.
        on_away: called at each of those tries.
        seen: what failed on demand.
        failed: (workflow id, activity) of every try that failed by itself.
    """

    armed: list[tuple[str, str, str]] = field(default_factory=list)
    away: dict[str, int] = field(default_factory=dict)
    on_away: Callable[[], object] = lambda: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Failing(next, self)

    def strike(self, workflow: str | None, name: str, when: str) -> bool:
        """True when this try is to fail."""
        key = (workflow or "", name, when)
        if key not in self.armed:
            return False
        self.armed.remove(key)
        self.seen.append((name, when))
        return True


class _Failing(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, faults: Faults) -> None:
        super().__init__(next)
        self.faults = faults

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if self.faults.away.get(info.workflow_id or "", 0) > 0:
            self.faults.away[info.workflow_id or ""] -= 1
            self.faults.seen.append((info.activity_type, "away"))
            self.faults.on_away()
            raise OperationalError("the database is away", None, ConnectionError())
        if self.faults.strike(info.workflow_id, info.activity_type, "before"):
            raise ConnectionError("nothing was done")
        try:
            answer = await super().execute_activity(input)
        except Exception:
            self.faults.failed.append((info.workflow_id or "", info.activity_type))
            raise
        if self.faults.strike(info.workflow_id, info.activity_type, "after"):
            raise Lost("the answer is lost")
        return answer


async def last_failure(handle: client.WorkflowHandle[Any, Any]) -> Failure | None:
    """The last failure of an activity that the run still tries, as the Temporal UI shows it."""
    pending = (await handle.describe()).raw_description.pending_activities
    failed = [one.last_failure for one in pending if one.HasField("last_failure")]
    return failed[0] if failed else None
