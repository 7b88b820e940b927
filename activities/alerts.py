"""The activities of the alert escalation: queue what changed, escalate, deliver."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from activities.alerting.deliver import deliver
from activities.alerting.destinations import NOWHERE, Destinations
from activities.alerting.escalate import work
from activities.decisions import Mind
from domain.alerts.watch import again_after
from workflows.messages import DeskReport, Moment


class AlertActivities:
    """Escalates alerts that no one acknowledged, and delivers messages about alerts to their destinations."""

    def __init__(self, mind: Mind, destinations: Destinations = NOWHERE) -> None:
        self.mind, self.destinations = mind, destinations

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.work_alerts, self.deliver_alerts]

    @activity.defn(name="work_alerts")
    def work_alerts(self, moment: Moment) -> DeskReport:
        again = again_after(self.mind.shelf.rules(), moment.now)
        with self.mind.db.write() as session:
            return work(session, self.destinations, moment.now, again)

    @activity.defn(name="deliver_alerts")
    def deliver_alerts(self, moment: Moment) -> None:
        deliver(self.mind.db, self.destinations, moment.now)
