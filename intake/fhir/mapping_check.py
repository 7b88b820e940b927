"""The checker: a file of FHIR resources and a mapping in, what each resource would become out. Nothing is stored.

Resources of one run follow each other as they would on the feed: what an earlier one books or begins, and whom it names, is
known to a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from intake.faults import NotUsable
from intake.fhir.json_values import Json
from intake.fhir.notification import NotFhir, Notification, read_notification
from intake.fhir.references import reduced, reference_to
from intake.fhir.translate import Translation, has_effect, named_in, translate
from intake.fhir.unmatched_patients import traces_of
from intake.site_mapping import FhirFeed, Known, SiteMapping
from intake.strict_json import NotJson, read_json

NO_FEED = "the mapping file has no fhir_feeds entry"
UNREADABLE = "it cannot be read"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one resource would become. `outcome` is event types, or a word: ignored, retained, refused, quarantined."""

    number: int
    kind: str
    outcome: str
    detail: str = ""
    departures: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """True where it would be refused or need work."""
        return self.outcome in ("refused", "quarantined")


@dataclass
class Seen:
    """What the resources before this one made known, instead of a store."""

    orders: set[str] = field(default_factory=set)
    appointments: set[str] = field(default_factory=set)
    visits: set[str] = field(default_factory=set)
    others: dict[str, Json] = field(default_factory=dict)

    def known(self, resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> Known:
        named = named_in(resource, others, feed)
        own = next((number for number in named.appointments if number in self.appointments), None)
        return Known(frozenset(named.orders) & self.orders, own, frozenset(named.visits) & self.visits)

    def note(self, translated: Translation) -> None:
        self.orders |= {translated.order} if translated.order else set()
        for event_type, data in translated.steps:
            if event_type in ("cart.appointment.booked", "cart.appointment.rescheduled"):
                self.appointments.add(data["appointment_id"])
            elif event_type == "cart.admission.started":
                self.visits.add(data["admission_id"])


def check(data: bytes, mapping: SiteMapping, seen: Seen | None = None) -> Iterator[Finding]:
    """How each resource of a file would map: a body as it is sent, or one in each line. Details never show a value."""
    seen = seen or Seen()
    number = 0
    for body in _bodies(data):
        for finding in _of_body(body, mapping, seen, number):
            number += 1
            yield finding


def _bodies(data: bytes) -> list[bytes]:
    """One body, or one in each line (NDJSON)."""
    lines = [line for line in data.splitlines() if line.strip()]
    return (
        lines
        if len(lines) > 1 and all(line.strip()[:1] == b"{" and line.strip()[-1:] == b"}" for line in lines)
        else [data]
    )


def _of_body(data: bytes, mapping: SiteMapping, seen: Seen, before: int) -> Iterator[Finding]:
    try:
        notification = read_notification(read_json(data))
    except (NotJson, NotFhir) as error:
        yield Finding(before + 1, "?", "refused", str(error))
        return
    feed = _feed(data, mapping)
    if feed is None:
        yield Finding(before + 1, notification.kind, "refused", NO_FEED)
        return
    found = list(_of_notification(notification, feed, mapping, seen))
    for number, (kind, outcome, detail, departures) in enumerate(found, start=before + 1):
        yield Finding(number, kind, outcome, detail, tuple(sorted(departures | notification.departures)))


_Found = tuple[str, str, str, frozenset[str]]
NONE: frozenset[str] = frozenset()


def _of_notification(notification: Notification, feed: FhirFeed, mapping: SiteMapping, seen: Seen) -> Iterator[_Found]:
    for resource in notification.alone:
        seen.others[reference_to(resource)] = reduced(resource)
        yield str(resource["resourceType"]), "remembered", feed.name, NONE
    for resource in notification.resources:
        yield _of_resource(resource, {**seen.others, **notification.others}, feed, mapping, seen)
    for name, other in notification.others.items():
        if "://" not in name and not name.startswith("urn:"):
            seen.others[name] = reduced(other)
    for kind, name in notification.deleted:
        ours = not mapping.whole_hospital or name in seen.appointments | seen.visits
        yield kind, "quarantined" if ours else "ignored", "deleted by its server", NONE
    for _, (kind, _name) in notification.announced:
        yield kind, "asked for" if feed.ask_at else "missing", "only announced: subscribe with full-resource", NONE
    if not (notification.resources or notification.deleted or notification.alone or notification.announced):
        yield notification.kind, "counted", feed.name, NONE


def _of_resource(
    resource: Json, others: Mapping[str, Json], feed: FhirFeed, mapping: SiteMapping, seen: Seen
) -> _Found:
    kind = str(resource.get("resourceType"))
    try:
        known = seen.known(resource, others, feed)
        translated = translate(resource, others, feed, mapping, known)
    except NotUsable as error:
        return _unusable(kind, resource, others, feed, mapping, error)
    except (TypeError, ValueError, LookupError, AttributeError):
        return kind, "quarantined", UNREADABLE, NONE
    if not translated.steps:
        effect = has_effect(resource)
        ours = known.appointment or known.visits or (effect and known.orders)
        if ours:
            return kind, "quarantined", "it names what an earlier message booked or began", NONE
        return kind, "ignored", "" if effect else "planned or proposed: no effect yet", translated.departures
    seen.note(translated)
    begins = translated.steps[0][0] == "cart.appointment.booked"
    outcome = " + ".join(event_type for event_type, _ in translated.steps[: 1 if begins else None])
    return kind, outcome, _known(translated.steps[0][1]), translated.departures


def _unusable(
    kind: str, resource: Json, others: Mapping[str, Json], feed: FhirFeed, mapping: SiteMapping, error: NotUsable
) -> _Found:
    traces = traces_of(resource, others, feed, mapping)
    if traces is None:
        return kind, "quarantined", str(error), NONE
    return kind, "set aside", f"{error}; quarantined if it is about a known patient or stay", NONE


def _feed(data: bytes, mapping: SiteMapping) -> FhirFeed | None:
    """The feed whose server the body names, else the first."""
    named = (feed for feed in mapping.fhir_feeds if feed.source.encode() in data)
    return next(named, next(iter(mapping.fhir_feeds), None))


def _known(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={data[key]}" for key in ("stage", "setting", "class", "what") if key in data)
