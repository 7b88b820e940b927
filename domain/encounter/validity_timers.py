"""Moments at which something that holds today ends, or begins: certificates, papers, overrides. They wake the encounter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.encounter.context import Case, Service
from domain.encounter.gates import eligibility, readiness
from domain.encounter.stages.stage_module import Wait, day_start
from domain.events.base import Stage


def lapses(case: Case, services: Sequence[Service]) -> Iterator[Wait]:
    """The ends of what the gates of services not yet performed rest on."""
    for service in services:
        if not service.performed and not service.booked:
            for name, day in _ends(case, service):
                yield Wait(
                    f"wake:{service.stage.value}:{name}", None, case.day_end(day), service.stage, "an end of validity"
                )
    release = case.attempt.release
    if release is not None and not case.record.infusions:
        end = case.day_end(release.data.expires_on, case.infusion_facility)
        yield Wait("wake:expiry", None, end, Stage.INFUSION, "the expiry of the product", (release.event_id,))
    for event, moment in case.ahead:
        key = f"wake:ahead:{event}:{moment.isoformat()}"
        yield Wait(key, None, moment, Stage.APHERESIS, "the day of a paper that is dated ahead", (event,))
    for fact in case.record.overrides:
        yield Wait(f"wake:override:{fact.event_id}", None, fact.data.expires, Stage.APHERESIS, "the end of an override")
    for signed in case.record.dispositions:
        if signed.data.expires is not None:
            key, end = f"wake:disposition:{signed.event_id}", signed.data.expires
            yield Wait(key, None, end, Stage.INFUSION, "the end of a disposition", (signed.event_id,))
    for booking in case.record.appointments:
        if booking.status == "booked":
            start = day_start(case, case.day(booking.starts_at, booking.facility), booking.facility)
            yield Wait(f"wake:booked:{booking.events[0]}", None, start, Stage.APHERESIS, "the day of a booking")


def _ends(case: Case, service: Service) -> Iterator[tuple[str, date]]:
    for row in readiness.layers(case, service):
        found = readiness.certificate(case, row, service)
        if found is not None and found.change.valid_to is not None:
            yield f"{row.layer}.{row.holder}", found.change.valid_to
    if case.record.referral is not None:
        for paper in eligibility.asked(case, service):
            last = eligibility.last_day(case, service, paper)
            if last is not None:
                yield paper.requirement, last
    for authorization in case.record.authorizations:
        if authorization.valid_to is not None:
            yield f"authorization.{authorization.events[0]}", authorization.valid_to
