"""Select the rows that apply, and turn a row into a requirement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import date
from typing import TypeVar

from domain.encounter.context import EncounterContext
from domain.encounter.model import Enforcement, HoldKind, Requirement
from domain.rulebook.rows import ANY, AlertKind, Certification, Eligibility

R = TypeVar("R", Certification, Eligibility)
STRICT = ("hold", "warn", "off")


def strictest(rows: Iterable[R], columns: tuple[str, ...], group: Callable[[R], Hashable]) -> tuple[R, ...]:
    """Return, of each group, the row that names most of the columns; of equally exact rows the stricter."""
    chosen: dict[Hashable, R] = {}
    for row in sorted(rows, key=lambda r: r.id):
        known = chosen.get(group(row))
        if known is None or _rank(row, columns) < _rank(known, columns):
            chosen[group(row)] = row
    return tuple(chosen.values())


def _rank(row: Certification | Eligibility, columns: tuple[str, ...]) -> tuple[int, int]:
    exact = sum(1 for column in columns if getattr(row, column) != ANY)
    return (-exact, STRICT.index(row.enforcement))


def alert_row(context: EncounterContext, kind: str, on: date | None = None) -> AlertKind:
    """Return the row of an alert kind.

    Raises:
        NoRule: the kind is not in the rulebook.
    """
    return context.rules.one(AlertKind, on or context.today, kind=kind)


def from_alert(
    context: EncounterContext,
    kind: str,
    key: str,
    gate_kind: HoldKind,
    met: bool,
    missing: str,
    *,
    enforcement: Enforcement = Enforcement.HOLD,
    releases_on: tuple[str, ...] = (),
    overridable: bool = True,
    evidence: tuple[str, ...] = (),
    denial: int | None = None,
    fix: str = "",
    alerts: bool = True,
) -> Requirement:
    """Return a requirement that only the row of an alert kind describes."""
    row = alert_row(context, kind)
    return Requirement(
        key=key,
        kind=gate_kind,
        met=met,
        enforcement=enforcement,
        owner=row.owner,
        title=row.requirement or row.title,
        missing=missing,
        fix=fix or row.action,
        rule=row.id,
        citation=row.citation,
        denial=denial if denial is not None else row.denial,
        releases_on=releases_on,
        overridable=overridable,
        evidence=evidence,
        alert=kind if alerts else None,
    )
