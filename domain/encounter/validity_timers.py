"""Moments at which something valid today ends, or begins: certificates, documents, overrides. They wake the encounter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates import eligibility, readiness
from domain.encounter.stages.stage_module import Wait, day_start
from domain.events.base import Stage


def lapses(context: EncounterContext, services: Sequence[Service]) -> Iterator[Wait]:
    """Yield the ends of everything that gates of services not yet performed rely on."""
    for service in services:
        if not service.performed and not service.booked:
            for name, day in _ends(context, service):
                yield Wait(
                    f"wake:{service.stage.value}:{name}",
                    None,
                    context.day_end(day),
                    service.stage,
                    "an end of validity",
                )
    release = context.attempt.release
    if release is not None and not context.record.infusions:
        end = context.day_end(release.data.expires_on, context.infusion_facility)
        yield Wait("wake:expiry", None, end, Stage.INFUSION, "the expiry of the product", (release.event_id,))
    for event, moment in context.future_records:
        key = f"wake:ahead:{event}:{moment.isoformat()}"
        yield Wait(key, None, moment, Stage.APHERESIS, "the day of a future dated document", (event,))
    for fact in context.record.overrides:
        yield Wait(f"wake:override:{fact.event_id}", None, fact.data.expires, Stage.APHERESIS, "the end of an override")
    for signed in context.record.dispositions:
        if signed.data.expires is not None:
            key, end = f"wake:disposition:{signed.event_id}", signed.data.expires
            yield Wait(key, None, end, Stage.INFUSION, "the end of a disposition", (signed.event_id,))
    for booking in context.record.appointments:
        if booking.status == "booked":
            start = day_start(context, context.day(booking.starts_at, booking.facility), booking.facility)
            yield Wait(f"wake:booked:{booking.events[0]}", None, start, Stage.APHERESIS, "the day of a booking")


def _ends(context: EncounterContext, service: Service) -> Iterator[tuple[str, date]]:
    for row in readiness.layers(context, service):
        found = readiness.certificate(context, row, service)
        if found is not None and found.change.valid_to is not None:
            yield f"{row.layer}.{row.holder}", found.change.valid_to
    if context.record.referral is not None:
        for document in eligibility.asked(context, service):
            last = eligibility.last_day(context, service, document)
            if last is not None:
                yield document.requirement, last
    for authorization in context.record.authorizations:
        if authorization.valid_to is not None:
            yield f"authorization.{authorization.events[0]}", authorization.valid_to
