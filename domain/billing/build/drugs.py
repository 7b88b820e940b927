"""Drug lines: units from charted milligrams, JW and JZ, NDC, and the administration services of the day.

G142-147, G210-216, G230, G316-323, corrections B7-B11, C7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import groupby

from domain.billing.build import administration
from domain.billing.build.administration import Given, Service
from domain.billing.build.draft import Draft, LineDraft
from domain.billing.build.units import Units, per_course, per_line, spread
from domain.billing.ndc import eleven
from domain.encounter.facts import Fact
from domain.events.care import LymphodepletionAdministered, MedicationAdministered
from domain.rulebook.rows import DrugCode, Policy

_MILLIGRAMS = "ME"
_THOUSANDTH = Decimal("0.001")
_REVENUE_ROLES = {"chemotherapy": "rev_chemotherapy", "therapeutic": "rev_therapeutic_infusion"}


@dataclass(frozen=True, slots=True)
class Charted:
    """A drug as charted, whichever event it comes from."""

    event: str
    drug: str
    ndc: str
    on: date
    given_mg: Decimal
    wasted_mg: Decimal
    acquired_340b: bool


def add_lymphodepletion(draft: Draft) -> None:
    """Add drug and administration lines for every dose on the claim."""
    doses = draft.services.doses
    planned = _course_units(draft)
    for fact in doses:
        with draft.section():
            charted = _charted_dose(draft, fact)
            _drug_lines(draft, charted, planned.get(fact.event_id))
    for on, day in groupby(sorted(doses, key=lambda f: (_day(draft, f), f.order)), key=lambda f: _day(draft, f)):
        with draft.section():
            _administration_lines(draft, on, _services(draft, on, list(day)), "chemotherapy")


def add_medications(draft: Draft) -> None:
    """Add drugs given for toxicity: an outpatient line with its administration; in a stay, included in the DRG (G230)."""
    for fact in draft.services.medications:
        facility = fact.data.facility or draft.services.facility
        on = draft.context.day(fact.data.at, facility)
        data = fact.data
        if draft.inpatient and not _coded_at_all(draft, data.drug):
            continue
        with draft.section():
            _drug_lines(
                draft,
                Charted(fact.event_id, data.drug, data.ndc, on, data.dose_mg, data.wasted_mg, data.acquired_340b),
                None,
            )
        if not draft.inpatient:
            with draft.section():
                _administration_lines(draft, on, _treatment(fact), "therapeutic")


def _coded_at_all(draft: Draft, drug: str) -> bool:
    """False for drugs that no row bills; in a stay they are among the pharmacy charges."""
    return any(row.drug == drug for row in draft.context.rules.table(DrugCode))


def _treatment(fact: Fact[MedicationAdministered]) -> tuple[Service, ...]:
    return administration.therapeutic(fact.data.at, fact.data.ended_at, fact.event_id)


def _day(draft: Draft, fact: Fact[LymphodepletionAdministered]) -> date:
    return draft.context.day(fact.data.started_at, fact.data.facility)


def _charted_dose(draft: Draft, fact: Fact[LymphodepletionAdministered]) -> Charted:
    data = fact.data
    return Charted(
        fact.event_id, data.drug, data.ndc, _day(draft, fact), data.dose_mg, data.wasted_mg, data.acquired_340b
    )


def _drug_lines(draft: Draft, charted: Charted, printed_units: int | None) -> None:
    row = draft.context.drug(charted.drug, charted.ndc, charted.on)
    draft.cite(row)
    if not _for_one_dose(draft, charted):
        charted = replace(charted, wasted_mg=Decimal(0))
    units = per_line(charted.given_mg, charted.wasted_mg, row.mg_per_unit)
    if printed_units is not None:
        units = Units(printed_units, 0)
    draft.lines.append(_drug_line(draft, charted, row, units.given, wasted=False, rest=units.wasted))
    if units.wasted:
        draft.lines.append(_drug_line(draft, charted, row, units.wasted, wasted=True, rest=0))


def _drug_line(draft: Draft, charted: Charted, row: DrugCode, units: int, *, wasted: bool, rest: int) -> LineDraft:
    mg = charted.wasted_mg if wasted else charted.given_mg
    quantity, measure = _quantity(draft, charted, mg)
    what = "discarded from" if wasted else "given of"
    basis = f"one unit is {row.mg_per_unit.normalize():f} mg, rounded up per line"
    text = f"{mg.normalize():f} mg {what} {row.title} on this day; {basis}."
    if charted.wasted_mg and not wasted and not rest:
        text += " The rounded units already include the discarded amount."
    return LineDraft(
        service=charted.drug,
        on=charted.on,
        units=units,
        revenue_code=draft.code("rev_drug_detailed", charted.on).code,
        hcpcs=row.hcpcs,
        printed=not draft.inpatient or draft.policy("drug_hcpcs_inpatient", charted.on).value == "printed",
        description=row.title,
        modifiers=() if draft.inpatient else _modifiers(draft, charted, wasted=wasted, rest=rest),
        ndc=eleven(charted.ndc),
        ndc_quantity=quantity,
        ndc_unit=measure,
        given_mg=None if wasted else charted.given_mg,
        wasted_mg=charted.wasted_mg if wasted or not rest else None,
        reason=draft.reason_from(row, text, charted.event),
    )


def _for_one_dose(draft: Draft, charted: Charted) -> bool:
    """False for a multi-dose container: what is left in it is neither discarded nor billed."""
    package = draft.context.package(charted.drug, charted.ndc, charted.on)
    return package is None or package.single_dose


def _quantity(draft: Draft, charted: Charted, mg: Decimal) -> tuple[Decimal, str]:
    """The quantity beside the NDC: milligrams, or the unit of the package where the payer requires that."""
    package = draft.context.package(charted.drug, charted.ndc, charted.on)
    if package is None or draft.policy("ndc_quantity", charted.on).value != "package":
        return mg, _MILLIGRAMS
    return (mg / package.mg_per_quantity).quantize(_THOUSANDTH), package.unit


def _modifiers(draft: Draft, charted: Charted, *, wasted: bool, rest: int) -> tuple[str, ...]:
    """JW for discarded units, JZ for none, only for single-dose containers; the 340B modifier as acquired."""
    found: list[str] = []
    if _for_one_dose(draft, charted) and draft.policy("waste_modifiers", charted.on).value == "report":
        role = "modifier_waste" if wasted else "modifier_no_waste" if not rest else ""
        found += [row.code for row in draft.context.codes(role, charted.on)] if role else []
    if charted.acquired_340b and draft.policy("modifier_340b", charted.on).value == "report":
        found.append(draft.code("modifier_340b", charted.on).code)
    return tuple(found)


def _course_units(draft: Draft) -> dict[str, int]:
    """Units per dose where the rulebook rounds over the course or fixes a number (edition `guide`); else empty."""
    planned: dict[str, int] = {}
    course = draft.context.record.lymphodepletion if draft.services.doses else ()
    for drug in dict.fromkeys(fact.data.drug for fact in course):
        doses = [fact for fact in course if fact.data.drug == drug]
        with draft.section():
            planned |= dict(zip((f.event_id for f in doses), _printed(draft, drug, doses), strict=False))
    return planned


def _printed(draft: Draft, drug: str, doses: list[Fact[LymphodepletionAdministered]]) -> Iterable[int]:
    on = _day(draft, doses[0])
    if draft.context.policy("unit_rounding", on, draft.services.facility).value != "per_course":
        return ()
    draft.policy("unit_rounding", on)
    key = f"printed_units_{draft.context.indication}_{drug}"
    printed = draft.context.rules.maybe(Policy, on, key=key)
    if printed is None:
        row = draft.context.drug(drug, doses[0].data.ndc, on)
        return per_course([fact.data.dose_mg for fact in doses], row.mg_per_unit)
    draft.cite(printed)
    basis, number = printed.value.split()
    return [int(number)] * len(doses) if basis == "per_day" else spread(int(number), len(doses))


def _services(draft: Draft, on: date, day: list[Fact[LymphodepletionAdministered]]) -> tuple[Service, ...]:
    given = [given_of(fact) for fact in day]
    if draft.policy("chemotherapy_administration", on).value == "from_times":
        return administration.chemotherapy(given)
    events, text = (
        tuple(g.event for g in given),
        "One for every day of infusion, whatever the times, as the guide prints it.",
    )
    return Service("chemo_infusion_initial", 1, events, text), Service("chemo_infusion_hour", 1, events, text)


def given_of(fact: Fact[LymphodepletionAdministered]) -> Given:
    """The administration as the codes need it."""
    data = fact.data
    return Given(data.drug, data.started_at, data.ended_at, data.route == "iv_push", fact.event_id)


def _administration_lines(draft: Draft, on: date, services: tuple[Service, ...], kind: str) -> None:
    for service in services:
        row = draft.code(service.role, on)
        draft.lines.append(
            LineDraft(
                service=service.role,
                on=on,
                units=service.units,
                revenue_code=draft.code(_REVENUE_ROLES[kind], on).code,
                hcpcs=row.code,
                printed=not draft.inpatient or draft.policy("drug_hcpcs_inpatient", on).value == "printed",
                description=row.title,
                reason=draft.reason_from(row, service.text, *service.events),
            )
        )
