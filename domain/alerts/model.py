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
    """A condition that a role must act on.

    Attributes:
        key: its dedupe key within the encounter.
        title: what happened, in at most 60 characters.
        action: the details, what to do and by when.
        since: when the condition became true.
    """

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
class Cause:
    """One possible cause of a finding, with its fix: a denial that the codes of a remittance fit."""

    title: str
    fix: str
    denial: int | None = None
    citation: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that a role must act on, before its rulebook row turns it into an alert.

    Attributes:
        name: distinguishes findings of one kind and scope.
        detail: what was found, as the first sentence of the alert's text; without a period.
        severity, denial: in place of the row's.
        since: when it became true; None where that follows from its events or from the moment it was found.
        scope: whose finding it is: empty for an encounter's decision, else `claim.C/1`, `watch` or `intake`.
        subject: what the title begins with ("Claim C/1").
        causes: what may be behind it. One replaces the row's action, citation and denial; several are listed, none is chosen.
        next_step: a sentence behind the row's action.
    """

    kind: str
    name: str = ""
    events: tuple[str, ...] = ()
    detail: str = ""
    severity: Severity | None = None
    layer: str | None = None
    denial: int | None = None
    since: datetime | None = None
    scope: str = ""
    subject: str = ""
    causes: tuple[Cause, ...] = ()
    next_step: str = ""

    @property
    def key(self) -> str:
        if self.scope:
            return ".".join(filter(None, (self.scope, self.kind, self.name)))
        return f"{self.kind}:{self.name}" if self.name else self.kind
