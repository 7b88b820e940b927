"""The twelve denials at risk by what is missing (G429-443)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from domain.encounter.context import EncounterContext
from domain.encounter.gates.authorization import required
from domain.encounter.model import Enforcement, Requirement
from domain.preflight.answer import RequestDocument, RiskedDenial
from domain.rulebook.rows import Denial, EditRule


@dataclass(frozen=True, slots=True)
class _Risk:
    number: int
    because: str
    holds: bool


def denials(
    context: EncounterContext, on: date, unmet: Sequence[Requirement], documents: Sequence[RequestDocument]
) -> tuple[RiskedDenial, ...]:
    """By number, each with everything that puts it at risk."""
    risks = [*_of_requirements(unmet), *_of_documents(context, on, documents)]
    return tuple(
        _risked(row, [risk for risk in risks if risk.number == row.number])
        for number in sorted({risk.number for risk in risks})
        if (row := context.rules.maybe(Denial, on, number=number))
    )


def _risked(row: Denial, risks: Sequence[_Risk]) -> RiskedDenial:
    return RiskedDenial(
        number=row.number,
        title=row.title,
        cause=row.cause,
        fix=row.fix,
        holds=any(risk.holds for risk in risks),
        because=tuple(dict.fromkeys(risk.because for risk in risks)),
    )


def _of_requirements(unmet: Sequence[Requirement]) -> Iterator[_Risk]:
    for requirement in unmet:
        if requirement.denial is not None:
            yield _Risk(requirement.denial, requirement.key, requirement.enforcement is Enforcement.HOLD)


def _of_documents(context: EncounterContext, on: date, documents: Sequence[RequestDocument]) -> Iterator[_Risk]:
    """Documents missing from a request; each kind prevents the denial that its claim edit names."""
    if not required(context):
        return
    for document in documents:
        for kind in document.lacking:
            row = context.rules.maybe(EditRule, on, edit=f"paper_{kind}")
            if row is not None and row.denial is not None:
                yield _Risk(row.denial, f"papers.{kind}", False)
