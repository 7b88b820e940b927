"""From the reasons of a remittance to the guide's denial and its fix (G429-443)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal

from domain.rulebook import Rulebook
from domain.rulebook.rows import Denial, DrugCode, Indication, Policy, Product, Regimen

_PERCENT = Decimal(100)


def rows(
    rules: Rulebook,
    on: date,
    carc: Collection[str],
    rarc: Collection[str],
    diagnoses: Collection[str] = (),
    lines: Collection[str] = (),
) -> tuple[Denial, ...]:
    """The denials that fit best: most reasons and remarks in common, remarks never alone. Several when they fit alike.

    Args:
        diagnoses: codes of the claim; denials of other indications do not count.
        lines: procedure codes of the service lines that were refused, where the remittance refuses lines only;
            denials of other services do not count.
    """
    about, billed = _indications(rules, on, diagnoses), _billed(rules, on, lines)
    scored = [
        (_fit(row, carc, rarc), row)
        for row in rules.find(Denial, on)
        if set(row.carc) & set(carc)
        and (not about or not row.indications or about & set(row.indications))
        and (not lines or not row.lines or billed & set(row.lines))
    ]
    best = max((score for score, _ in scored), default=(0, 0))
    return tuple(sorted((row for score, row in scored if score == best), key=lambda row: row.number))


def _indications(rules: Rulebook, on: date, diagnoses: Collection[str]) -> frozenset[str]:
    """The indications of the diagnoses of a claim; empty where they fit no indication of the rulebook."""
    return frozenset(
        row.key
        for row in rules.find(Indication, on)
        if any(code.startswith(row.diagnosis_prefixes) for code in diagnoses)
    )


def _billed(rules: Rulebook, on: date, lines: Collection[str]) -> frozenset[str]:
    """What refused lines bill, in the terms of the denial rows: a product, a lymphodepletion drug, or neither."""
    products = {row.hcpcs for row in rules.find(Product, on)}
    given = {dose.drug for row in rules.find(Regimen, on) for dose in row.doses}
    drugs = {row.hcpcs for row in rules.table(DrugCode) if row.drug in given}
    kinds = (("product", products), ("lymphodepletion", drugs))
    return frozenset(kind for kind, codes in kinds if codes & set(lines))


def _fit(row: Denial, carc: Collection[str], rarc: Collection[str]) -> tuple[int, int]:
    reasons, remarks = len(set(row.carc) & set(carc)), len(set(row.rarc) & set(rarc))
    return (reasons + remarks, remarks)


def tolerance(rules: Rulebook, on: date, payer: str, payer_class: str) -> Decimal:
    """The largest shortfall that needs no review, as a fraction of the expected amount."""
    asked = {"key": "underpayment_tolerance", "payer": payer, "payer_class": payer_class, "mac": "*"}
    return Decimal(rules.one(Policy, on, **asked).value) / _PERCENT
