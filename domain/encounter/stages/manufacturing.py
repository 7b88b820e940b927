"""Stage 2, manufacturing: from the collection to a released product; no claim of its own (G94-97, G505)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from domain.alerts.model import Finding
from domain.encounter.attempts import BEGINNING, failed
from domain.encounter.context import EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.gates.cells import collected
from domain.encounter.gates.chain import ORDER
from domain.encounter.gates.identity import identity
from domain.encounter.gates.readiness import readiness
from domain.encounter.model import Milestone, Requirement
from domain.encounter.stages.clocks import out_of_order
from domain.encounter.stages.stage_module import Wait, wait, wait_until
from domain.events import cells
from domain.events.access import BookableStage
from domain.events.base import Stage
from domain.events.cells import CustodyStep, ManufacturingDelayed
from domain.events.governance import PlanChanged

STAGE = Stage.MANUFACTURING
CHAIN = (
    ("pickup_overdue", "courier_pickup", CustodyStep.COURIER_PICKUP, "courier pickup is recorded"),
    (
        "manufacturer_receipt_overdue",
        "manufacturer_receipt",
        CustodyStep.MANUFACTURER_RECEIPT,
        "manufacturer receipt is recorded",
    ),
    (
        "manufacturing_start_overdue",
        "manufacturing_start",
        CustodyStep.MANUFACTURING_START,
        "manufacturing start is recorded",
    ),
)
NAMES = {
    CustodyStep.COURIER_PICKUP: "pickup",
    CustodyStep.MANUFACTURER_RECEIPT: "manufacturer_receipt",
    CustodyStep.MANUFACTURING_START: "manufacturing_start",
}


def service(context: EncounterContext) -> Service:
    """Return the service: manufacturing begins with the collection."""
    first = context.attempt.first_collection
    if first is not None:
        return context.performed(STAGE, first, first.data.facility, first.data.setting)
    return context.due(STAGE, context.apheresis_facility, None)


def gate_requirements(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return cells, a certified chain, and one identity from collection to manufacturer."""
    open_ended = Service(STAGE, service.on, False, service.booked, service.facility, service.setting, None)
    return [collected(context, service), *readiness(context, service), *identity(context, open_ended)]


def happened(context: EncounterContext) -> bool:
    """Whether a usable product was released."""
    return context.attempt.release is not None


def waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield pickup, receipt and start of manufacturing one after the other, and the release within the product's window."""
    first = context.attempt.first_collection
    if first is None or happened(context):
        return
    yield from chain.from_iterable(_journey(context, each) for each in context.attempt.collections)
    yield _release_wait(context, first)


def _journey(context: EncounterContext, collection: Fact[cells.ApheresisCompleted]) -> Iterator[Wait]:
    """Yield the next transfer of each collection: a repeated collection has its own transfers (corrections G)."""
    again = "" if collection is context.attempt.first_collection else collection.event_id
    begun, events = collection.data.ended_at, (collection.event_id,)
    for kind, window, step, title in CHAIN:
        done = recorded(context, step, collection.occurred, collection.data.din)
        if done is None:
            yield wait(context, kind, STAGE, title, begun, window, events, again)
            return
        begun, events = done.occurred, (done.event_id,)


def findings(context: EncounterContext) -> Iterator[Finding]:
    """Yield failures that still require a new collection, and changes of the release date."""
    if not happened(context) and not context.attempt.collections and context.record.withdrawal is None:
        for fact in failed(context.record)[-1:]:
            yield _failure(context, fact)
        lost = context.by_event[context.attempt.lost[-1]] if context.attempt.lost else None
        if lost is not None and isinstance(lost.data, PlanChanged):
            yield Finding("product_switched", events=(lost.event_id,))
        elif lost is not None and not failed(context.record):
            yield Finding("manufacturing_failed", events=(lost.event_id,))
    for late in context.record.late_plans:
        yield Finding("plan_after_infusion", late.event_id, (late.event_id,))
    yield from out_of_order(context)
    delay = reported_delay(context)
    if delay is not None and not happened(context):
        yield from _delayed(context, delay)


