"""`CertificationWatch`: run by a Temporal Schedule, one look at what no encounter asks about."""

from __future__ import annotations

from temporalio import workflow

from workflows import activity_stubs

with workflow.unsafe.imports_passed_through():
    from workflows.messages import Moment, WatchReport


@workflow.defn(name="CertificationWatch")
class CertificationWatch:
    """Certificates that end, rows past review, alerts that nobody acknowledged in time."""

    @workflow.run
    async def run(self) -> WatchReport:
        return await activity_stubs.watch(Moment(now=workflow.now()))
