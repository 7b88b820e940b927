"""Converts cells to the types of the catalog, by the JSON Schema of the event."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

from domain.events import CATALOGUE

YES, NO = frozenset({"yes", "true", "y"}), frozenset({"no", "false", "n"})
NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
Schema = Mapping[str, Any]


class CellError(ValueError):
    """A cell does not fit its field; the message states what fits and never repeats the cell."""


class UnknownField(CellError):
    """The event has no such field."""


@cache
def schema_of(event_type: str) -> Schema:
    """The JSON Schema of an event's data."""
    return CATALOGUE[event_type].json_schema(by_alias=True)


def typed(root: Schema, path: str, value: Any, zone: tzinfo | None) -> Any:
    """A cell as the JSON value of its field.

    Args:
        root: the schema of the data.
        zone: of moments without an offset; None when the file must state one.

    Raises:
        CellError: the field is unknown, or the cell is not of its type.
    """
    return _as(root, list(_at(root, root, path.split("."))), value, zone, path)


def _at(root: Schema, schema: Schema, steps: list[str]) -> Iterator[Schema]:
    """Every schema a path may mean; alternatives are all followed."""
    for option in _options(root, schema):
        if not steps:
            yield option
        elif steps[0] in option.get("properties", {}):
            yield from _at(root, option["properties"][steps[0]], steps[1:])


def _options(root: Schema, schema: Schema) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _options(root, root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
        return
    inner = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if not inner:
        yield schema
    for one in inner:
        yield from _options(root, one)


def _as(root: Schema, options: list[Schema], value: Any, zone: tzinfo | None, path: str) -> Any:
    if not options:
        raise UnknownField("unknown column; remove it or correct its name")
    kinds = {str(option.get("type", "string")) for option in options}
    if "array" in kinds and not isinstance(value, list):
        items = next(option for option in options if option.get("type") == "array")
        inner = list(_options(root, items.get("items") or next(iter(items.get("prefixItems", ())), {})))
        return [_as(root, inner, part.strip(), zone, path) for part in str(value).split(";") if part.strip()]
    if not isinstance(value, str):
        return _as_typed(value, kinds)
    text = value.strip()
    if "boolean" in kinds and text.lower() in YES | NO:
        return text.lower() in YES
    if kinds & {"number", "integer"}:
        if not NUMBER.match(text):
            raise CellError("write a number with a point, without thousands separators or units")
        return float(text) if "." in text else int(text)
    if any(option.get("format") == "date-time" for option in options):
        return _moment(text, zone)
    if kinds <= {"boolean", "null"}:
        raise CellError("write yes or no")
    return text


def _as_typed(value: Any, kinds: set[str]) -> Any:
    """A value that the workbook or JSON has typed; a number in a text field becomes its digits."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not kinds & {"number", "integer"}:
        return str(value)
    return value


def _moment(text: str, zone: tzinfo | None) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CellError("write a moment as 2026-06-10 09:30, with its offset or --zone") from None
    if found.tzinfo is None:
        if zone is None:
            raise CellError("give the moment an offset, or the file a time zone by --zone")
        found = found.replace(tzinfo=zone)
    return found.isoformat()
