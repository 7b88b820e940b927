"""Failures as the Temporal UI shows them: what happened in one line, and what somebody should do about it.

An activity that fails is tried again until it succeeds, so whoever opens the run reads the last failure first. The message of a
driver names a table or a socket; this one names the cause and the runbook. The class of the error stays as its type; the error
itself follows as the cause, sealed like every failure.
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

CURES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        DatabaseError,
        "The database did not answer or refused. Nothing is lost and this is tried again by itself; bring the database back "
        "(deploy/runbooks/CartStoreDown.md).",
    ),
    (
        SealBroken,
        "The key file of this worker cannot open what is stored. Put the installation's own keys.json back and restart the "
        "worker (docs/operations.md, key file).",
    ),
    (
        NoRule,
        "The rulebook has no row for this case. Add or mend the row; the next try reads the file anew "
        "(`cart-encounter rules list`).",
    ),
    (
        RulebookError,
        "The rulebook cannot be read. Undo the last edit of its files; the next try reads them anew "
        "(deploy/runbooks/CartShelfUnreadable.md).",
    ),
    (
        SiteError,
        "The site file cannot be read. Undo its last edit, check it with `cart-encounter site FILE`; the next try reads it anew "
        "(deploy/runbooks/CartShelfUnreadable.md).",
    ),
    (
        RPCError,
        "The Temporal server did not answer this activity. It is tried again by itself (deploy/runbooks/CartTemporalDown.md).",
    ),
    (
        OSError,
        "A file could not be read or written. Look at the data directory of the worker: free space, owner, mount; it is tried "
        "again by itself.",
    ),
)
"""From a class of errors to its cure; the first that fits counts."""

UNEXPECTED: Final = (
    "The program met a case it was not written for. It is tried again; if it comes back, keep this run's history and the "
    "worker's log, go back to the version before, and report both (deploy/runbooks/CartActivityFailing.md)."
)


def advised(error: Exception, activity: str) -> ApplicationError:
    """The error for people: the activity, the class of the error, the cure; retryable as it was. Rules name themselves."""
    cure = next((text for kind, text in CURES if isinstance(error, kind)), UNEXPECTED)
    which = f" ({error})" if isinstance(error, NoRule) else ""
    return ApplicationError(f"{activity}: {cure}{which}", type=type(error).__name__)


class Advice(Interceptor):
    """Puts the cure into every failure of an activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Advising(next)


class _Advising(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except (ApplicationError, CancelledError):
            raise
        except Exception as error:
            name = getattr(input.fn, "__temporal_activity_definition", None)
            raise advised(error, name.name if name else "activity") from error
