"""Stage 5, monitoring: daily assessments, documented grades, readmission, until the window closes (G106-109, G469)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from domain.alerts.model import Finding
from domain.encounter.checks.toxicity import drug_limits, episodes, grade_questions, mixed_scales, reminders
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.requirements import from_alert
from domain.encounter.model import Milestone, Requirement
from domain.encounter.record import Infusion, Stay
from domain.encounter.stages.stage_module import Wait, wait, wait_until
from domain.events.base import Stage

STAGE = Stage.MONITORING


def service(context: EncounterContext) -> Service:
    """Return the service: monitoring begins with the infusion."""
    last = last_infusion(context)
    if last is None:
        return context.due(STAGE, context.infusion_facility, None)
    return context.performed(STAGE, last.last, last.facility, last.setting)


def gate_requirements(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return the requirement of a documented infusion."""
    met = bool(context.record.given)
    return [
        from_alert(
            context,
            "infusion_undocumented",
            "product.infused",
            "product",
            met,
            "" if met else "documented infusion",
            releases_on=("cart.infusion.completed", "cart.infusion.stopped"),
            overridable=False,
        )
    ]


def happened(context: EncounterContext) -> bool:
    """Whether the readmission window is over and the patient is not in the hospital."""
    end = window_end(context)
    return end is not None and end <= context.now and not open_stays(context)


def waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield the next daily assessment, discharge, the end of monitoring and of the readmission window."""
    yield from (_discharge_wait(context, stay) for stay in open_stays(context))
    last = last_infusion(context)
    if last is None:
        return
    yield from _assessment_wait(context, last)
    day0 = context.day(last.started_at, last.facility)
    total = context.day_end(day0 + timedelta(days=context.window("monitoring_total").days or 0), last.facility)
    yield wait_until(context, None, STAGE, "the end of monitoring", total, last.events, "monitoring_end")
    end = window_end(context)
    if end is not None:
        yield Wait("wake:readmission_window", None, end, STAGE, "the end of the readmission window", last.events)


def findings(context: EncounterContext) -> Iterator[Finding]:
    """Yield grades that findings do not support, label limits that were exceeded, readmissions until they are coded."""
    if not context.record.given:
        return
    yield from (Finding("grade_difference", event, (event,), axis) for event, axis in grade_questions(context))
    yield from (Finding("crs_drug_reminder", event, (event,)) for event in reminders(context))
    yield from (Finding("crs_drug_limit", what, events, what) for what, events in drug_limits(context))
    if mixed := mixed_scales(context):
        yield Finding("toxicity_scales", events=mixed)
    coded = {fact.data.admission_id for fact in context.record.codings}
    for stay in readmissions(context):
        if stay.id in coded and stay.ended_at is not None:
            continue
        kind = "readmission" if context.site.facility(stay.facility) else "readmission_elsewhere"
        yield Finding(kind, stay.events[0], stay.events)


def milestones(context: EncounterContext) -> Iterator[Milestone]:
    """Yield stays, the beginning and end of each documented toxicity, and the end of monitoring."""
    for stay in context.record.stays:
        yield Milestone("admission", stay.started_at, False, stay.events)
        if stay.ended_at is not None:
            yield Milestone("discharge", stay.ended_at, False, stay.events)
    for name, begun, ended in episodes(context):
        yield Milestone(f"{name}_onset", begun.occurred, False, (begun.event_id,))
        if ended is not None:
            yield Milestone(f"{name}_resolved", ended.occurred, False, (ended.event_id,))
    last = last_infusion(context)
    if last is not None:
        day0 = context.day(last.started_at, last.facility)
        end = context.day_end(day0 + timedelta(days=context.window("monitoring_total").days or 0), last.facility)
        yield Milestone("monitoring_end", end, end > context.now, last.events)


def last_infusion(context: EncounterContext) -> Infusion | None:
    """The last infusion in which cells were infused."""
    return context.record.given[-1] if context.record.given else None


def window_end(context: EncounterContext) -> datetime | None:
    """When the readmission window and the grace period of late feeds are over; None before an infusion."""
    last = last_infusion(context)
    if last is None:
        return None
    day0 = context.day(last.started_at, last.facility)
    end = context.day_end(day0 + timedelta(days=context.window("readmission", day0).days or 0), last.facility)
    return max(end, (context.known_at(last.events) or context.now) + context.grace)


def open_stays(context: EncounterContext) -> tuple[Stay, ...]:
    """Stays without discharge. An outpatient visit without an end does not count."""
    return tuple(stay for stay in context.record.stays if stay.ended_at is None and not stay.visit)


def readmissions(context: EncounterContext) -> tuple[Stay, ...]:
    """Inpatient stays that began after the day of the infusion and within its window."""
    last = last_infusion(context)
    if last is None:
        return ()
    day0 = context.day(last.started_at, last.facility)
    until = day0 + timedelta(days=context.window("readmission", day0).days or 0)
    return tuple(
        stay
        for stay in context.record.stays
        if stay.inpatient_from is not None
        and not stay.covers(last.started_at)
        and day0 < context.day(stay.inpatient_from, stay.facility) <= until
    )


def _discharge_wait(context: EncounterContext, stay: Stay) -> Wait:
    return wait(
        context,
        "discharge_overdue",
        STAGE,
        "the discharge is recorded",
        stay.started_at,
        "discharge",
        stay.events,
        stay.events[0],
    )


def _assessment_wait(context: EncounterContext, last: Infusion) -> Iterator[Wait]:
    """The first day of daily assessment without one, until the daily period or the encounter's care is over."""
    day0 = context.day(last.started_at, last.facility)
    days = context.window("monitoring_daily", day0).days or 0
    if context.today > day0 + timedelta(days=days) or context.record.withdrawal is not None:
        return
    end = context.day_end(day0 + timedelta(days=days))
    yield Wait("wake:daily_end", None, end, STAGE, "the end of daily assessment", last.events)
    assessed = {context.day(fact.occurred, last.facility) for fact in context.record.toxicities}
    asked = (day0 + timedelta(days=n) for n in range(1, days + 1))
    missing = next((d for d in asked if d not in assessed and not _before_cutover(context, d, last.facility)), None)
    if missing is not None:
        yield _assessment(context, last, missing)


def _before_cutover(context: EncounterContext, day: date, facility: str) -> bool:
    cutover = context.record.cutover
    return cutover is not None and context.day_end(day, facility) <= cutover.data.at


def _assessment(context: EncounterContext, last: Infusion, missing: date) -> Wait:
    start = context.day_end(missing, last.facility)
    return wait(
        context, "assessment_overdue", STAGE, "the day's assessment is documented", start, "assessment", last.events
    )
