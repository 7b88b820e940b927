"""Dated steps of the timeline, and the vein-to-vein time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from domain.encounter.model import Milestone
from domain.encounter.record import Record
from domain.events.cells import CustodyStep
from domain.site import Site


def in_order(milestones: Iterable[Milestone]) -> tuple[Milestone, ...]:
    """Milestones by their moment, each once."""
    unique = {(m.name, m.at, m.planned): m for m in milestones}
    return tuple(sorted(unique.values(), key=lambda m: (m.at, m.name, m.events)))


def vein_to_vein_days(record: Record, site: Site | None = None) -> int | None:
    """Calendar days from the collection that made the product to its infusion; before that, to receipt at the center.

    G60 and G437 measure from leukapheresis to the dose being back for infusion. A failed attempt does not count: the
    collection is the last one before the product's release. Days are those of the place of care; without a site file,
    those of the times as sent. None until the cells are back.
    """
    back = _back(record)
    if back is None:
        return None
    moment, facility = back
    made = [fact for fact in record.releases if fact.occurred <= moment]
    limit = made[-1].occurred if made else moment
    collected = [fact for fact in record.collections if fact.occurred <= limit]
    failed = [fact.occurred for fact in record.failures if fact.occurred < limit]
    collected = [fact for fact in collected if not failed or fact.occurred > max(failed)] or collected
    if not collected:
        return None
    first = collected[0]
    return (_day(moment, facility, site) - _day(first.occurred, first.data.facility, site)).days


def _back(record: Record) -> tuple[datetime, str | None] | None:
    """When and where cells were infused, else received."""
    if record.given:
        return record.given[0].started_at, record.given[0].facility
    received = [fact for fact in record.custody if fact.data.step is CustodyStep.SITE_RECEIPT]
    facility = record.facilities.infusion if record.facilities else None
    return (received[-1].occurred, facility) if received else None


def _day(moment: datetime, facility: str | None, site: Site | None) -> date:
    known = site.facility(facility) if site is not None and facility else None
    if known is not None:
        return moment.astimezone(known.zone).date()
    return moment.date() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).date()
