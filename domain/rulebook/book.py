"""The one loader of the rulebook and its look-ups by date."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import TypeVar, cast, get_args

from pydantic import ValidationError

from domain.rulebook.rows import ANY, TABLES, Edition, Row

R = TypeVar("R", bound=Row)

REMEMBERED = 20_000
"""Look-ups kept in memory: every decision repeats the same few hundred, and the rows do not change."""


class RulebookError(ValueError):
    """A rulebook file is not valid; the message names file, row and field."""


class NoRule(LookupError):
    """No row answers for that date. Names the table, the question and the date."""

    def __init__(self, table: str, asked: Mapping[str, object], on: date) -> None:
        what = ", ".join(f"{key}={value}" for key, value in sorted(asked.items()))
        super().__init__(f"no row of {table} for {what} on {on.isoformat()}")
        self.table, self.asked, self.on = table, dict(asked), on


class AmbiguousRule(RulebookError):
    """Two rows answer the same question for the same day."""


@dataclass(frozen=True)
class Rulebook:
    """All rows of one edition. Look-ups name a date of service or discharge and never fall back silently."""

    edition: Edition
    digest: str
    rows: Mapping[str, tuple[Row, ...]]
    _answered: dict[tuple[object, ...], tuple[Row, ...]] = field(default_factory=dict, compare=False, repr=False)

    def table(self, kind: type[R]) -> tuple[R, ...]:
        """Every row of a table, of every date."""
        return cast(tuple[R, ...], self.rows.get(kind.table, ()))

    def find(self, kind: type[R], on: date, /, **match: object) -> tuple[R, ...]:
        """The rows that hold on the day and answer the question, the most exact first.

        A column that holds `*` answers every value. A question without a column accepts any value of it.
        """
        asked = (kind, on, *sorted(match.items()))
        if asked not in self._answered:
            # One decision repeats the same few questions hundreds of times; later days bring new ones, so the memory is limited.
            if len(self._answered) >= REMEMBERED:
                self._answered.clear()
            answers = [row for row in self.table(kind) if row.holds_on(on) and _answers(row, match)]
            self._answered[asked] = tuple(sorted(answers, key=lambda row: (-_exactness(row, match), row.id)))
        return cast(tuple[R, ...], self._answered[asked])

    def one(self, kind: type[R], on: date, /, **match: object) -> R:
        """The one row that holds on the day, the most exact of those that answer.

        Raises:
            NoRule: no row answers for that day.
            AmbiguousRule: two equally exact rows answer.
        """
        answers = self.find(kind, on, **match)
        if not answers:
            raise NoRule(kind.table, match, on)
        if len(answers) > 1 and _exactness(answers[0], match) == _exactness(answers[1], match):
            raise AmbiguousRule(f"rows {answers[0].id} and {answers[1].id} both answer on {on.isoformat()}")
        return answers[0]

    def maybe(self, kind: type[R], on: date, /, **match: object) -> R | None:
        """Like `one`, but None where no row answers."""
        try:
            return self.one(kind, on, **match)
        except NoRule:
            return None

    def by_id(self, row_id: str) -> Row:
        """The row with that id.

        Raises:
            KeyError: there is none in this edition.
        """
        for rows in self.rows.values():
            for row in rows:
                if row.id == row_id:
                    return row
        raise KeyError(row_id)


def _answers(row: Row, match: Mapping[str, object]) -> bool:
    return all((mine := getattr(row, column)) == wanted or mine == ANY for column, wanted in match.items())


def _exactness(row: Row, match: Mapping[str, object]) -> int:
    return sum(1 for column in match if getattr(row, column) != ANY)


def load(texts: Mapping[str, str], edition: Edition = "current") -> Rulebook:
    """Read the rulebook from the texts of its TOML files, by file name.

    Each file holds arrays of tables named like a row type's `table`.

    Raises:
        RulebookError: a file is not TOML, a row does not fit its type, an id is used twice, two rows of one key overlap.
    """
    if edition not in get_args(Edition):
        raise RulebookError(f"unknown edition {edition}")
    kinds = {kind.table: kind for kind in TABLES}
    every: list[Row] = []
    for name in sorted(texts):
        every += _rows_of(name, texts[name], kinds)
    _unique_ids(every)
    mine = [row for row in every if row.edition in ("both", edition)]
    rows = {table: tuple(row for row in mine if row.table == table) for table in kinds}
    for table in rows.values():
        _no_overlap(table)
    return Rulebook(edition, _digest(mine), rows)


def _rows_of(name: str, text: str, kinds: Mapping[str, type[Row]]) -> list[Row]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(f"{name}: not TOML: {error}") from error
    rows: list[Row] = []
    for table, entries in tables.items():
        kind = kinds.get(table)
        if kind is None:
            raise RulebookError(f"{name}: unknown table {table}")
        for entry in entries:
            try:
                rows.append(kind.model_validate(entry))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, first["loc"]))
                raise RulebookError(f"{name}: {entry.get('id', table)}: {where}: {first['msg']}") from error
    return rows


def _unique_ids(rows: Iterable[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise RulebookError(f"row id {row.id} is used twice")
        seen.add(row.id)


def _no_overlap(rows: tuple[Row, ...]) -> None:
    """Two rows with the same key columns must not hold on the same day, except where a table lists several on purpose."""
    by_key: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        key = tuple(getattr(row, column) for column in row.match_on)
        if row.table in ("codes", "drugs"):
            key += (getattr(row, "code", None) or getattr(row, "ndc_prefixes", None),)
        by_key.setdefault(key, []).append(row)
    for same in by_key.values():
        same.sort(key=lambda row: row.effective_from)
        for earlier, later in pairwise(same):
            if earlier.effective_to is None or later.effective_from <= earlier.effective_to:
                raise AmbiguousRule(f"rows {earlier.id} and {later.id} hold on the same days")


def _digest(rows: Iterable[Row]) -> str:
    """SHA-256 over every row, independent of file layout; changes when any row changes."""
    bodies = sorted((row.id, row.model_dump(mode="json")) for row in rows)
    return hashlib.sha256(json.dumps(bodies, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
