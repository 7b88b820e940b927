"""The cost stack: product, stay or outpatient group, add-on, lymphodepletion, tocilizumab in reserve (G285-300, G383-414).

Amounts are looked up and never calculated from a dose: a drug's entry is for one billing unit. Where the planned day has no
row yet, the row of the judged day is shown for orientation, with a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Literal

from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.readiness import layers
from domain.events.base import Setting, Stage
from domain.preflight.answer import Cost
from domain.rulebook.rows import Code, DrugCode, Payment, Product

Part = Literal["product", "stay", "add_on", "lymphodepletion", "reserve"]
NO_LIMIT = "invoice + 6 % or wholesale acquisition cost"
"""What is paid for a drug that has no payment limit of its quarter (G400)."""


def costs(context: EncounterContext, day0: date, today: date) -> tuple[Cost, ...]:
    """The stack for an infusion on the planned day 0, by the planned setting."""
    product = context.product_row(day0)
    if product is None:
        return ()
    return (
        *_product(context, product, day0, today),
        *_stay(context, day0, today),
        *_add_on(context, product, day0, today),
        *_lymphodepletion(context, day0, today),
        *_reserve(context, day0, today),
    )


def _inpatient(context: EncounterContext) -> bool:
    return context.record.planned_setting is Setting.INPATIENT


def _product(context: EncounterContext, product: Product, day0: date, today: date) -> Iterator[Cost]:
    """The payment limit of the quarter, and what one dose costs this site."""
    where = "paid inside the stay's group, not beside it" if _inpatient(context) else "paid beside the outpatient group"
    unit = f"{product.claim_units} therapeutic dose"
    yield _drug(
        context, "product", product.brand, product.hcpcs, unit, day0, today, where, _charge(context, "cell_product")
    )
    invoice = context.site.product_invoice_cost.get(product.key)
    yield Cost(
        part="product",
        what=f"{product.brand}, acquisition",
        code=product.hcpcs,
        unit=unit,
        amount=invoice,
        charge=None,
        basis="invoice",
        on=today,
        assumption="invoice cost of the site file" if invoice is not None else "no invoice cost in the site file",
        rule=None,
        status=None,
    )


def _stay(context: EncounterContext, day0: date, today: date) -> Iterator[Cost]:
    """The group of an inpatient stay, or every outpatient group that may apply."""
    kind = "drg" if _inpatient(context) else "apc"
    found, on, note = _rows(context, kind, day0, today)
    if kind == "drg":
        groups = {row.code for row in context.rules.find(Code, on, role="car_t_drg")}
        found = tuple(row for row in found if row.code in groups)
    for row in found:
        yield Cost(
            part="stay",
            what=f"{'MS-DRG' if kind == 'drg' else 'APC'} {row.code}: {row.title}",
            code=row.code,
            unit="stay" if kind == "drg" else "infusion",
            amount=row.amount,
            charge=None,
            basis=row.basis or _rate(row, kind),
            on=on,
            assumption=_joined(
                "the whole stay, product included, discharged in the same fiscal year" if kind == "drg" else "",
                note,
                row,
            ),
            rule=row.id,
            status=row.status,
        )
    if not found:
        yield _unknown("stay", "stay" if kind == "drg" else "outpatient infusion", day0, f"no {kind.upper()} on file")


def _rate(row: Payment, kind: str) -> str:
    if kind == "apc":
        return "rate of the current outpatient rule (Addendum B), not recorded here"
    weight = f"relative weight {row.weight}" if row.weight is not None else "relative weight of the fiscal year"
    return f"{weight} times the hospital's own base rate, which is not recorded here"


def _add_on(context: EncounterContext, product: Product, day0: date, today: date) -> Iterator[Cost]:
    """The new technology add-on of an inpatient stay, or that there is none (G397-410)."""
    if not _inpatient(context):
        return
    found, on, note = _rows(context, "ntap", day0, today, product.hcpcs)
    for row in found:
        yield Cost(
            part="add_on",
            what=row.title,
            code=row.code,
            unit="stay",
            amount=row.amount,
            charge=None,
            basis="new technology add-on",
            on=on,
            assumption=_joined("verify in the final rule of the fiscal year", note, row),
            rule=row.id,
            status=row.status,
        )
    if not found:
        yield _unknown("add_on", "new technology add-on", day0, "none on file: verify in the final rule")


def _lymphodepletion(context: EncounterContext, day0: date, today: date) -> Iterator[Cost]:
    """The drugs that the label's regimen names, each for one billing unit. No dose is calculated."""
    regimen = context.regimen(day0)
    where = "billed by the milligrams charted; given before an admission, may be billed with the stay (payment window)"
    for name in dict.fromkeys(dose.drug for dose in regimen.doses) if regimen else ():
        yield from _drugs(context, "lymphodepletion", name, day0, today, where)


