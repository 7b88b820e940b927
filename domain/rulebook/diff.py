"""Differences between the edition `current` and the guide as printed: one per correction, with the rows side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass

from domain.rulebook.book import Rulebook
from domain.rulebook.rows import ANY, Correction, Row

_CITED = re.compile(r"\bcorrections ([A-H]\d*)\b")
_NOT_COMPARED = frozenset(
    {
        "id",
        "edition",
        "effective_from",
        "effective_to",
        "source",
        "cite",
        "status",
        "refresh",
        "reviewed",
        "note",
        "doubt",
    }
)


@dataclass(frozen=True, slots=True)
class Departure:
    """One correction: the rows of `current` that cite it, the rows of the guide they replace, what differs.

    `current` holds the rows that cite the correction and those that answer the same question. `changes` has the form
    `row: column: as printed -> as corrected`. A departure without rows carries a decision instead.
    """

    correction: Correction
    current: tuple[Row, ...]
    printed: tuple[Row, ...]
    changes: tuple[str, ...]


def corrections_cited(row: Row) -> frozenset[str]:
    """The numbers of the corrections a row cites in its source or note."""
    return frozenset(number for text in (*row.source, row.note) for number in _CITED.findall(text))


def departures(guide: Rulebook, current: Rulebook) -> tuple[Departure, ...]:
    """Every correction in its order, with the rows it changed."""
    return tuple(_departure(each, guide, current) for each in current.table(Correction))


def unexplained(guide: Rulebook, current: Rulebook) -> tuple[Row, ...]:
    """Rows in one edition only without a correction; a correct rulebook has none."""
    explained = {row.id for each in departures(guide, current) for row in (*each.current, *each.printed)}
    return tuple(row for row in (*_alone(guide, current), *_alone(current, guide)) if row.id not in explained)


def _departure(correction: Correction, guide: Rulebook, current: Rulebook) -> Departure:
    cited = [row for row in _every(current) if not isinstance(row, Correction) and _cites(row, correction.number)]
    printed = tuple(row for row in _alone(guide, current) if _cites(row, correction.number) or _beside(row, cited))
    mine = (*cited, *(row for row in _alone(current, guide) if row not in cited and _beside(row, cited)))
    return Departure(correction, mine, printed, _changes(printed, mine))


def _changes(printed: tuple[Row, ...], corrected: tuple[Row, ...]) -> tuple[str, ...]:
    return tuple(
        f"{new.id}: {column}: {was} -> {now}"
        for old in printed
        for new in corrected
        if new.edition != "both" and _same_question(old, new)
        for column, was, now in _columns(old, new)
    )


def _columns(old: Row, new: Row) -> list[tuple[str, object, object]]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [
        (column, before.get(column), value)
        for column, value in after.items()
        if column not in _NOT_COMPARED and column not in new.match_on and before.get(column) != value
    ]


def _cites(row: Row, number: str) -> bool:
    return number in corrections_cited(row)


def _beside(row: Row, others: list[Row]) -> bool:
    return any(_same_question(row, other) for other in others)


def _same_question(row: Row, other: Row) -> bool:
    """Both answer one question: the key columns agree, or one of them holds for every value."""
    if row.table != other.table:
        return False
    pairs = [(getattr(row, column), getattr(other, column)) for column in row.match_on]
    return all(mine == theirs or ANY in (mine, theirs) for mine, theirs in pairs)


def _every(book: Rulebook) -> tuple[Row, ...]:
    return tuple(row for rows in book.rows.values() for row in rows)


def _alone(book: Rulebook, other: Rulebook) -> tuple[Row, ...]:
    """The rows of one edition that the other does not have."""
    shared = {row.id for row in _every(other)}
    return tuple(row for row in _every(book) if row.id not in shared)