def _failure(context: EncounterContext, fact: Fact[cells.ManufacturingFailed]) -> Finding:
    """Whether a decision is still due; only a product out of specification waits for one, other failures are final."""
    decided = any(signed.occurred >= fact.occurred for signed in context.record.dispositions)
    if fact.data.out_of_specification and not decided:
        return Finding("out_of_specification", "decision", (fact.event_id,))
    return Finding("manufacturing_failed", events=(fact.event_id,))


def _delayed(context: EncounterContext, delay: Fact[ManufacturingDelayed]) -> Iterator[Finding]:
    """Yield a changed release date with the bookings before it."""
    first, day = context.attempt.first_collection, delay.data.new_release_date
    beyond = first is not None and context.day(_window_end(context, first)) < day
    detail = "later than the product's window" if beyond else ""
    yield Finding("product_delayed", events=(delay.event_id,), detail=detail)
    for booking in (*context.bookings(BookableStage.LYMPHODEPLETION), *context.bookings(BookableStage.INFUSION)):
        if context.day(booking.starts_at, booking.facility) <= day:
            name, events = booking.events[0], (*booking.events, delay.event_id)
            yield Finding("booked_before_product", name, events, booking.stage.value)


def milestones(context: EncounterContext) -> Iterator[Milestone]:
    """Yield transfers, failures and release, done or expected."""
    for fact in context.record.custody:
        if fact.data.step in NAMES:
            yield Milestone(NAMES[fact.data.step], fact.occurred, False, (fact.event_id,))
    for failure in context.record.failures:
        yield Milestone("manufacturing_failed", failure.occurred, False, (failure.event_id,))
    for release in context.record.releases:
        yield Milestone("release", release.occurred, False, (release.event_id,))
    first = context.attempt.first_collection
    if first is not None and not happened(context):
        yield Milestone("release", expected_release(context, first), True, (first.event_id,))


def expected_release(context: EncounterContext, first: Fact[cells.ApheresisCompleted]) -> datetime:
    """The new date of the manufacturer, else the latest day of the product's window (G60)."""
    delay = reported_delay(context)
    return context.day_end(delay.data.new_release_date) if delay is not None else _window_end(context, first)


def _window_end(context: EncounterContext, first: Fact[cells.ApheresisCompleted]) -> datetime:
    product = context.product_row(context.day(first.occurred))
    window = product.vein_to_vein_days if product else None
    return first.occurred + (timedelta(days=window[1]) if window else context.span("vein_to_vein"))


def recorded(
    context: EncounterContext, step: CustodyStep, after: datetime = BEGINNING, din: str | None = None
) -> Fact[cells.CustodyRecorded] | None:
    """Return the transfer of this attempt that shows the step: its own record, or the first one after it in the chain.

    Args:
        after: transfers before this moment do not count.
        din: transfers that name another donation do not count; from manufacturing on, donations are one.
    """
    start = ORDER.index(CustodyStep.MANUFACTURING_START)
    found = [
        fact
        for fact in context.record.custody
        if fact.occurred > max(after, context.attempt.since)
        and ORDER.index(fact.data.step) >= ORDER.index(step)
        and (din is None or fact.data.din in (None, din) or ORDER.index(fact.data.step) >= start)
    ]
    return min(found, key=lambda fact: (ORDER.index(fact.data.step), fact.order), default=None)


def reported_delay(context: EncounterContext) -> Fact[ManufacturingDelayed] | None:
    """The last change of the release date that the manufacturer reported in this attempt."""
    reported = [f for f in context.record.facts.of(ManufacturingDelayed) if f.time > context.attempt.since]
    return reported[-1] if reported else None


def _release_wait(context: EncounterContext, first: Fact[cells.ApheresisCompleted]) -> Wait:
    delay = reported_delay(context)
    events = (first.event_id, delay.event_id) if delay else (first.event_id,)
    return wait_until(
        context, "release_overdue", STAGE, "the product is released", expected_release(context, first), events
    )
