"""Reading JSON whose shape is not checked yet: what is of another shape is as good as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def mapping(value: Any) -> Json:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Json]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(*values: Any) -> list[str]:
    """The texts among values that say something."""
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]


def codings(concept: Any) -> list[Json]:
    """The codings of a CodeableConcept, of a CodeableReference (R5), or of a Coding that stands for one."""
    found = mapping(concept)
    inner = mapping(found.get("concept")) or found
    if "coding" in inner or "code" not in inner:
        return mappings(inner.get("coding"))
    return [inner]
