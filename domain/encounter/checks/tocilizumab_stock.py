"""Tocilizumab stock of a center: the last reported count, less the doses charted there since (G186, G230).

A dose is one administration. A report already excludes doses given before it. Doses charted without a place cannot be counted
against any center.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.encounter.facts import Fact
from domain.events import EventData
from domain.events.care import FacilityReadiness, MedicationAdministered

COUNTED = "tocilizumab"
"""The drug that a report of readiness counts (`tocilizumab_doses`)."""


def given_since(
    report: Fact[FacilityReadiness], facts: Iterable[Fact[EventData]], until: datetime | None
) -> tuple[str, ...]:
    """The events of doses given at the center after its report, each once; up to a moment if one is given."""
    found = {
        fact.event_id: fact.occurred
        for fact in facts
        if isinstance(fact.data, MedicationAdministered)
        and fact.data.drug == COUNTED
        and fact.data.facility == report.data.facility
        and fact.occurred > report.time
        and (until is None or fact.occurred < until)
    }
    return tuple(sorted(found, key=lambda event: (found[event], event)))
