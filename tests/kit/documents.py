"""Comparing a generated document with what the code makes today, row by row.

A document is *out of date* where it shows a row that the code makes no more, or makes in another order. It is *incomplete*
where the code makes a row that the document does not show. The two are tested apart: an addition to the code leaves what is
written correct, and fails the second test alone, with the rows and the command that writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

Row = tuple[str, str]
"""The headings above a line, and the line."""


def out_of_date(written: str, made: str) -> list[str]:
    """The rows that the code no longer makes, or the first at another place."""
    before, after = list(_rows(written)), list(_rows(made))
    gone = list((Counter(before) - Counter(after)).elements())
    if gone:
        return [_shown(row) for row in gone]
    kept = _among(after, Counter(before))
    return [_shown(row) for row, other in zip(before, kept, strict=True) if row != other][:1]


def incomplete(written: str, made: str) -> list[str]:
    """The rows that the code makes and the document does not show."""
    return [_shown(row) for row in (Counter(_rows(made)) - Counter(_rows(written))).elements()]


def _rows(text: str) -> Iterator[Row]:
    headings: list[str] = []
    for line in text.splitlines():
        level = len(line) - len(line.lstrip("#"))
        if level and line[level : level + 1] == " ":
            headings = [*headings[: level - 1], line[level + 1 :]]
        if line.strip():
            yield " / ".join(headings), line


def _among(rows: list[Row], wanted: Counter[Row]) -> Iterator[Row]:
    left = wanted.copy()
    for row in rows:
        if left[row]:
            left[row] -= 1
            yield row


def _shown(row: Row) -> str:
    return f"{row[0]}: {row[1]}"
