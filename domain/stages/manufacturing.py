"""Stage 2, manufacturing: from the collection to a released product; no claim of its own (G94-97, G505)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from domain.attempts import BEGINNING, failed
from domain.case import Case, Service
from domain.decision import Milestone, Requirement
from domain.events import cells
from domain.events.access import BookableStage
from domain.events.base import Stage
from domain.events.cells import CustodyStep, ManufacturingDelayed
from domain.events.governance import PlanChanged
from domain.facts import Fact
from domain.gates.cells import collected
from domain.gates.chain import ORDER
from domain.gates.identity import identity
from domain.gates.readiness import readiness
from domain.stages.clocks import out_of_order
from domain.stages.shape import Finding, Wait, wait, wait_until

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


def service(case: Case) -> Service:
    """The manufacture begins with the collection."""
    first = case.attempt.first_collection
    if first is not None:
        return case.performed(STAGE, first, first.data.facility, first.data.setting)
    return case.due(STAGE, case.apheresis_facility, None)


def asks(case: Case, service: Service) -> list[Requirement]:
    """Cells, a certified chain, and one identity from collection to manufacturer."""
    open_ended = Service(STAGE, service.on, False, service.booked, service.facility, service.setting, None)
    return [collected(case, service), *readiness(case, service), *identity(case, open_ended)]


def happened(case: Case) -> bool:
    """A usable product was released."""
    return case.attempt.release is not None


def waits(case: Case) -> Iterator[Wait]:
    """Pick-up, receipt and start of manufacture one after the other, and the release within the product's window."""
    first = case.attempt.first_collection
    if first is None or happened(case):
        return
    yield from chain.from_iterable(_journey(case, each) for each in case.attempt.collections)
    yield _release_wait(case, first)


def _journey(case: Case, collection: Fact[cells.ApheresisCompleted]) -> Iterator[Wait]:
    """The next hand-over of one collection: a collection that was repeated makes its own way (corrections G)."""
    again = "" if collection is case.attempt.first_collection else collection.event_id
    begun, events = collection.data.ended_at, (collection.event_id,)
    for kind, window, step, title in CHAIN:
        done = recorded(case, step, collection.occurred, collection.data.din)
        if done is None:
            yield wait(case, kind, STAGE, title, begun, window, events, again)
            return
        begun, events = done.occurred, (done.event_id,)


def findings(case: Case) -> Iterator[Finding]:
    """Failures that still ask for a fresh collection, and moves of the release."""
    if not happened(case) and not case.attempt.collections and case.record.withdrawal is None:
        for fact in failed(case.record)[-1:]:
            yield _failure(case, fact)
        lost = case.by_event[case.attempt.lost[-1]] if case.attempt.lost else None
        if lost is not None and isinstance(lost.data, PlanChanged):
            yield Finding("product_switched", events=(lost.event_id,))
        elif lost is not None and not failed(case.record):
            yield Finding("manufacturing_failed", events=(lost.event_id,))
    for late in case.record.late_plans:
        yield Finding("plan_after_infusion", late.event_id, (late.event_id,))
    yield from out_of_order(case)
    delay = told_delay(case)
    if delay is not None and not happened(case):
        yield from _delayed(case, delay)


def _failure(case: Case, fact: Fact[cells.ManufacturingFailed]) -> Finding:
    """A product out of specification waits for a decision; any other failure is one."""
    decided = any(signed.occurred >= fact.occurred for signed in case.record.dispositions)
    if fact.data.out_of_specification and not decided:
        return Finding("out_of_specification", "decision", (fact.event_id,))
    return Finding("manufacturing_failed", events=(fact.event_id,))


def _delayed(case: Case, delay: Fact[ManufacturingDelayed]) -> Iterator[Finding]:
    """A moved release, and what is booked before it."""
    first, day = case.attempt.first_collection, delay.data.new_release_date
    beyond = first is not None and case.day(_window_end(case, first)) < day
    detail = "later than the product's window" if beyond else ""
    yield Finding("product_delayed", events=(delay.event_id,), detail=detail)
    for booking in (*case.bookings(BookableStage.LYMPHODEPLETION), *case.bookings(BookableStage.INFUSION)):
        if case.day(booking.starts_at, booking.facility) <= day:
            name, events = booking.events[0], (*booking.events, delay.event_id)
            yield Finding("booked_before_product", name, events, booking.stage.value)


def milestones(case: Case) -> Iterator[Milestone]:
    """Hand-overs, failures and release, done or expected."""
    for fact in case.record.custody:
        if fact.data.step in NAMES:
            yield Milestone(NAMES[fact.data.step], fact.occurred, False, (fact.event_id,))
    for failure in case.record.failures:
        yield Milestone("manufacturing_failed", failure.occurred, False, (failure.event_id,))
    for release in case.record.releases:
        yield Milestone("release", release.occurred, False, (release.event_id,))
    first = case.attempt.first_collection
    if first is not None and not happened(case):
        yield Milestone("release", expected_release(case, first), True, (first.event_id,))


def expected_release(case: Case, first: Fact[cells.ApheresisCompleted]) -> datetime:
    """The manufacturer's own new date, else the latest day of the product's window (G60)."""
    delay = told_delay(case)
    return case.day_end(delay.data.new_release_date) if delay is not None else _window_end(case, first)


def _window_end(case: Case, first: Fact[cells.ApheresisCompleted]) -> datetime:
    product = case.product_row(case.day(first.occurred))
    window = product.vein_to_vein_days if product else None
    return first.occurred + (timedelta(days=window[1]) if window else case.span("vein_to_vein"))


def recorded(
    case: Case, step: CustodyStep, after: datetime = BEGINNING, din: str | None = None
) -> Fact[cells.CustodyRecorded] | None:
    """The hand-over of this attempt that shows the step: itself, or the first one after it in the chain.

    Args:
        after: hand-overs before it speak of something else.
        din: hand-overs that name another donation speak of that one; from the manufacture on, donations are one.
    """
    start = ORDER.index(CustodyStep.MANUFACTURING_START)
    found = [
        fact
        for fact in case.record.custody
        if fact.occurred > max(after, case.attempt.since)
        and ORDER.index(fact.data.step) >= ORDER.index(step)
        and (din is None or fact.data.din in (None, din) or ORDER.index(fact.data.step) >= start)
    ]
    return min(found, key=lambda fact: (ORDER.index(fact.data.step), fact.order), default=None)


def told_delay(case: Case) -> Fact[ManufacturingDelayed] | None:
    """The last move of the release that the manufacturer told of in this attempt."""
    told = [f for f in case.record.facts.of(ManufacturingDelayed) if f.time > case.attempt.since]
    return told[-1] if told else None


def _release_wait(case: Case, first: Fact[cells.ApheresisCompleted]) -> Wait:
    delay = told_delay(case)
    events = (first.event_id, delay.event_id) if delay else (first.event_id,)
    return wait_until(case, "release_overdue", STAGE, "the product is released", expected_release(case, first), events)
