"""What is remembered of the resources of FHIR servers: identifiers of patients and places, versions, what is asked for.

Everything that could name a person (a resource's id, too) is sealed; a row is found by the keyed hash of feed and reference.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, delete, select

from store.keys import Keyring
from store.tables import FhirResource, sealed_for

Json = dict[str, Any]
REMEMBERED = timedelta(days=400)
"""Longer than an encounter with its follow-up visits of a year: what is named again in this time is known."""

MOST_VERSIONS = 32
MOMENT = timedelta(milliseconds=1)

MOST_DUE = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource that is asked for.

    Attributes:
        numbers: the subscriptions and event numbers that announced it.
    """

    key: str
    feed: str
    reference: str
    asked: int
    numbers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The version of a resource and its moment, as ISO 8601.

    Attributes:
        kept: given here, because the resource has not both.
    """

    version: str
    at: str
    kept: bool = False


def resource_key(keys: Keyring, feed: str, reference: str) -> str:
    """The key of a resource; also the key under which a message waits for it."""
    return keys.digest("fhir-resource", feed, reference)


def recall(session: Session, keys: Keyring, feed: str, references: Iterable[str]) -> dict[str, Json]:
    """What is remembered of the resources, by reference; nothing of those that are only asked for."""
    found = {resource_key(keys, feed, reference): reference for reference in references}
    rows = session.exec(select(FhirResource).where(col(FhirResource.resource_key).in_(sorted(found)))).all()
    known = ((found[row.resource_key], _body(keys, row).get("known")) for row in rows)
    return {reference: resource for reference, resource in known if resource is not None}


def remember(
    session: Session, keys: Keyring, feed: str, resources: Mapping[str, Mapping[str, Any]], now: datetime
) -> set[str]:
    """Remember resources by reference; returns the keys of those that were not known, or were known otherwise."""
    changed: set[str] = set()
    for reference, resource in resources.items():
        row = _row(session, keys, feed, reference, now)
        body = _body(keys, row)
        if body.get("known") != resource or row.ask_at is not None:
            changed.add(row.resource_key)
        row.ask_at, row.asked = None, 0
        _put(session, keys, row, body | {"known": dict(resource), "numbers": []}, now)
    return changed


def forget(session: Session, keys: Keyring, feed: str, reference: str) -> None:
    """A resource that its server deleted."""
    session.execute(delete(FhirResource).where(col(FhirResource.resource_key) == resource_key(keys, feed, reference)))


def ask_for(
    session: Session,
    keys: Keyring,
    feed: str,
    reference: str,
    now: datetime,
    number: tuple[str, int] | None = None,
) -> str:
    """Note that a resource is named and not known; returns its key.

    Args:
        number: the subscription and the number of the event that announced it.
    """
    row = _row(session, keys, feed, reference, now)
    body = _body(keys, row)
    named = body.get("numbers", [])
    if number is not None and list(number) not in named:
        named = [*named, list(number)]
    if row.ask_at is None:
        row.ask_at, row.asked = now, 0
    _put(session, keys, row, body | {"numbers": named}, now)
    return row.resource_key


def due(session: Session, keys: Keyring, now: datetime) -> list[Wanted]:
    """What is to be asked for now."""
    query = select(FhirResource).where(col(FhirResource.ask_at) <= now).order_by(col(FhirResource.ask_at))
    found = [(row, _body(keys, row)) for row in session.exec(query.limit(MOST_DUE))]
    return [
        Wanted(row.resource_key, row.feed, body["reference"], row.asked, tuple((s, n) for s, n in body["numbers"]))
        for row, body in found
    ]


def asked(session: Session, key: str, next_at: datetime | None) -> None:
    """Note that a resource was asked for, and when it is asked for again; None where it is not."""
    row = session.get(FhirResource, key, with_for_update=True)
    if row is not None and row.ask_at is not None:
        row.asked, row.ask_at = row.asked + 1, next_at
        session.add(row)


def stamp(
    session: Session, keys: Keyring, feed: str, reference: str, version: str | None, content: str, stated_at: datetime | None,
    now: datetime,
) -> Stamp:  # fmt: skip
    """Version and moment of a resource that came without the one or the other; the same content again has the same.

    Args:
        version: as the server has it; None where it has none, and the content tells versions apart.
        content: hash of the content.
        stated_at: when the notification says it happened.
    """
    row = _row(session, keys, feed, reference, now)
    body = _body(keys, row)
    seen = [(str(key), str(name), datetime.fromisoformat(at), first) for key, name, at, first in body["versions"]]
    own = f"v:{version}" if version else f"h:{content}"
    when = stated_at.isoformat() if stated_at else None
    for place, (key, name, at, first) in enumerate(seen):
        if key == own and (version or place == len(seen) - 1 or (first is not None and first == when)):
            return Stamp(name, at.isoformat(), kept=True)
    body["count"] = body.get("count", 0) + 1
    name = version or f"{content[:16]}-{body['count']}"
    at = _moment(seen, version, stated_at or now)
    body["versions"] = [*body["versions"], [own, name, at.isoformat(), when]][-MOST_VERSIONS:]
    _put(session, keys, row, body, now)
    return Stamp(name, at.isoformat(), kept=True)


def _moment(seen: list[tuple[str, str, datetime, Any]], version: str | None, at: datetime) -> datetime:
    """After every earlier version and before every later one, where versions are numbers; else after all that came."""
    number = int(version) if version and version.isascii() and version.isdigit() else None
    numbered = [(int(key[2:]), moment) for key, _, moment, _ in seen if key[:2] == "v:" and key[2:].isdigit()]
    if number is not None and len(numbered) == len(seen):
        later = [moment for other, moment in numbered if other > number]
        if later:
            return min(at, min(later) - MOMENT)
        earlier = [moment for _, moment in numbered]
    else:
        earlier = [moment for _, _, moment, _ in seen]
    return max([at, *(moment + MOMENT for moment in earlier)])


def let_go(session: Session, now: datetime) -> None:
    """Forget what was not named for long."""
    session.execute(delete(FhirResource).where(col(FhirResource.until) <= now))


def something_over(session: Session, now: datetime) -> bool:
    """True when there is something to forget."""
    query = select(FhirResource.resource_key).where(col(FhirResource.until) <= now)
    return session.exec(query.limit(1)).first() is not None


def named_in(session: Session, keys: Keyring) -> list[tuple[str, str]]:
    """Every row's key and text; for finding out which are about a patient."""
    return [(row.resource_key, json.dumps(_body(keys, row))) for row in session.exec(select(FhirResource))]


def erase(session: Session, found: Collection[str]) -> None:
    """Delete rows by their keys."""
    session.execute(delete(FhirResource).where(col(FhirResource.resource_key).in_(sorted(found))))


def _row(session: Session, keys: Keyring, feed: str, reference: str, now: datetime) -> FhirResource:
    key = resource_key(keys, feed, reference)
    row = session.get(FhirResource, key)
    if row is not None:
        return row
    empty: Json = {"reference": reference, "known": None, "versions": [], "numbers": []}
    kind = reference.split("/")[0]
    sealed = keys.seal(json.dumps(empty).encode(), sealed_for("fhir_resources.body", key))
    return FhirResource(resource_key=key, feed=feed, kind=kind, heard_at=now, until=now + REMEMBERED, body=sealed)


def _body(keys: Keyring, row: FhirResource) -> Json:
    found: Json = json.loads(keys.open(row.body, sealed_for("fhir_resources.body", row.resource_key)))
    return found


def _put(session: Session, keys: Keyring, row: FhirResource, body: Json, now: datetime) -> None:
    row.heard_at, row.until = now, now + REMEMBERED
    row.body = keys.seal(json.dumps(body).encode(), sealed_for("fhir_resources.body", row.resource_key))
    session.add(row)
    session.flush()
