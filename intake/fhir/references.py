"""References as FHIR writes them: relative, absolute, versioned, contained, within a bundle, logical (identifier alone).

An absolute reference is another server's resource, unless it is that of the feed or the bundle brings it: two servers number
alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from intake.fhir.json_values import Json, mapping, mappings, texts
from intake.fhir.notification import NAMED, reference_of
from intake.site_mapping import FhirFeed

CONTAINED = "#"
DEEPEST = 4
"""Of places within places."""

PLACES = ("Location", "HealthcareService")


@dataclass(frozen=True, slots=True)
class References:
    """What the references of one resource name.

    Attributes:
        others: resources that came with it or are remembered, by address and by type and id.
    """

    resource: Json
    others: Mapping[str, Json]
    feed: FhirFeed

    def target(self, reference: Json) -> Json:
        """The resource a reference names; empty where it is not here."""
        text = reference.get("reference")
        if not isinstance(text, str) or not text:
            return {}
        if text.startswith(CONTAINED):
            return self._contained(text)
        found = self.others.get(text) or self.others.get(_current(text))
        if found is None and (relative := self.relative(reference)) is not None:
            found = self.others.get(relative)
        return mapping(found)

    def kind(self, reference: Json) -> str | None:
        """The type of what it names, where anything says it."""
        stated = texts(reference.get("type"))
        if stated:
            return stated[0].rsplit("/", 1)[-1]
        text = str(reference.get("reference") or "")
        tail = _current(text).split("/")
        if len(tail) > 1 and tail[-2][:1].isupper():
            return tail[-2]
        return next(iter(texts(self.target(reference).get("resourceType"))), None)

    def relative(self, reference: Json) -> str | None:
        """Type and id, where it names a resource of this feed's server."""
        text = _current(str(reference.get("reference") or ""))
        found = reference_of(text, (*NAMED, "Practitioner", "Organization"))
        if found is None:
            return None
        relative = "/".join(found)
        base = text[: -len(relative)].rstrip("/")
        return relative if not base or base in self._bases() else None

    def unknown(self, references: list[Json], kinds: tuple[str, ...]) -> list[str]:
        """Those that name a resource of these types and nothing else of it: no identifier, no display, no resource here."""
        return [
            relative
            for reference in references
            if self.kind(reference) in kinds
            and (relative := self.relative(reference)) is not None
            and not self.target(reference)
            and not texts(mapping(reference.get("identifier")).get("value"))
            and not (texts(reference.get("display")) and self.kind(reference) in PLACES)
        ]

    def names_of_place(self, reference: Json) -> Iterator[str]:
        """All that a place is called, the reference itself first; then what it is part of."""
        yield from texts(reference.get("display"))
        yield from _identifiers(reference.get("identifier"))
        for _ in range(DEEPEST):
            yield from texts(reference.get("reference"), self.relative(reference))
            target = self.target(reference)
            yield from texts(target.get("name"), *(_list(target.get("alias"))))
            for identifier in mappings(target.get("identifier")):
                yield from _identifiers(identifier)
            reference = mapping(target.get("partOf"))
            if not reference:
                return
            yield from texts(reference.get("display"))
            yield from _identifiers(reference.get("identifier"))

    def _contained(self, text: str) -> Json:
        inside = mappings(self.resource.get("contained"))
        return next((one for one in inside if str(one.get("id", "")).lstrip(CONTAINED) == text[1:]), {})

    def _bases(self) -> set[str]:
        return {base.rstrip("/") for base in (self.feed.source, self.feed.ask_at) if base}


def references_in(resource: Json) -> list[Json]:
    """Every reference of a resource that is read here."""
    actors = [mapping(one.get("actor")) for one in mappings(resource.get("participant"))]
    places = [mapping(one.get("location")) for one in mappings(resource.get("location"))]
    based = mappings(resource.get("basedOn"))
    return [one for one in (*actors, mapping(resource.get("subject")), *places, *based) if one]


def reduced(resource: Json) -> dict[str, Any]:
    """What is remembered of a resource that others refer to: no name of a person, no address."""
    kept = ["resourceType", "id", "identifier"]
    if resource.get("resourceType") in PLACES:
        kept += ["name", "alias", "partOf"]
    return {name: resource[name] for name in kept if name in resource}


def reference_to(resource: Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _current(text: str) -> str:
    """A reference without its version."""
    return text.split("/_history/", 1)[0]


def _identifiers(value: Any) -> Iterator[str]:
    identifier = mapping(value)
    for number in texts(identifier.get("value")):
        yield number
        yield from (f"{system}|{number}" for system in texts(identifier.get("system")))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
