"""Findings and alerts: what was found, and what a role must act on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """Of an alert: critical (patient, product or whole claim at stake), warning, info."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition somebody must act on. `key` is its dedupe key within the encounter; `since` when it became true."""

    key: str
    kind: str
    severity: Severity
    owner: str
    title: str
    action: str
    citation: str
    rule: str
    since: datetime
    acknowledge_hours: int
    denial: int | None = None
    layer: str | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition somebody must act on. `name` tells findings of one kind apart; `detail` is shown behind the title."""

    kind: str
    name: str = ""
    events: tuple[str, ...] = ()
    detail: str = ""
    severity: Severity | None = None
    layer: str | None = None
    denial: int | None = None
    since: datetime | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind
