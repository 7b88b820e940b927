"""Stage 5, monitoring: daily assessments, documented grades, readmission, until the window closes (G106-109, G469)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from domain.case import Case, Service
from domain.decision import Milestone, Requirement
from domain.events.base import Stage
from domain.gates.rows import from_alert
from domain.record import Infusion, Stay
from domain.stages.shape import Finding, Wait, wait, wait_until
from domain.toxicity import drug_limits, episodes, grade_questions, mixed_scales, reminders

STAGE = Stage.MONITORING


def service(case: Case) -> Service:
    """Monitoring begins with the infusion."""
    last = last_infusion(case)
    if last is None:
        return case.due(STAGE, case.infusion_facility, None)
    return case.performed(STAGE, last.last, last.facility, last.setting)


def asks(case: Case, service: Service) -> list[Requirement]:
    """There is nothing to monitor before cells were given."""
    met = bool(case.record.given)
    return [
        from_alert(
            case,
            "infusion_undocumented",
            "product.infused",
            "product",
            met,
            "" if met else "documented infusion",
            releases_on=("cart.infusion.completed", "cart.infusion.stopped"),
            overridable=False,
        )
    ]


def happened(case: Case) -> bool:
    """The readmission window is over and nobody is in hospital any more."""
    end = window_end(case)
    return end is not None and end <= case.now and not open_stays(case)


def waits(case: Case) -> Iterator[Wait]:
    """The next daily assessment, discharge, the end of monitoring and of the readmission window."""
    yield from (_discharge_wait(case, stay) for stay in open_stays(case))
    last = last_infusion(case)
    if last is None:
        return
    yield from _assessment_wait(case, last)
    day0 = case.day(last.started_at, last.facility)
    total = case.day_end(day0 + timedelta(days=case.window("monitoring_total").days or 0), last.facility)
    yield wait_until(case, None, STAGE, "the end of monitoring", total, last.events, "monitoring_end")
    end = window_end(case)
    if end is not None:
        yield Wait("wake:readmission_window", None, end, STAGE, "the end of the readmission window", last.events)


def findings(case: Case) -> Iterator[Finding]:
    """Grades that findings do not bear out, limits of the label, readmissions until they are coded."""
    if not case.record.given:
        return
    yield from (Finding("grade_difference", event, (event,), axis) for event, axis in grade_questions(case))
    yield from (Finding("crs_drug_reminder", event, (event,)) for event in reminders(case))
    yield from (Finding("crs_drug_limit", what, events, what) for what, events in drug_limits(case))
    if mixed := mixed_scales(case):
        yield Finding("toxicity_scales", events=mixed)
    coded = {fact.data.admission_id for fact in case.record.codings}
    for stay in readmissions(case):
        if stay.id in coded and stay.ended_at is not None:
            continue
        kind = "readmission" if case.site.facility(stay.facility) else "readmission_elsewhere"
        yield Finding(kind, stay.events[0], stay.events)


def milestones(case: Case) -> Iterator[Milestone]:
    """Stays, the beginning and end of each documented toxicity, and the end of monitoring."""
    for stay in case.record.stays:
        yield Milestone("admission", stay.started_at, False, stay.events)
        if stay.ended_at is not None:
            yield Milestone("discharge", stay.ended_at, False, stay.events)
    for name, begun, ended in episodes(case):
        yield Milestone(f"{name}_onset", begun.occurred, False, (begun.event_id,))
        if ended is not None:
            yield Milestone(f"{name}_resolved", ended.occurred, False, (ended.event_id,))
    last = last_infusion(case)
    if last is not None:
        day0 = case.day(last.started_at, last.facility)
        end = case.day_end(day0 + timedelta(days=case.window("monitoring_total").days or 0), last.facility)
        yield Milestone("monitoring_end", end, end > case.now, last.events)


def last_infusion(case: Case) -> Infusion | None:
    """The last infusion that gave cells."""
    return case.record.given[-1] if case.record.given else None


def window_end(case: Case) -> datetime | None:
    """When the readmission window is over and a late feed has had its grace; None before an infusion."""
    last = last_infusion(case)
    if last is None:
        return None
    day0 = case.day(last.started_at, last.facility)
    end = case.day_end(day0 + timedelta(days=case.window("readmission", day0).days or 0), last.facility)
    return max(end, (case.known_at(last.events) or case.now) + case.grace)


def open_stays(case: Case) -> tuple[Stay, ...]:
    """Stays without discharge. An outpatient visit without an end is not one."""
    return tuple(stay for stay in case.record.stays if stay.ended_at is None and not stay.visit)


def readmissions(case: Case) -> tuple[Stay, ...]:
    """Inpatient stays that began after the day of the infusion and within its window."""
    last = last_infusion(case)
    if last is None:
        return ()
    day0 = case.day(last.started_at, last.facility)
    until = day0 + timedelta(days=case.window("readmission", day0).days or 0)
    return tuple(
        stay
        for stay in case.record.stays
        if stay.inpatient_from is not None
        and not stay.covers(last.started_at)
        and day0 < case.day(stay.inpatient_from, stay.facility) <= until
    )


def _discharge_wait(case: Case, stay: Stay) -> Wait:
    return wait(
        case,
        "discharge_overdue",
        STAGE,
        "the discharge is recorded",
        stay.started_at,
        "discharge",
        stay.events,
        stay.events[0],
    )


def _assessment_wait(case: Case, last: Infusion) -> Iterator[Wait]:
    """The first day of daily assessment without one, until the daily span or the encounter's care is over."""
    day0 = case.day(last.started_at, last.facility)
    days = case.window("monitoring_daily", day0).days or 0
    if case.today > day0 + timedelta(days=days) or case.record.withdrawal is not None:
        return
    end = case.day_end(day0 + timedelta(days=days))
    yield Wait("wake:daily_end", None, end, STAGE, "the end of daily assessment", last.events)
    assessed = {case.day(fact.occurred, last.facility) for fact in case.record.toxicities}
    asked = (day0 + timedelta(days=n) for n in range(1, days + 1))
    missing = next((d for d in asked if d not in assessed and not _before_cutover(case, d, last.facility)), None)
    if missing is not None:
        yield _assessment(case, last, missing)


def _before_cutover(case: Case, day: date, facility: str) -> bool:
    cutover = case.record.cutover
    return cutover is not None and case.day_end(day, facility) <= cutover.data.at


def _assessment(case: Case, last: Infusion, missing: date) -> Wait:
    start = case.day_end(missing, last.facility)
    return wait(
        case, "assessment_overdue", STAGE, "the day's assessment is documented", start, "assessment", last.events
    )
