"""Encounter resources that cannot be used, on a feed of the whole hospital: whose they may be, as of HL7 messages there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intake.fhir.translate import order_of, place_of, record_of
from intake.site_mapping import REORDERED, FhirFeed, Traces
from intake.site_mapping import SiteMapping as SiteMapping
from store.identifiers import Hint


def traces_of(
    resource: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], feed: FhirFeed, mapping: SiteMapping
) -> Traces | None:
    """The traces of an unusable stay that may be a stranger's; None where the site asks for all of them.

    At a place that is not listed only its own numbers say that it is ours: a patient of ours has other visits, too.
    """
    if not mapping.whole_hospital or resource.get("resourceType") != "Encounter":
        return None
    named = (resource.get("id"), order_of(resource, others, feed))
    numbers = frozenset(value for value in named if isinstance(value, str) and value)
    if place_of(resource, others, mapping) is None:
        return Traces(numbers, None, REORDERED)
    record = record_of(resource, others, feed)
    return Traces(numbers, Hint(record, feed.record_facility) if record else None, mapping.retain_for)
