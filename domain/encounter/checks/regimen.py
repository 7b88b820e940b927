"""Compare documented lymphodepletion with the label of the indication: a reminder for staff, never an order (corrections A1)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.encounter.context import Dose, EncounterContext
from domain.rulebook.rows import Regimen, RegimenDose

MOSTELLER = Decimal(3600)
"""Mosteller's divisor: body surface in m² is the root of height (cm) × weight (kg) / 3600. Used for comparison only."""


def exceeds(context: EncounterContext, course: tuple[Dose, ...]) -> list[str]:
    """Drugs documented on more days, or at a higher dose, than on the label; as text without values."""
    regimen = context.regimen(course[0].data.date)
    if regimen is None:
        return []
    found = []
    for label in regimen.doses:
        doses = _of(course, label.drug)
        if len({dose.data.date for dose in doses}) > len(label.days):
            found.append(f"{label.drug}: documented on more days than the label has")
        if any(ratio > 1 + _tolerance(regimen) for ratio in _ratios(context, doses, label)):
            found.append(f"{label.drug}: a documented dose above the label's")
    return found


def differs(context: EncounterContext, course: tuple[Dose, ...]) -> list[str]:
    """Other drugs, missing days, lower doses or other days than on the label of the indication; as text."""
    regimen = context.regimen(course[0].data.date)
    if regimen is None:
        return []
    expected = {label.drug for label in regimen.doses}
    found = [f"{drug}: not a drug of the regimen" for drug in sorted({d.data.drug for d in course} - expected)]
    for label in regimen.doses:
        doses = _of(course, label.drug)
        if len({dose.data.date for dose in doses}) < len(label.days):
            found.append(f"{label.drug}: documented on fewer days than the label has")
        if any(ratio < 1 - _tolerance(regimen) for ratio in _ratios(context, doses, label)):
            found.append(f"{label.drug}: a documented dose below the label's")
        if course == context.course and _off_days(context, doses, label):
            found.append(f"{label.drug}: given on other days before the infusion than the label has")
    return found


def _of(course: tuple[Dose, ...], drug: str) -> list[Dose]:
    return [dose for dose in course if dose.data.drug == drug]


def _tolerance(regimen: Regimen) -> Decimal:
    return Decimal(regimen.dose_tolerance_percent) / 100


def _ratios(context: EncounterContext, doses: list[Dose], label: RegimenDose) -> list[Decimal]:
    """The documented dose of each day divided by the label dose for the documented body surface; empty if that is unknown."""
    surface = body_surface(context)
    if surface is None:
        return []
    by_day: dict[date, Decimal] = {}
    for dose in doses:
        by_day[dose.data.date] = by_day.get(dose.data.date, Decimal(0)) + dose.data.dose_mg
    return [given / (label.mg_per_m2 * surface) for given in by_day.values()]


def body_surface(context: EncounterContext) -> Decimal | None:
    """The documented body surface in m², or Mosteller's from documented height and weight."""
    referral = context.record.referral
    if referral is None:
        return None
    if referral.data.bsa_m2 is not None:
        return referral.data.bsa_m2
    height = referral.data.height_cm
    return (height * referral.data.weight_kg / MOSTELLER).sqrt() if height is not None else None


def _off_days(context: EncounterContext, doses: list[Dose], label: RegimenDose) -> bool:
    given = context.record.given
    if not given or not doses:
        return False
    day0 = context.day(given[0].started_at, given[0].facility)
    return not {(dose.data.date - day0).days for dose in doses} <= set(label.days)
