"""Which rows are past their review: by the cadence of the row (G547-556) and the day it was last reviewed."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from domain.rulebook.book import Rulebook
from domain.rulebook.rows import Cadence, Refresh, Row

MONTHS: Mapping[Cadence, int] = {"quarterly": 3, "semi-annual": 6, "annual": 12}
"""Calendar months between two reviews. Event-driven and fixed rows have no date: they are reviewed on their trigger."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A row that should have been reviewed again by `due`; `ran_out` when it also ended without a successor.

    `trigger` names what to review (G547-556), empty where no cadence of the table fits the row.
    """

    row: Row
    due: date
    ran_out: bool
    trigger: str


def stale(book: Rulebook, on: date) -> tuple[Stale, ...]:
    """The rows past their cadence on a day, the longest overdue first.

    A row that ended before its last review is never stale, nor is one that a later row of the same key replaced.
    """
    found = [late for row in _every(book) if (late := _judge(book, row, on))]
    return tuple(sorted(found, key=lambda late: (late.due, late.row.id)))


def review_due(row: Row) -> date | None:
    """The last day on which the row's review is still fresh; None where no date triggers it."""
    months = MONTHS.get(row.refresh)
    return None if months is None else _add_months(row.reviewed, months)


def _judge(book: Rulebook, row: Row, on: date) -> Stale | None:
    ended = row.effective_to is not None and row.effective_to < on
    if ended and (_settled(row) or _followed(book, row)):
        return None
    due = review_due(row)
    if due is None:
        return None
    if ended and row.effective_to is not None:
        due = min(due, row.effective_to + timedelta(days=1))
    return Stale(row, due, ended, _trigger(book, row)) if due < on else None


def _trigger(book: Rulebook, row: Row) -> str:
    fitting = [each for each in book.table(Refresh) if row.table in each.tables and each.cadence == row.refresh]
    return fitting[0].trigger if fitting else ""


def _settled(row: Row) -> bool:
    return row.effective_to is not None and row.effective_to < row.reviewed


def _followed(book: Rulebook, row: Row) -> bool:
    end = row.effective_to
    return end is not None and any(
        other.effective_from > end and all(getattr(other, c) == getattr(row, c) for c in row.match_on)
        for other in book.rows.get(row.table, ())
    )


def _add_months(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _every(book: Rulebook) -> tuple[Row, ...]:
    return tuple(row for rows in book.rows.values() for row in rows)
