"""Coverage of the guide: for each of its lines the rules that implement it, or the decision not to.

The guide's text is not here: a line is its number. `coverage.toml` lists what a line states, in our words, and the rules for it.
Lines without a fact (blank, heading, navigation) are passed over with a reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.rulebook.book import Rulebook, RulebookError
from domain.rulebook.rows import Row


class Cover(BaseModel):
    """What a line or range of the guide states, and the rules or the decision for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lines: str
    says: str = Field(min_length=1)
    rules: tuple[str, ...] = ()
    decision: str = ""


class Passed(BaseModel):
    """Lines that carry no fact, with the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lines: str
    why: str = Field(min_length=1)


class Coverage(BaseModel):
    """The whole of `coverage.toml`: the number of lines of the guide, what is covered and what is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    total: int = Field(gt=0)
    covers: tuple[Cover, ...]
    passed: tuple[Passed, ...]


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing from a coverage; all empty when it is complete."""

    uncovered: tuple[int, ...]
    passed_and_covered: tuple[int, ...]
    outside: tuple[int, ...]
    unknown_rules: tuple[str, ...]
    unanswered: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.uncovered or self.passed_and_covered or self.outside or self.unknown_rules or self.unanswered)


def read_coverage(text: str) -> Coverage:
    """Read `coverage.toml`.

    Raises:
        RulebookError: the file is not TOML or not valid.
    """
    try:
        return Coverage.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise RulebookError(f"coverage.toml: {error}") from error


def numbers(lines: str) -> Iterator[int]:
    """The line numbers of `12`, `12-15` or `12 14-16 20`.

    Raises:
        RulebookError: a part is not a number or a rising range.
    """
    for part in lines.split():
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
            raise RulebookError(f"coverage.toml: {part!r} is not a line or a rising range of lines")
        yield from range(int(first), int(last) + 1)


def gaps(coverage: Coverage, books: Iterable[Rulebook]) -> Gaps:
    """Compare a coverage with the rules that exist in any of the editions."""
    known = {row.id for book in books for rows in book.rows.values() for row in rows}
    covered = {number for cover in coverage.covers for number in numbers(cover.lines)}
    passed = {number for each in coverage.passed for number in numbers(each.lines)}
    every = set(range(1, coverage.total + 1))
    named = {rule for cover in coverage.covers for rule in cover.rules}
    return Gaps(
        uncovered=tuple(sorted(every - covered - passed)),
        passed_and_covered=tuple(sorted(covered & passed)),
        outside=tuple(sorted((covered | passed) - every)),
        unknown_rules=tuple(sorted(named - known)),
        unanswered=tuple(cover.lines for cover in coverage.covers if not cover.rules and not cover.decision),
    )


def beyond_the_guide(coverage: Coverage, books: Iterable[Rulebook]) -> tuple[Row, ...]:
    """Rows without a line of the guide: they come from official pages, corrections or the needs of a claim."""
    named = {rule for cover in coverage.covers for rule in cover.rules}
    rows = {row.id: row for book in books for table in book.rows.values() for row in table}
    return tuple(row for row_id, row in sorted(rows.items()) if row_id not in named)
