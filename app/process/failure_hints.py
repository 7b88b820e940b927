"""Failures of activities as the Temporal UI shows them: cause and next step in one line.

A failed activity is retried until it succeeds, so the last failure is what an operator sees first. A decision that fails is
retried as `raise_alerts` (`decide` itself is local and leaves no pending activity). The message names cause and runbook
instead of a table or socket. Its type is the class of the error. The error itself follows, encrypted and shortened, as cause.
"""

from __future__ import annotations

from typing import Any, Final

from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.rulebook import NoRule, RulebookError
from domain.site import SiteError
from store.engine import DatabaseError
from store.keys import SealBroken
from workflows.messages import Question

NEXT_STEPS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        DatabaseError,
        "The database did not respond or refused. Nothing is lost; the activity is retried. Restore the database "
        "(deploy/runbooks/CartStoreDown.md).",
    ),
    (
        SealBroken,
        "The key file of this worker cannot decrypt stored data. Restore the installation's keys.json and restart the "
        "worker (docs/operations.md, key file).",
    ),
    (
        NoRule,
        "The rulebook has no row for this case. Add or correct the row; the next retry reads the file again "
        "(`cart-encounter rules list`).",
    ),
    (
        RulebookError,
        "The rulebook cannot be read. Undo the last change of its files; the next retry reads them again "
        "(deploy/runbooks/CartShelfUnreadable.md).",
    ),
    (
        SiteError,
        "The site file cannot be read. Undo its last change and run `cart-encounter site FILE`; the next retry reads it again "
        "(deploy/runbooks/CartShelfUnreadable.md).",
    ),
    (
        RPCError,
        "The Temporal server did not respond. The activity is retried (deploy/runbooks/CartTemporalDown.md).",
    ),
    (
        OSError,
        "A file could not be read or written. Check the worker's data directory: free space, owner, mount. The activity is "
        "retried.",
    ),
)
"""Maps a class of errors to the next step; the first match counts."""

UNEXPECTED: Final = (
    "Unexpected program error. The activity is retried. If it fails again, keep this run's history and the worker's log, "
    "return to the previous version, and report both (deploy/runbooks/CartActivityFailing.md)."
)


LONGEST_MESSAGE: Final = 400
"""Characters of an error's message in the failure."""

LAST_FRAMES: Final = 4
"""Frames of an error's trace in the failure."""


def advised(error: Exception, activity: str) -> ApplicationError:
    """Returns a retryable error with activity and next step; a missing rule is named."""
    step = next((text for kind, text in NEXT_STEPS if isinstance(error, kind)), UNEXPECTED)
    which = f" ({error})" if isinstance(error, NoRule) else ""
    return ApplicationError(f"{activity}: {step}{which}", type=type(error).__name__)


class Advice(Interceptor):
    """Adds the next step to every failure of an activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Advising(next)


class _Advising(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except (ApplicationError, CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 every failure gets its next step
            raise advised(error, _subject(input)) from _in_short(error)


def _in_short(error: Exception) -> ApplicationError:
    """Returns the error as a cause with its last frames only; the worker's log has the whole trace.

    A Temporal server keeps 4 KB of a pending activity's failure. Of a longer one it drops everything, the next step included.
    """
    cause = ApplicationError(str(error)[:LONGEST_MESSAGE], type=type(error).__name__)
    last, end = error.__traceback__, error.__traceback__
    for _ in range(LAST_FRAMES):
        end = end.tb_next if end else None
    while end:
        last, end = (last.tb_next if last else None), end.tb_next
    return cause.with_traceback(last)


def _subject(input: ExecuteActivityInput) -> str:
    """Returns what failed: the activity, or the decision that it asks for again."""
    for asked in input.args:
        if isinstance(asked, Question) and asked.undecided:
            return f"the decision on facts 1-{asked.up_to_sequence} fails"
    name = getattr(input.fn, "__temporal_activity_definition", None)
    return name.name if name else "activity"
