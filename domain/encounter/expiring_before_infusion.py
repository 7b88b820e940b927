"""What holds today and will not hold on the day of the infusion: certificates and approvals that end in between (G195).

Before the infusion is booked its day is expected by the product's window; once it is booked the infusion's own gate asks
for that very day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from domain.alerts.model import Finding
from domain.encounter.context import Case, Service
from domain.encounter.gates.authorization import infusion_day, required
from domain.encounter.gates.readiness import certificate, layers
from domain.encounter.stages.manufacturing import told_delay
from domain.events.access import BookableStage
from domain.events.base import Stage


def outlook(case: Case) -> Iterator[Finding]:
    """Certificates and approvals that end before the expected infusion."""
    expected = expected_infusion(case)
    if case.record.referral is None or case.record.infusions or infusion_day(case) or expected is None:
        return
    today, then = _on(case, case.today), _on(case, expected)
    for row in layers(case, then):
        now = certificate(case, row, today)
        if now is not None and certificate(case, row, then) is None and row.enforcement != "off":
            events = (now.event,) if now.event else ()
            yield Finding("certification_expiring", f"{row.layer}.{row.holder}", events, row.title, layer=row.layer)
    standing = [a for a in case.record.authorizations if a.covers(case.today)]
    if required(case) and standing and not any(a.covers(expected) for a in case.record.authorizations):
        yield Finding("authorization_expiring", events=standing[-1].events)


def expected_infusion(case: Case) -> date | None:
    """The latest day by the product's window (G60), counted from the collection or its booking; None before."""
    first = case.attempt.first_collection
    booked = case.bookings(BookableStage.APHERESIS)
    if first is not None:
        start = case.day(first.occurred, first.data.facility)
    elif booked:
        start = case.day(booked[0].starts_at, booked[0].facility)
    else:
        return None
    product = case.product_row(start)
    window = product.vein_to_vein_days if product else None
    expected = start + (timedelta(days=window[1]) if window else case.span("vein_to_vein"))
    delay = told_delay(case)
    return max(case.today, expected, *((delay.data.new_release_date,) if delay else ()))


def _on(case: Case, day: date) -> Service:
    return Service(Stage.INFUSION, day, False, False, case.infusion_facility, None, None)
