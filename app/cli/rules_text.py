"""Formats rulebook rows as text for the command line."""

from __future__ import annotations

from collections.abc import Iterator

from domain.rulebook import Row
from domain.rulebook.coverage import Coverage, Gaps
from domain.rulebook.diff import Departure
from domain.rulebook.stale import Stale


def row_line(row: Row) -> str:
    """Returns a row as one line: ID, effective dates, edition, status, source."""
    return f"{row.id}  {validity(row)}  {row.edition}  {row.status}  [{row.citation}]"


def validity(row: Row) -> str:
    return f"{row.effective_from.isoformat()}..{row.effective_to.isoformat() if row.effective_to else ''}"


def row_block(row: Row) -> str:
    """Returns every column of a row that has a value, one per line."""
    values = row.model_dump(mode="json")
    return "\n".join(
        [f"table: {row.table}", *(f"{name}: {_words(v)}" for name, v in values.items() if v not in (None, "", []))]
    )


def departure_lines(departure: Departure) -> Iterator[str]:
    """Yields one correction: the guide's text, the current text, evidence and rows."""
    it = departure.correction
    yield f"{it.number}  {it.subject}  [{it.status}; evidence: {', '.join(it.evidence)}; {it.citation}]"
    yield f"    guide:   {it.guide_says}"
    yield f"    current: {it.current_says}"
    if it.doubt:
        yield f"    doubt:   {it.doubt}"
    if it.decision:
        yield f"    decided: {it.decision}"
    for row in departure.printed:
        yield f"    - {row.id} ({validity(row)}, {row.status})"
    for row in departure.current:
        yield f"    + {row.id} ({validity(row)}, {row.status})"
    for change in departure.changes:
        yield f"      {change}"


def stale_line(late: Stale) -> str:
    """Returns an overdue row: review date, cadence, whether it also ended, and where to look."""
    row = late.row
    ended = f", ended {row.effective_to} without a successor" if late.ran_out else ""
    look = f"; check: {late.trigger}" if late.trigger else ""
    when = f"due {late.due.isoformat()}  {row.refresh}, reviewed {row.reviewed.isoformat()}"
    return f"{row.id}  {when}{ended}  [{row.citation}]{look}"


def coverage_lines(coverage: Coverage, found: Gaps, quiet: bool) -> Iterator[str]:
    """Yields the coverage, its gaps and the total."""
    if not quiet:
        for cover in coverage.covers:
            where = ", ".join(cover.rules) or f"decided: {cover.decision}"
            also = f"; decided: {cover.decision}" if cover.rules and cover.decision else ""
            yield f"G{cover.lines}  {cover.says}  -> {where}{also}"
        for each in coverage.passed:
            yield f"G{each.lines}  not applicable: {each.why}"
    yield from _gap_lines(found)
    state = "complete" if found.complete else "INCOMPLETE"
    yield f"coverage {state}: {coverage.total} lines, {len(coverage.covers)} entries"


def _gap_lines(found: Gaps) -> Iterator[str]:
    for title, values in (
        ("not covered", [f"G{n}" for n in found.uncovered]),
        ("covered and not applicable", [f"G{n}" for n in found.passed_and_covered]),
        ("outside the guide", [f"G{n}" for n in found.outside]),
        ("rules that do not exist", list(found.unknown_rules)),
        ("neither rule nor decision", [f"G{lines}" for lines in found.unanswered]),
    ):
        if values:
            yield f"{title}: {', '.join(values)}"


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_words(v)}" for k, v in value.items()) + "}"
    return str(value)
