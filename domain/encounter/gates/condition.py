"""Condition of the bag: temperature, seal, acceptance, specification, dose, thaw time, bedside check (corrections G).

A correction of the facts or a signed disposition that accepts the bag resolves a broken condition. Only a correction resolves
a missing second person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.chain import Transfer, Violation, limit, transfers
from domain.events.base import Stage
from domain.events.cells import CustodyStep


def conditions(context: EncounterContext, service: Service, until: datetime | None) -> Iterator[Violation]:
    """Yield every broken condition up to the service."""
    for fact in transfers(context, until):
        yield from _transfer(context, fact)
    yield from _specification(context, until)
    yield from _certificate(context, service, until)
    if service.stage is Stage.INFUSION:
        yield from _bedside(context, service.on)
        yield from _thaw(context)


def thaw_end(context: EncounterContext, fact: Transfer) -> datetime | None:
    """Return when the thaw time of a transfer ends; a thaw reported late gets the grace period of late feeds."""
    end = _clock(context, fact)
    if end is None:
        return None
    return end if fact.received_at <= end else fact.received_at + context.grace


def _clock(context: EncounterContext, fact: Transfer) -> datetime | None:
    """Return when the thaw time ends, counted from the thaw; None for other transfers."""
    row = limit(context, CustodyStep.THAW, context.day(fact.occurred))
    if fact.data.step is not CustodyStep.THAW or row is None or row.hours_max is None:
        return None
    return fact.occurred + timedelta(hours=float(row.hours_max))


def _transfer(context: EncounterContext, fact: Transfer) -> Iterator[Violation]:
    row = limit(context, fact.data.step, context.day(fact.occurred))
    warmest = row.temperature_max_c if row else None
    if warmest is not None and fact.data.temperature is not None and fact.data.temperature.max > warmest:
        yield _broken(context, "temperature", "transport within the temperature limit", fact)
    if fact.data.seal_intact is False:
        yield _broken(context, "seal", "intact seal", fact)
    if fact.data.accepted is False and not _accepted_later(context, fact):
        yield _broken(context, "refused", "acceptance by the receiver", fact)
    if fact.data.step is CustodyStep.OUT_OF_SPECIFICATION:
        yield _out_of_specification(fact.event_id, fact.data.bag_id or context.attempt.bag_id)


def _broken(context: EncounterContext, name: str, what: str, fact: Transfer) -> Violation:
    bag = fact.data.bag_id or context.attempt.bag_id
    return Violation("broken_chain_condition", name, what, (fact.event_id,), bag, True)


def _accepted_later(context: EncounterContext, refused: Transfer) -> bool:
    """Whether the receiver recorded the same transfer again and accepted it."""
    same = (refused.data.step, refused.data.bag_id)
    return any(
        fact.data.accepted is True and (fact.data.step, fact.data.bag_id) == same and fact.order > refused.order
        for fact in context.record.custody
    )


def _specification(context: EncounterContext, until: datetime | None) -> Iterator[Violation]:
    for failure in context.record.failures:
        current = failure.occurred > context.attempt.since and (until is None or failure.occurred <= until)
        if failure.data.out_of_specification and current:
            yield _out_of_specification(failure.event_id, failure.data.bag_id or context.attempt.bag_id)


def _out_of_specification(event: str, bag: str | None) -> Violation:
    return Violation("out_of_specification", "specification", "product within specification", (event,), bag, True)


def _certificate(context: EncounterContext, service: Service, until: datetime | None) -> Iterator[Violation]:
    """Yield a dose on the certificate of analysis above the label's maximum, and a product expired on the day of infusion."""
    release = context.attempt.release
    if release is None or (until is not None and release.occurred > until):
        return
    data, events = release.data, (release.event_id,)
    if _above_cap(context, service.on, data.viable_car_cells):
        what = "dose within the label maximum on the certificate of analysis"
        yield Violation("dose_above_cap", "cap", what, events, data.bag_id, True)
    if service.stage is Stage.INFUSION and data.expires_on < service.on:
        yield Violation("product_expired", "expiry", "product not expired on the infusion date", events, data.bag_id)


def _above_cap(context: EncounterContext, on: date, cells: int | None) -> bool:
    row = context.indication_row(on)
    return row is not None and row.cells_cap is not None and cells is not None and cells > row.cells_cap


def _bedside(context: EncounterContext, on: date) -> Iterator[Violation]:
    """Yield a missing second person at the check, also before anything is infused, and cells infused above the maximum."""
    row = limit(context, CustodyStep.BEDSIDE_CHECK, on)
    checked = [fact for fact in transfers(context, None) if fact.data.step is CustodyStep.BEDSIDE_CHECK]
    at_bedside = {fact.data.bag_id: fact.event_id for fact in checked if fact.data.bag_id is not None}
    at_bedside |= {infusion.bag_id: infusion.last.event_id for infusion in context.record.infusions}
    for bag, event in at_bedside.items():
        if row is not None and len(_people(context, bag)) < row.verifiers:
            what = "second, different person at the bedside check"
            yield Violation("verifier_missing", "verifiers", what, (event,), bag)
    for infusion in context.record.infusions:
        if _above_cap(context, on, infusion.last.data.cells_infused):
            what = "cells infused within the label maximum"
            yield Violation("dose_above_cap", "cap.infused", what, (infusion.last.event_id,), infusion.bag_id, True)


def _people(context: EncounterContext, bag_id: str) -> set[str]:
    """Who verified the bag at the bedside: from the infusion or from the recorded check."""
    people: set[str] = set()
    for infusion in context.record.infusions:
        people |= set(infusion.last.data.verified_by) if infusion.bag_id == bag_id else set()
    for fact in context.record.custody:
        if fact.data.step is CustodyStep.BEDSIDE_CHECK and fact.data.bag_id == bag_id:
            people |= {person for person in (fact.data.by, fact.data.second_verifier) if person}
    return people


def _thaw(context: EncounterContext) -> Iterator[Violation]:
    for fact in transfers(context, None):
        clock, end = _clock(context, fact), thaw_end(context, fact)
        if clock is None or end is None:
            continue
        ended = [i.ended_at for i in context.record.infusions if i.ended_at and fact.data.bag_id in (None, i.bag_id)]
        if min(ended) > clock if ended else context.now >= end:
            bag = fact.data.bag_id or context.attempt.bag_id
            yield Violation("thaw_clock", "thaw", "infusion within the thaw time limit", (fact.event_id,), bag, True)
