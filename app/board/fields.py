"""Makes form fields from the event catalog, and event data from posted text.

A field added to a model appears on its form. A blank field is left out of the data. Text that does not fit the type is
passed on, so that the model reports the error.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from app.board.wording import words
from domain.events.base import Zoned

REMOVED = dict.fromkeys(range(32))
"""Control characters: barcode scanners send group separators and line ends."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `path` is its place in the event's data, dotted; `columns` make it a table typed line by line.

    Attributes:
        kind: text, area, number, decimal, date, moment, boolean, choice or lines.
        scan: filled by a barcode scanner; Enter moves to the next field.
    """

    path: str
    label: str
    kind: str
    required: bool = False
    options: tuple[tuple[str, str], ...] = ()
    columns: tuple[Field, ...] = ()
    hint: str = ""
    scan: bool = False
    default: str = ""

    @property
    def name(self) -> str:
        return f"data.{self.path}"

    @property
    def id(self) -> str:
        return "f-" + self.path.replace(".", "-")


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error of a field with its fix."""

    path: str
    message: str


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[Field]:
    """Yields a form field for each field of a model, with dotted paths for nested models."""
    for name, info in model.model_fields.items():
        key = prefix + (info.alias or name)
        yield from _field(key, _plain(info.annotation), info.is_required())


def _field(key: str, annotation: Any, required: bool) -> Iterator[Field]:
    """`annotation` without its metadata and without None."""
    label = words(key.rsplit(".", 1)[-1])
    label = label[:1].upper() + label[1:]
    if get_origin(annotation) is tuple:
        part = _plain(get_args(annotation)[0])
        columns = tuple(fields_of(part)) if _is_model(part) else ()
        yield Field(key, label, "lines", required, columns=columns)
    elif _is_model(annotation):
        for one in fields_of(annotation, key + "."):
            yield one if required else replace(one, required=False)
    else:
        kind, options = _kind(annotation)
        yield Field(key, label, kind, required, options)


def _kind(annotation: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    if get_origin(annotation) is Literal:
        return "choice", _options(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "choice", _options([member.value for member in annotation])
    kinds: Mapping[Any, str] = {
        bool: "boolean",
        int: "number",
        float: "float",
        Decimal: "decimal",
        date: "date",
        datetime: "moment",
        Zoned: "moment",
    }
    return kinds.get(annotation, "text"), ()


def _options(values: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(value), words(value)) for value in values)


def _plain(annotation: Any) -> Any:
    """Returns the type without `Annotated` and None."""
    if annotation is Zoned:
        return annotation
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def data_of(fields: Sequence[Field], given: Mapping[str, str], zone: str) -> tuple[dict[str, Any], list[FieldError]]:
    """Returns the event data of a filled form, and its errors."""
    data: dict[str, Any] = {}
    errors: list[FieldError] = []
    for field in fields:
        text = given.get(field.name, "")
        try:
            value = _lines(field, text) if field.kind == "lines" else _value(field, _clean(text), zone)
        except ValueError as error:
            errors.append(FieldError(field.path, str(error)))
            continue
        if value is not None:
            _put(data, field.path, value)
    return data, errors


def _clean(text: str) -> str:
    return text.translate(REMOVED).strip()


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
    data[last] = value


def _value(field: Field, text: str, zone: str) -> Any:
    if not text:
        return None
    if field.kind == "boolean":
        return {"yes": True, "no": False}.get(text, text)
    if field.kind == "moment":
        return zoned(text, zone)
    if field.kind in ("number", "float"):
        try:
            return int(text) if field.kind == "number" else float(text)
        except ValueError:
            return text
    return text


def zoned(text: str, zone: str) -> str:
    """Returns a local date and time with the UTC offset of its zone.

    Raises:
        ValueError: not a date and time, or a time that is skipped or repeated at a clock change.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("enter date and time, for example 2026-03-02 09:30") from None
    if local.tzinfo is not None:
        return local.isoformat()
    early, late = local.replace(tzinfo=ZoneInfo(zone)), local.replace(tzinfo=ZoneInfo(zone), fold=1)
    offset, other = early.utcoffset() or timedelta(0), late.utcoffset() or timedelta(0)
    if offset > other:
        raise ValueError(f"this time occurs twice (clock change); add the UTC offset, for example {early.isoformat()}")
    if offset < other:
        raise ValueError("this time does not exist on that day (clock change); enter another time")
    return early.isoformat()


def _lines(field: Field, text: str) -> list[Any] | None:
    rows = [_clean(line) for line in text.splitlines() if _clean(line)]
    if not field.columns:
        return rows or None
    return [_row(field, _parts(row)) for row in rows] or None


def _parts(row: str) -> list[str]:
    """Returns the parts of a row, separated by semicolons if it has any, else by spaces and commas."""
    return [part.strip() for part in row.split(";")] if ";" in row else row.replace(",", " ").split()


def _row(field: Field, parts: list[str]) -> dict[str, Any]:
    if len(parts) > len(field.columns):
        columns = ", ".join(column.label.lower() for column in field.columns)
        raise ValueError(f"a line has too many parts; expected {columns}")
    return {
        column.path: _value(column, part, "UTC") for column, part in zip(field.columns, parts, strict=False) if part
    }


def error_at(field: Field, errors: Mapping[str, str]) -> str:
    """Returns the messages of a field and its parts."""
    found = []
    for path, message in errors.items():
        if path == field.path:
            found.append(message)
        elif path.startswith(field.path + "."):
            rest = path.removeprefix(field.path + ".").split(".")
            line = f"line {int(rest[0]) + 1}: " if rest[0].isdigit() else ""
            found.append(
                line + ("" if rest[0].isdigit() and len(rest) == 1 else f"{rest[-1].replace('_', ' ')}: ") + message
            )
    return "; ".join(found)
