"""What a resource names, and whose an unusable one may be: on a feed of the whole hospital, as of HL7 messages there."""

from __future__ import annotations

from collections.abc import Mapping

from intake.fhir.json_values import Json
from intake.fhir.translate import has_effect, named_in, place_of, record_of
from intake.site_mapping import REORDERED, FhirFeed, Traces
from intake.site_mapping import SiteMapping as SiteMapping
from store.identifiers import Hint


def traces_of(resource: Json, others: Mapping[str, Json], feed: FhirFeed, mapping: SiteMapping) -> Traces | None:
    """The traces of an unusable stay that may be an unmatched patient's; None where the site asks for all of them.

    At a place that is not listed only its own numbers say that it is ours: a patient of ours has other visits, too.
    """
    if not mapping.whole_hospital or resource.get("resourceType") != "Encounter":
        return None
    numbers = named_in(resource, others, feed).numbers
    if place_of(resource, others, feed, mapping) is None:
        return Traces(numbers, None, REORDERED)
    record = record_of(resource, others, feed)
    return Traces(numbers, Hint(record, feed.record_facility) if record else None, mapping.retain_for)


def traces_by_name(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> Traces:
    """The traces of a resource that means nothing here, unless what it names is known or retained.

    One that is only planned or proposed may name a known order: that is how an order's bookings begin.
    """
    named = named_in(resource, others, feed)
    return Traces(named.numbers if has_effect(resource) else frozenset(named.appointments + named.visits), None, None)
