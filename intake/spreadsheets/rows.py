"""Reads a file into rows: place in the file, kind of record, and cells that are filled in by field path."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

OWN = ("record", "order", "time", "id")
"""Columns that are no field of the event: kind of record, order, time of recording, id of the row."""


class ImportFileError(ValueError):
    """The file as a whole cannot be read; the message names the file and the correction."""


@dataclass(frozen=True)
class Row:
    """One row. `cells` are the filled-in fields by dotted path; text, or as typed in the workbook or JSON."""

    where: str
    record: str
    order: str
    time: Any
    id: str | None
    cells: Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Every row of a file that is not empty.

    Raises:
        ImportFileError: it is of no known kind, cannot be read, or has no header.
    """
    readers = {".csv": _csv, ".xlsx": _workbook, ".json": _json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ImportFileError(f"{path.name}: give a .csv, .xlsx or .json file")
    try:
        return [row for row in reader(path) if row.cells or row.record or row.order]
    except json.JSONDecodeError as error:
        raise ImportFileError(f"{path.name}: line {error.lineno}: not JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError, csv.Error, BadZipFile, InvalidFileException) as error:
        raise ImportFileError(f"{path.name}: cannot be read: {type(error).__name__}") from None


def _csv(path: Path) -> Iterator[Row]:
    """One table; the first line names the columns. A byte order mark, as spreadsheets write it, is no part of a name."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        _columns(path.name, reader.fieldnames, ("record", "order"))
        for cells in reader:
            where = f"{path.name} line {reader.line_num}"
            if None in cells:
                raise ImportFileError(f"{where}: more cells than the first line has columns")
            yield _row(where, {name.strip(): value for name, value in cells.items() if name}, "")


def _workbook(path: Path) -> Iterator[Row]:
    """A sheet for each kind of record, named like it; the first row names the columns."""
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        for sheet in book.worksheets:
            rows = sheet.iter_rows(values_only=True)
            head = [str(name).strip() if name is not None else "" for name in next(rows, ())]
            if not any(head):
                continue
            _columns(f"{path.name} sheet {sheet.title}", head, ("order",))
            for number, values in enumerate(rows, start=2):
                cells = {name: _plain(value) for name, value in zip(head, values, strict=False) if name}
                yield _row(f"{path.name} sheet {sheet.title} row {number}", cells, sheet.title.strip().lower())
    finally:
        book.close()


def _json(path: Path) -> Iterator[Row]:
    """A list of objects; fields may be nested or written as dotted paths."""
    body = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(body, list) or not all(isinstance(one, dict) for one in body):
        raise ImportFileError(f"{path.name}: give a list of objects, one for each row")
    for number, one in enumerate(body, start=1):
        yield _row(f"{path.name} entry {number}", dict(_flat(one)), "")


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner


def _row(where: str, cells: Mapping[str, Any], record: str) -> Row:
    filled = {name: value for name, value in cells.items() if value is not None and str(value).strip() != ""}
    return Row(
        where=where,
        record=str(filled.get("record", record)).strip().lower(),
        order=str(filled.get("order", "")).strip(),
        time=filled.get("time"),
        id=str(filled["id"]).strip() if "id" in filled else None,
        cells={name: value for name, value in filled.items() if name not in OWN},
    )


def _columns(where: str, names: Any, needed: tuple[str, ...]) -> None:
    known = [str(name).strip() for name in names or () if name]
    for name in needed:
        if name not in known:
            raise ImportFileError(f"{where}: the first line has no column {name}")
    if len(known) != len(set(known)):
        raise ImportFileError(f"{where}: a column is repeated in the first line")


def _plain(value: Any) -> Any:
    """A cell of a workbook as text where a text means the same: dates by the ISO, whole numbers without a point."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
