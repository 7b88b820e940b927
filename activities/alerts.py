"""The activities of the alert escalation: queue what changed, escalate, deliver."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from activities.alerting.deliver import deliver
from activities.alerting.destinations import NOWHERE, Destinations
from activities.alerting.escalate import work
from activities.decisions import DecisionService
from domain.alerts.watch import again_after
from workflows.messages import EscalationReport, Moment


class AlertActivities:
    """Escalates alerts that no one acknowledged, and delivers messages about alerts to their destinations."""

    def __init__(self, service: DecisionService, destinations: Destinations = NOWHERE) -> None:
        self.service, self.destinations = service, destinations

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.work_alerts, self.deliver_alerts]

    @activity.defn(name="work_alerts")
    def work_alerts(self, moment: Moment) -> EscalationReport:
        again = again_after(self.service.config.rules(), moment.now)
        with self.service.db.write() as session:
            return work(session, self.destinations, moment.now, again)

    @activity.defn(name="deliver_alerts")
    def deliver_alerts(self, moment: Moment) -> None:
        deliver(self.service.db, self.destinations, moment.now)
