"""`CertificationWatch`: a Temporal Schedule runs it to check what no encounter checks."""

from __future__ import annotations

from temporalio import workflow

from workflows import activity_stubs

with workflow.unsafe.imports_passed_through():
    from workflows.messages import Moment, WatchReport


@workflow.defn(name="CertificationWatch")
class CertificationWatch:
    """Certificates that expire, rows past review, alerts that were not acknowledged in time."""

    @workflow.run
    async def run(self) -> WatchReport:
        return await activity_stubs.watch(Moment(now=workflow.now()))
