"""Certificates and approvals that are valid today and expire before the infusion (G195).

Before the infusion is booked, the product's window gives the expected day. Once it is booked, the gate of the infusion judges
that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.authorization import infusion_day, required
from domain.encounter.gates.readiness import certificate, layers
from domain.encounter.stages.manufacturing import reported_delay
from domain.events.access import BookableStage
from domain.events.base import Stage


def outlook(context: EncounterContext) -> Iterator[Finding]:
    """Return the certificates and approvals that expire before the expected infusion."""
    expected = expected_infusion(context)
    if context.record.referral is None or context.record.infusions or infusion_day(context) or expected is None:
        return
    today, then = _on(context, context.today), _on(context, expected)
    for row in layers(context, then):
        now = certificate(context, row, today)
        if now is not None and certificate(context, row, then) is None and row.enforcement != "off":
            events = (now.event,) if now.event else ()
            yield Finding("certification_expiring", f"{row.layer}.{row.holder}", events, row.title, layer=row.layer)
    valid = [a for a in context.record.authorizations if a.covers(context.today)]
    if required(context) and valid and not any(a.covers(expected) for a in context.record.authorizations):
        yield Finding("authorization_expiring", events=valid[-1].events)


def expected_infusion(context: EncounterContext) -> date | None:
    """The latest day by the product's window (G60), counted from the collection or its booking; None before."""
    first = context.attempt.first_collection
    booked = context.bookings(BookableStage.APHERESIS)
    if first is not None:
        start = context.day(first.occurred, first.data.facility)
    elif booked:
        start = context.day(booked[0].starts_at, booked[0].facility)
    else:
        return None
    product = context.product_row(start)
    window = product.vein_to_vein_days if product else None
    expected = start + (timedelta(days=window[1]) if window else context.span("vein_to_vein"))
    delay = reported_delay(context)
    return max(context.today, expected, *((delay.data.new_release_date,) if delay else ()))


def _on(context: EncounterContext, day: date) -> Service:
    return Service(Stage.INFUSION, day, False, False, context.infusion_facility, None, None)
