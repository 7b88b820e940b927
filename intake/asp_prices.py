"""Reading Medicare's quarterly payment limit file (CSV or XLSX) and writing its prices as a rulebook overlay."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import zipfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from domain.rulebook import Rulebook
from domain.rulebook.asp import MAX_SHARE, AspFileError, has_header, overlay, price_rows, read_table
from domain.rulebook.rows import Payment


def read_cells(file: Path) -> list[list[str]]:
    """The cells of the file as text, row by row.

    Raises:
        AspFileError: it is neither CSV nor XLSX, or cannot be read as its suffix states.
    """
    suffix = file.suffix.casefold()
    if suffix not in (".csv", ".xlsx"):
        raise AspFileError([f"{file.name}: expected a .csv or .xlsx file"])
    try:
        return _csv_cells(file.read_bytes()) if suffix == ".csv" else _xlsx_cells(file)
    except (OSError, csv.Error, zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise AspFileError([f"{file.name}: cannot be read as {suffix[1:]}: {type(error).__name__}"]) from error


def import_asp(
    file: Path, book: Rulebook, out: Path, max_share: Decimal = MAX_SHARE, quarter: str | None = None
) -> tuple[Path, tuple[Payment, ...]]:
    """Check the file against the rulebook and write `payments_asp_<quarter>.toml` into `out`.

    With a `quarter` the file must be of that one.

    Nothing is written when anything is wrong, so the current prices stay in effect.

    Raises:
        AspFileError: see `domain.rulebook.asp`.
    """
    table = read_table(read_cells(file))
    if quarter is not None and table.quarter != quarter.upper():
        raise AspFileError([f"{file.name}: holds the prices of {table.quarter}, not of {quarter}"])
    rows = price_rows(table, book, max_share)
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"payments_asp_{table.quarter.lower()}.toml"
    _write(target, f"# From {file.name}.\n\n{overlay(rows)}")
    return target, rows


def _csv_cells(body: bytes) -> list[list[str]]:
    # CMS writes Windows-1252 with stray non-breaking spaces in some quarters and UTF-8 with a mark in others.
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252")
    return list(csv.reader(io.StringIO(text, newline="")))


def _xlsx_cells(file: Path) -> list[list[str]]:
    workbook = load_workbook(file, read_only=True, data_only=True)
    try:
        sheets = [[_texts(row) for row in sheet.iter_rows(values_only=True)] for sheet in workbook.worksheets]
        return next((rows for rows in sheets if has_header(rows)), sheets[0])
    finally:
        workbook.close()


def _texts(row: Iterable[object]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row]


def _write(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(target)
