"""The shared cause of alerts: alerts with one cause are reported, shown and worked together.

One expired certificate holds every encounter of a center and opens several alerts in each: the certificate is missing, the
booking is not cleared, the claim is held. Filing the new certificate resolves all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from domain.alerts.model import Severity

CERTIFICATE: Final = "certificate."
CONSEQUENCES: Final = frozenset(
    {"uncleared_collection_booked", "uncleared_service_booked", "performed_uncleared", "claim_held"}
)
"""Alerts that another alert of the same encounter explains: they are resolved with it."""

GRAVE: Final = (Severity.CRITICAL.value, Severity.WARNING.value, Severity.INFO.value)
OPEN: Final = "open"


class CausedAlert(Protocol):
    """The fields of an alert that its cause depends on."""

    alert_id: str
    encounter_id: str | None
    kind: str
    severity: str
    owner: str
    title: str
    action: str
    citation: str
    layer: str | None
    denial: int | None
    opened_at: datetime
    acknowledge_by: datetime
    state: str
    escalations: int


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts of one cause, the most severe first. The first alert represents all."""

    cause: str
    alerts: tuple[CausedAlert, ...]

    @property
    def severity(self) -> str:
        return self.alerts[0].severity

    @property
    def open(self) -> int:
        return sum(alert.state == OPEN for alert in self.alerts)

    @property
    def encounters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(alert.encounter_id for alert in self.alerts if alert.encounter_id))

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(alert.owner for alert in self.alerts))

    @property
    def oldest(self) -> datetime:
        return min(alert.opened_at for alert in self.alerts)

    @property
    def acknowledge_by(self) -> datetime | None:
        """The earliest time by which a role must acknowledge one of them; None when all are acknowledged."""
        return min((alert.acknowledge_by for alert in self.alerts if alert.state == OPEN), default=None)


def grouped(alerts: Iterable[CausedAlert]) -> tuple[Group, ...]:
    """Return the alerts by cause: critical before warning before info, then by the time to acknowledge."""
    every = tuple(alerts)
    causes = causes_of(every)
    found: dict[str, list[CausedAlert]] = {}
    for alert in sorted(every, key=_urgency):
        found.setdefault(causes[alert.alert_id], []).append(alert)
    groups = [Group(cause, tuple(members)) for cause, members in found.items()]
    return tuple(sorted(groups, key=lambda group: (*_urgency(group.alerts[0]), group.cause)))


def causes_of(alerts: Sequence[CausedAlert]) -> Mapping[str, str]:
    """Return the cause of every alert, by its id. A consequence has the cause of its origin, while that is open."""
    roots: dict[tuple[str, int], str] = {}
    for alert in sorted(alerts, key=lambda one: one.alert_id):
        if alert.kind not in CONSEQUENCES and alert.encounter_id and alert.denial is not None:
            roots.setdefault((alert.encounter_id, alert.denial), _own(alert))
    return {alert.alert_id: _cause(alert, roots) for alert in alerts}


def _cause(alert: CausedAlert, roots: Mapping[tuple[str, int], str]) -> str:
    if alert.kind in CONSEQUENCES and alert.layer is None and alert.encounter_id and alert.denial is not None:
        return roots.get((alert.encounter_id, alert.denial), _own(alert))
    return _own(alert)


def _own(alert: CausedAlert) -> str:
    return f"{CERTIFICATE}{alert.layer}" if alert.layer else alert.kind


def _urgency(alert: CausedAlert) -> tuple[int, bool, datetime, str]:
    return GRAVE.index(alert.severity), alert.state != OPEN, alert.acknowledge_by, alert.alert_id
