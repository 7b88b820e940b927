"""`AlertEscalation`: one long-lived workflow that escalates alerts on time and delivers every message."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from workflows import activity_stubs

with workflow.unsafe.imports_passed_through():
    from workflows.messages import EscalationReport, Moment

AT_LEAST = timedelta(seconds=1)
"""The least time between two runs without a change, so that a clock that jumps cannot cause a loop."""


@workflow.defn(name="AlertDesk")
class AlertEscalation:
    """Work, deliver, wait for a change or the next deadline of any alert or message.

    Alerts and messages are in the database; the workflow only keeps the time. It never ends; it continues as new when its
    history is long.
    """

    @workflow.init
    def __init__(self) -> None:
        self.changed = False

    @workflow.run
    async def run(self) -> None:
        while True:
            self.changed = False
            report = await activity_stubs.work_alerts(self._now())
            if report.waiting:
                await activity_stubs.deliver_alerts(self._now())
                report = await activity_stubs.work_alerts(self._now())
            self._show(report)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new()
            await self._change_or_due(report)

    @workflow.signal(name="alerts_changed")
    def alerts_changed(self) -> None:
        """An alert was opened, acknowledged or resolved, or a dead letter is to be tried again."""
        self.changed = True

    async def _change_or_due(self, report: EscalationReport) -> None:
        if report.due is None:
            await workflow.wait_condition(lambda: self.changed)
            return
        try:
            await workflow.wait_condition(
                lambda: self.changed,
                timeout=max(report.due - workflow.now(), AT_LEAST),
                timeout_summary=report.due_title,
            )
        except TimeoutError:
            return

    def _now(self) -> Moment:
        return Moment(now=workflow.now())

    def _show(self, report: EscalationReport) -> None:
        following = f"{report.due_title}, {report.due:%Y-%m-%d %H:%M} UTC" if report.due else "nothing"
        workflow.set_current_details(
            f"**Alert escalation**: {report.standing} alerts open, {report.open} of them not acknowledged\n\n"
            f"Next: {following}\n\n"
            f"Messages: {report.waiting} waiting, {report.dead} given up (`cart-encounter alerts dead-letters`)"
        )
