"""What a request carries: a subscription notification (R4, R4B, R5), a bundle without a status, or one resource."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

KINDS = ("handshake", "heartbeat", "event-notification", "query-status", "query-event")
RESOURCES = ("Appointment", "Encounter")
NAMED = ("Patient", "Location", "HealthcareService", "ServiceRequest")
"""Types that appointments and encounters refer to; remembered, so that a reference alone is enough later."""

Json = Mapping[str, Any]
Reference = tuple[str, str]
"""Type and id of a resource."""

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]+)?$")
_ID = re.compile(r"^[A-Za-z0-9.-]{1,64}$", re.ASCII)
_ZONED = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", re.ASCII)
NO_STATUS = "subscription_status_missing"


class NotFhir(ValueError):
    """The body is no notification and no resource that is read here; names the element, never its value."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a request carries.

    Attributes:
        subscription: reference of the subscription; None for a resource or a bundle that came without a status.
        since: the count of events since the subscription began, as the sender says.
        numbers: the numbers of the events that this notification brings with what they are about.
        bare: the numbers of events it only announces: a payload of ids or an empty one (section Payload Types) says that
            something happened and not what, so that they count as not yet come.
        announced: of those, the number and the appointment or encounter where the sender names it.
        deleted: appointments and encounters that their server deleted, by type and id.
        forgotten: other resources that it deleted.
        others: resources the events refer to (Patient, Location, ServiceRequest), by reference.
        alone: resources that others refer to, sent by themselves.
        at: when the sender says it happened; None where it does not.
        departures: in what it departs from the standard.
    """

    kind: str
    subscription: str | None = None
    since: int = 0
    numbers: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    deleted: tuple[Reference, ...] = ()
    resources: tuple[Json, ...] = ()
    others: Mapping[str, Json] = field(default_factory=dict)
    announced: tuple[tuple[int, Reference], ...] = ()
    forgotten: tuple[Reference, ...] = ()
    alone: tuple[Json, ...] = ()
    at: datetime | None = None
    departures: frozenset[str] = frozenset()


def read_notification(body: Any) -> Notification:
    """Read a notification bundle, a bundle without a status, or one resource alone.

    Raises:
        NotFhir: none of these.
    """
    if not isinstance(body, dict):
        raise NotFhir("expected a FHIR resource as a JSON object")
    kind = body.get("resourceType")
    if kind in RESOURCES:
        return Notification("resource", resources=(body,))
    if kind in NAMED and is_id(body.get("id")):
        return Notification("resource", alone=(body,))
    if kind != "Bundle":
        raise NotFhir("resourceType: expected a notification Bundle, an Appointment or an Encounter")
    entries = list(_entries(body))
    status = next((_status(resource) for _, resource in entries if _is_status(resource)), None)
    every = [(url, resource) for url, resource in entries if not _is_status(resource)]
    deleted, forgotten = _deleted(body, RESOURCES), _deleted(body, NAMED)
    resources = tuple(resource for _, resource in every if resource.get("resourceType") in RESOURCES)
    others = _by_name(every)
    if status is None:
        if not resources and not deleted:
            raise NotFhir("Bundle.entry: neither the status of a subscription, nor an Appointment or an Encounter")
        return Notification(
            "bundle",
            deleted=deleted,
            resources=resources,
            others=others,
            forgotten=forgotten,
            at=zoned(body.get("timestamp")),
            departures=frozenset({NO_STATUS}),
        )
    brought = {name for url, resource in every for name in _names(url, resource)} | {"/".join(one) for one in deleted}
    events = [(number, focus, _is_brought(focus, brought)) for number, focus in _events(status)]
    times = [zoned(event.get("timestamp")) for event in _dicts(status.get("notificationEvent"))]
    return Notification(
        kind=_kind(status),
        subscription=_text(status.get("subscription"), "reference") or "(unnamed)",
        since=_number(status.get("eventsSinceSubscriptionStart"), "eventsSinceSubscriptionStart"),
        numbers=tuple(number for number, _, here in events if here),
        bare=tuple(number for number, _, here in events if not here),
        deleted=deleted,
        resources=resources,
        others=others,
        announced=tuple(
            (number, about) for number, focus, here in events if not here and (about := reference_of(focus, RESOURCES))
        ),
        forgotten=forgotten,
        at=max((time for time in times if time is not None), default=zoned(body.get("timestamp"))),
    )


def deletion(kind: str, name: str) -> Notification:
    """A resource that its server deleted (`DELETE` of a rest-hook)."""
    if kind in RESOURCES:
        return Notification("resource", deleted=((kind, name),))
    return Notification("resource", forgotten=((kind, name),))


def reference_of(text: Any, kinds: tuple[str, ...]) -> Reference | None:
    """Type and id that a reference names, relative, absolute or versioned; None for one of another type."""
    found = _REFERENCE.search(text) if isinstance(text, str) else None
    return (found.group(1), found.group(2)) if found is not None and found.group(1) in kinds else None


def is_id(value: Any) -> bool:
    """Whether a value is an id as FHIR defines it."""
    return isinstance(value, str) and _ID.match(value) is not None


def zoned(value: Any) -> datetime | None:
    """An instant as FHIR writes it, or None."""
    if not isinstance(value, str) or not _ZONED.match(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _entries(bundle: Json) -> Iterator[tuple[str, Json]]:
    """Each resource with its address; what an entry says was deleted is not what it still shows of it."""
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            raise NotFhir("Bundle.entry: not an object")
        resource = entry.get("resource")
        if isinstance(resource, dict) and not _deletes(entry):
            yield str(entry.get("fullUrl") or ""), resource


def _is_status(resource: Json) -> bool:
    if resource.get("resourceType") == "SubscriptionStatus":
        return True
    named = {str(one.get("name")) for one in _dicts(resource.get("parameter"))}
    return resource.get("resourceType") == "Parameters" and bool(named & {"subscription", "type"})


def _deletes(entry: Json) -> bool:
    request = entry.get("request")
    return isinstance(request, dict) and request.get("method") == "DELETE"


def _by_name(entries: list[tuple[str, Json]]) -> dict[str, Json]:
    """Resources by address and by type and id; two of one type and id, of different servers, by their addresses alone."""
    found: dict[str, Json] = {}
    for url, resource in entries:
        if url:
            found[url] = resource
    relative: dict[str, list[Json]] = {}
    for _, resource in entries:
        relative.setdefault(f"{resource.get('resourceType')}/{resource.get('id')}", []).append(resource)
    return {name: ones[0] for name, ones in relative.items() if all(one == ones[0] for one in ones)} | found


def _status(resource: Json) -> Json:
    """The status as R4B and R5 write it; the R4 form (Parameters) is brought into it."""
    if resource.get("resourceType") == "SubscriptionStatus":
        return resource
    status: dict[str, Any] = {"notificationEvent": []}
    for parameter in _dicts(resource.get("parameter")):
        name = str(parameter.get("name", ""))
        if name == "notification-event":
            parts = {str(part.get("name")): _value(part) for part in _dicts(parameter.get("part"))}
            event = {"eventNumber": parts.get("event-number"), "focus": parts.get("focus")}
            event["timestamp"] = parts.get("timestamp")
            status["notificationEvent"].append(event)
        elif name == "events-since-subscription-start":
            status["eventsSinceSubscriptionStart"] = _value(parameter)
        else:
            status[name] = _value(parameter)
    return status


def _value(parameter: Json) -> Any:
    return next((value for key, value in parameter.items() if key.startswith("value")), None)


def _kind(status: Json) -> str:
    kind = status.get("type")
    if kind not in KINDS:
        raise NotFhir(f"SubscriptionStatus.type: one of {', '.join(KINDS)}")
    return str(kind)


def _events(status: Json) -> Iterator[tuple[int, str | None]]:
    """The number of each event, and the reference of what it is about where the status names it."""
    for event in _dicts(status.get("notificationEvent")):
        yield _number(event.get("eventNumber"), "notificationEvent.eventNumber"), _text(event.get("focus"), "reference")


def _is_brought(focus: str | None, brought: set[str]) -> bool:
    """Whether the bundle has what an event is about; without a focus, whether it has anything at all."""
    if focus is None or focus in brought:
        return bool(brought)
    found = _REFERENCE.search(focus)
    if found is None:
        return False
    return found.group(1) not in RESOURCES or "/".join(found.groups()) in brought


def _deleted(bundle: Json, kinds: tuple[str, ...]) -> tuple[Reference, ...]:
    """What a bundle says was deleted: such an entry has a request, and mostly no resource."""
    entries = [entry for entry in _dicts(bundle.get("entry")) if _deletes(entry)]
    named = (reference_of(_place_of(entry), kinds) for entry in entries)
    return tuple(dict.fromkeys(found for found in named if found is not None))


def _place_of(entry: Json) -> str | None:
    """The first of its addresses that names a resource."""
    resource = entry.get("resource")
    own = f"{resource.get('resourceType')}/{resource.get('id')}" if isinstance(resource, dict) else None
    urls = (entry["request"].get("url"), entry.get("fullUrl"), own)
    return next((url for url in urls if isinstance(url, str) and _REFERENCE.search(url)), None)


def _number(value: Any, path: str) -> int:
    """integer64 is a JSON string, and some senders write a number."""
    text = str(value if value is not None else 0)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise NotFhir(f"{path}: not a count")
    return int(text)


def _names(url: str, resource: Json) -> Iterator[str]:
    """What a reference to the resource may be written like."""
    if url:
        yield url
    yield f"{resource.get('resourceType')}/{resource.get('id')}"


def _dicts(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any, key: str) -> str | None:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) and found else None
