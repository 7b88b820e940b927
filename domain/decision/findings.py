"""Findings, closed gates and passed deadlines become alerts. The workflow escalates them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from domain.alerts import make
from domain.alerts.model import Alert, Finding, Severity
from domain.billing.model import Claim
from domain.decision.holds import hold_id, override_expired, signed_for
from domain.encounter.context import EncounterContext, Service
from domain.encounter.model import Deadline, Enforcement, Gate, Requirement
from domain.encounter.stages.stage_module import Wait
from domain.events.base import Stage

Judged = tuple[Gate, Service]
ONCE_BOOKED = frozenset({"authorization_missing"})
"""Requirements that are normally missing until a day is booked; until then a deadline covers them."""


def alerts(context: EncounterContext, findings: Iterable[Finding]) -> tuple[Alert, ...]:
    """Return one alert for each key; of several findings under one key the first in order, with all their events."""
    merged: dict[str, Finding] = {}
    for finding in findings:
        known = merged.get(finding.key)
        merged[finding.key] = finding if known is None else _merged(known, finding)
    made = (
        make.alert(context.rules, finding, context.today, context.since(finding.events)) for finding in merged.values()
    )
    return tuple(sorted(made, key=lambda one: one.key))


def deadlines(context: EncounterContext, waits: Iterable[Wait]) -> tuple[tuple[Deadline, ...], list[Finding]]:
    """Return the deadlines in the future, and a finding for each wait whose time has passed."""
    pending: dict[str, Deadline] = {}
    passed: list[Finding] = []
    for each in waits:
        due = each.due.astimezone(UTC)
        if due > context.now:
            pending[each.key] = Deadline(each.key, each.kind or "wake", due, each.stage, each.title, each.events)
        elif each.kind is not None:
            name = each.key.removeprefix(each.kind).removeprefix(":")
            passed.append(Finding(each.kind, name, each.events, since=due))
    return tuple(sorted(pending.values(), key=lambda d: (d.due, d.key))), passed


def of_gates(context: EncounterContext, judged: Iterable[Judged]) -> Iterator[Finding]:
    """Yield findings of unmet requirements, uncleared bookings and overrides of the gates that matter now."""
    for gate, service in judged:
        for requirement in gate.unmet:
            yield from _of_requirement(context, gate, service, requirement)
        if service.booked and not service.performed:
            yield from _uncleared_booking(context, gate, service)


def performed_uncleared(judged: Iterable[Judged]) -> Iterator[Finding]:
    """Yield services that were performed without clearance; they are never shown as cleared."""
    for gate, service in judged:
        if not gate.open:
            what = "not met: " + "; ".join(dict.fromkeys(r.title for r in gate.holding))
            yield Finding("performed_uncleared", f"{gate.stage.value}.{service.events[0]}", service.events, what)


def of_claims(context: EncounterContext, claims: Iterable[Claim]) -> Iterator[Finding]:
    """Yield claims that an error holds."""
    for claim in claims:
        if claim.ready and claim.errors:
            events = tuple(sorted({event for line in claim.lines for event in line.reason.events}))
            detail = "; ".join(dict.fromkeys(edit.message for edit in claim.errors))
            denial = next((edit.denial for edit in claim.errors if edit.denial is not None), None)
            yield Finding("claim_held", claim.key, events, detail, denial=denial, subject=f"Claim {claim.key}")


def _of_requirement(context: EncounterContext, gate: Gate, service: Service, asked: Requirement) -> Iterator[Finding]:
    signed = signed_for(context, gate.stage, asked)
    if signed is not None and not asked.overridable:
        yield Finding("override_refused", hold_id(gate.stage, asked), (signed.event_id,), f"hold: {asked.title}")
    elif signed is not None and override_expired(context, service, asked, signed):
        yield Finding("override_expired", hold_id(gate.stage, asked), (signed.event_id,), f"hold: {asked.title}")
    if asked.alert is None or asked.key in gate.overridden or not _due(context, service, asked):
        return
    severity = Severity.CRITICAL if asked.kind == "readiness" else None
    if asked.enforcement is Enforcement.WARN:
        severity = Severity.WARNING if asked.kind == "readiness" else Severity.INFO
    events = asked.evidence or service.events
    yield Finding(asked.alert, asked.key, events, f"required: {asked.missing}", severity, asked.layer, asked.denial)


def _due(context: EncounterContext, service: Service, asked: Requirement) -> bool:
    """Whether a missing requirement is reported now: cells and doses that come later as planned are not."""
    if asked.kind == "product":
        return service.performed or (service.booked and service.on <= context.today)
    return asked.alert not in ONCE_BOOKED or service.booked or service.performed


def _uncleared_booking(context: EncounterContext, gate: Gate, service: Service) -> Iterator[Finding]:
    open_points = [r for r in gate.holding if r.kind != "product" or service.on <= context.today]
    if not open_points:
        return
    kind = "uncleared_collection_booked" if gate.stage is Stage.APHERESIS else "uncleared_service_booked"
    layer = next((r.layer for r in open_points if r.layer), None)
    denial = next((r.denial for r in open_points if r.denial is not None), None)
    detail = "not met: " + "; ".join(dict.fromkeys(r.title for r in open_points))
    yield Finding(kind, gate.stage.value, service.events, detail, layer=layer, denial=denial)


def _merged(one: Finding, other: Finding) -> Finding:
    """Return one finding for two with the same key: the higher severity, the earlier moment, all events."""
    order = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
    grave = [s for s in (one.severity, other.severity) if s is not None]
    moments: list[datetime] = [m for m in (one.since, other.since) if m is not None]
    return replace(
        one,
        events=tuple(dict.fromkeys((*one.events, *other.events))),
        detail="; ".join(dict.fromkeys(filter(None, (one.detail, other.detail)))),
        severity=max(grave, key=order.index, default=None),
        layer=one.layer or other.layer,
        denial=one.denial if one.denial is not None else other.denial,
        since=min(moments, default=None),
    )
