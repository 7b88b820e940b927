"""A subscription notification (Subscriptions R5 Backport for R4 and R4B): its kind, its numbers, its resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("handshake", "heartbeat", "event-notification", "query-status", "query-event")
RESOURCES = ("Appointment", "Encounter")

Json = Mapping[str, Any]
Reference = tuple[str, str]
"""Type and id of a resource."""

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]+)?$")


class NotFhir(ValueError):
    """The body is no notification and no resource that is taken in; names the element, never its value."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a request carries.

    Attributes:
        subscription: reference of the subscription; None for a resource that was posted alone.
        since: the count of events since the subscription began, as the sender says.
        numbers: the numbers of the events that this notification brings with what they are about.
        bare: the numbers of events it only announces: a payload of ids or an empty one (section Payload Types) says that
            something happened and not what, so that they count as not yet come.
        deleted: appointments and encounters that their server deleted, by type and id.
        others: resources the events refer to (Patient, Location, ServiceRequest), by reference.
    """

    kind: str
    subscription: str | None
    since: int
    numbers: tuple[int, ...]
    bare: tuple[int, ...]
    deleted: tuple[Reference, ...]
    resources: tuple[Json, ...]
    others: Mapping[str, Json]


def read_notification(body: Any) -> Notification:
    """Read a notification bundle, or one resource alone.

    Raises:
        NotFhir: neither.
    """
    if not isinstance(body, dict):
        raise NotFhir("expected a FHIR resource as a JSON object")
    if body.get("resourceType") in RESOURCES:
        return Notification("resource", None, 0, (), (), (), (body,), {})
    if body.get("resourceType") != "Bundle":
        raise NotFhir("resourceType: expected a notification Bundle, an Appointment or an Encounter")
    entries = list(_entries(body))
    if not entries:
        raise NotFhir("Bundle.entry: empty; the first entry is the status of the subscription")
    status = _status(entries[0][1])
    rest, deleted = entries[1:], tuple(_deleted(body))
    brought = {name for url, resource in rest for name in _names(url, resource)} | {"/".join(one) for one in deleted}
    events = [(number, _is_brought(focus, brought)) for number, focus in _events(status)]
    return Notification(
        kind=_kind(status),
        subscription=_text(status.get("subscription"), "reference") or "(unnamed)",
        since=_number(status.get("eventsSinceSubscriptionStart"), "eventsSinceSubscriptionStart"),
        numbers=tuple(number for number, here in events if here),
        bare=tuple(number for number, here in events if not here),
        deleted=deleted,
        resources=tuple(resource for _, resource in rest if resource.get("resourceType") in RESOURCES),
        others={name: resource for url, resource in rest for name in _names(url, resource)},
    )


def _entries(bundle: Json) -> Iterator[tuple[str, Json]]:
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            raise NotFhir("Bundle.entry: not an object")
        resource = entry.get("resource")
        if isinstance(resource, dict):
            yield str(entry.get("fullUrl", "")), resource


def _status(resource: Json) -> Json:
    """The status as R4B writes it; the R4 form (Parameters) is brought into it."""
    if resource.get("resourceType") == "SubscriptionStatus":
        return resource
    if resource.get("resourceType") != "Parameters":
        raise NotFhir("Bundle.entry[0]: expected SubscriptionStatus (R4B) or Parameters (R4)")
    status: dict[str, Any] = {"notificationEvent": []}
    for parameter in _dicts(resource.get("parameter")):
        name = str(parameter.get("name", ""))
        if name == "notification-event":
            parts = {str(part.get("name")): _value(part) for part in _dicts(parameter.get("part"))}
            event = {"eventNumber": parts.get("event-number"), "focus": parts.get("focus")}
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


def _deleted(bundle: Json) -> Iterator[Reference]:
    """What a history bundle says was deleted: such an entry has a request and no resource."""
    for entry in _dicts(bundle.get("entry")):
        request = entry.get("request")
        if isinstance(request, dict) and request.get("method") == "DELETE":
            found = _REFERENCE.search(str(request.get("url", "")))
            if found is not None and found.group(1) in RESOURCES:
                yield found.group(1), found.group(2)


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
