"""`CertificationWatch`: run by a Temporal Schedule, one look at what no encounter asks about."""

from __future__ import annotations

from temporalio import workflow

from workflows import hands

with workflow.unsafe.imports_passed_through():
    from domain.plan import Moment, WatchReport


@workflow.defn(name="CertificationWatch")
class CertificationWatch:
    """Certificates that end, rows past review, alerts that nobody acknowledged in time."""

    @workflow.run
    async def run(self) -> WatchReport:
        return await hands.watch(Moment(now=workflow.now()))