def _reserve(context: EncounterContext, day0: date, today: date) -> Iterator[Cost]:
    """Drugs kept on hand for toxicity: billed only when given, with their administration (G187, G230)."""
    service = Service(
        Stage.INFUSION, day0, False, False, context.infusion_facility, context.record.planned_setting, None
    )
    doses = max((row.minimum for row in layers(context, service) if row.minimum is not None), default=None)
    stock = f"at least {doses} doses on hand" if doses is not None else "kept on hand"
    names = [row.drug for row in context.rules.find(DrugCode, day0) if row.administration == "therapeutic"]
    for name in dict.fromkeys(names):
        yield from _drugs(
            context, "reserve", name, day0, today, f"{stock}; billed only when given, by milligrams charted"
        )


def _drugs(context: EncounterContext, part: Part, name: str, day0: date, today: date, where: str) -> Iterator[Cost]:
    """A drug under its general code, with the codes that depend on the NDC."""
    rows = sorted(context.rules.find(DrugCode, day0, drug=name), key=lambda row: (bool(row.ndc_prefixes), row.id))
    if not rows:
        yield _unknown(part, name, day0, "no billing code on file for this day")
        return
    row, others = rows[0], [other.hcpcs for other in rows[1:]]
    notes = [where, f"or {', '.join(others)}, by the NDC charted" if others else "", row.doubt]
    unit = f"{row.mg_per_unit} mg"
    notes_text = "; ".join(note for note in notes if note)
    yield _drug(context, part, name, row.hcpcs, unit, day0, today, notes_text, _charge(context, name))


def _drug(
    context: EncounterContext,
    part: Part,
    what: str,
    code: str,
    unit: str,
    day0: date,
    today: date,
    where: str,
    charge: Decimal | None,
) -> Cost:
    """A drug with its payment limit; without one, the basis names what is paid instead (G400)."""
    found, on, note = _rows(context, "asp", day0, today, code)
    row = found[0] if found else None
    amount = row.amount if row else None
    why = (
        ""
        if amount is not None
        else "no payment limit of this quarter on file: import the quarterly file; where it lists none, the basis applies (G400)"
    )
    return Cost(
        part=part,
        what=what,
        code=code,
        unit=unit,
        amount=amount,
        charge=charge,
        basis=(row.basis if row else "") or NO_LIMIT,
        on=on,
        assumption="; ".join(filter(None, (where, why, _joined("", note, row) if row else note))),
        rule=row.id if row else None,
        status=row.status if row else None,
    )


def _rows(
    context: EncounterContext, kind: str, day0: date, today: date, code: str | None = None
) -> tuple[tuple[Payment, ...], date, str]:
    """The rows of the planned day; else those of the judged day, with a note."""
    narrow = {"kind": kind} | ({"code": code} if code else {})
    found = context.rules.find(Payment, day0, **narrow)
    if found or day0 == today:
        return found, day0, ""
    earlier = context.rules.find(Payment, today, **narrow)
    if not earlier:
        return (), day0, ""
    return earlier, today, f"of {today.isoformat()}, for orientation: none is on file yet for {day0.isoformat()}"


def _joined(assumption: str, note: str, row: Payment) -> str:
    return "; ".join(part for part in (assumption, note, row.doubt, row.citation) if part)


def _charge(context: EncounterContext, service: str) -> Decimal | None:
    item = context.site.price(service)
    return item.amount if item else None


def _unknown(part: Part, what: str, on: date, why: str) -> Cost:
    return Cost(
        part=part,
        what=what,
        code=None,
        unit="",
        amount=None,
        charge=None,
        basis="",
        on=on,
        assumption=why,
        rule=None,
        status=None,
    )
