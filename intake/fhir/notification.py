"""A subscription notification (Subscriptions R5 Backport for R4 and R4B): its kind, its numbers, its resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("handshake", "heartbeat", "event-notification", "query-status", "query-event")
RESOURCES = ("Appointment", "Encounter")

Json = Mapping[str, Any]


class NotFhir(ValueError):
    """The body is no notification and no resource that is taken in; names the element, never its value."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a request carries.

    Attributes:
        subscription: reference of the subscription; None for a resource that was posted alone.
        since: the count of events since the subscription began, as the sender says.
        numbers: the numbers of the events in this notification.
        others: resources the events refer to (Patient, Location, ServiceRequest), by reference.
    """

    kind: str
    subscription: str | None
    since: int
    numbers: tuple[int, ...]
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
        return Notification("resource", None, 0, (), (body,), {})
    if body.get("resourceType") != "Bundle":
        raise NotFhir("resourceType: expected a notification Bundle, an Appointment or an Encounter")
    entries = list(_entries(body))
    if not entries:
        raise NotFhir("Bundle.entry: empty; the first entry is the status of the subscription")
    status = _status(entries[0][1])
    rest = entries[1:]
    return Notification(
        kind=_kind(status),
        subscription=_text(status.get("subscription"), "reference") or "(unnamed)",
        since=_number(status.get("eventsSinceSubscriptionStart"), "eventsSinceSubscriptionStart"),
        numbers=tuple(_numbers(status)),
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
            status["notificationEvent"].append({"eventNumber": parts.get("event-number")})
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


def _numbers(status: Json) -> Iterator[int]:
    for event in _dicts(status.get("notificationEvent")):
        yield _number(event.get("eventNumber"), "notificationEvent.eventNumber")


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
