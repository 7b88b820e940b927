"""Preflight: a referral in, the gates' answer out, before anything is scheduled or stored.

Plans and amounts are reminders for people. Every assumption behind a date or an amount is named.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from domain.decide import decide
from domain.decision import Enforcement, Requirement
from domain.events.access import ReferralReceived
from domain.events.base import EventData, Setting, Stage
from domain.facts import Fact, fold
from domain.rulebook import Rulebook
from domain.rulebook.rows import (
    ANY,
    Assistance,
    Checklist,
    Denial,
    DrugCode,
    Indication,
    Payer,
    Payment,
    Product,
    Regimen,
    Window,
)
from domain.site import Site

PREFLIGHT_EVENT = "preflight"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Missing(_Answer):
    """One unmet requirement of a gate."""

    requirement: str
    gate: str
    enforcement: str
    owner: str
    missing: str
    fix: str
    citation: str
    denial: int | None


class RiskedDenial(_Answer):
    """One of the twelve denials that the missing things invite."""

    number: int
    title: str
    fix: str


class Paper(_Answer):
    """One paper of the authorization checklist and whether the referral brings it."""

    number: int
    title: str
    present: bool


class PlannedDate(_Answer):
    """A planned day, or the first and last of several."""

    what: str
    first: date
    last: date
    assumption: str


class Help(_Answer):
    """An assistance programme that the coverage may use."""

    title: str
    condition: str
    check: str


class Cost(_Answer):
    """One part of the cost stack in United States dollars; None where no amount is on file."""

    what: str
    amount: Decimal | None
    assumption: str


class Preflight(_Answer):
    """The whole answer. `cleared` says that nothing which holds is missing for the apheresis gate today."""

    cleared: bool
    product: str
    indication: str
    payer: str
    judged_for: date
    missing: tuple[Missing, ...]
    denials: tuple[RiskedDenial, ...]
    papers: tuple[Paper, ...]
    dates: tuple[PlannedDate, ...]
    assistance: tuple[Help, ...]
    costs: tuple[Cost, ...]
    advisories: tuple[str, ...]
    rulebook_digest: str


def preflight(
    referral: ReferralReceived, site: Site, rules: Rulebook, now: datetime, holders: tuple[Fact[EventData], ...] = ()
) -> Preflight:
    """Judge a referral as if it had just arrived. `now` also stands for the day of collection, which nobody booked yet."""
    fact = Fact(PREFLIGHT_EVENT, PREFLIGHT_EVENT, PREFLIGHT_EVENT, now, now, referral)
    decision = decide(fold([fact]), site, rules, now, holders)
    gate = next(gate for gate in decision.gates if gate.stage is Stage.APHERESIS)
    today = gate.on
    unmet = gate.unmet
    return Preflight(
        cleared=gate.open,
        product=decision.product,
        indication=referral.indication,
        payer=decision.payer,
        judged_for=today,
        missing=tuple(_missing(requirement) for requirement in unmet),
        denials=_denials(unmet, rules, today),
        papers=_papers(referral, rules, today),
        dates=_dates(referral, rules, today),
        assistance=_assistance(referral, rules, today),
        costs=_costs(referral, rules, today),
        advisories=decision.advisories,
        rulebook_digest=decision.rulebook_digest,
    )


def _missing(requirement: Requirement) -> Missing:
    return Missing(
        requirement=requirement.key,
        gate=Stage.APHERESIS.value,
        enforcement=requirement.enforcement.value,
        owner=requirement.owner,
        missing=requirement.missing,
        fix=requirement.fix,
        citation=requirement.citation,
        denial=requirement.denial,
    )


def _denials(unmet: tuple[Requirement, ...], rules: Rulebook, on: date) -> tuple[RiskedDenial, ...]:
    numbers = sorted({r.denial for r in unmet if r.denial is not None and r.enforcement is Enforcement.HOLD})
    rows = [rules.maybe(Denial, on, number=number) for number in numbers]
    return tuple(RiskedDenial(number=row.number, title=row.title, fix=row.fix) for row in rows if row)


def _papers(referral: ReferralReceived, rules: Rulebook, on: date) -> tuple[Paper, ...]:
    """The checklist of G371-381; a paper is present when one of its evidence kinds is in the referral."""
    kinds = {getattr(paper, "kind", "") for paper in referral.evidence}
    if referral.prior_therapies:
        kinds.add("prior_therapy_log")
    rows = [row for row in rules.find(Checklist, on) if row.indication in (ANY, referral.indication)]
    return tuple(
        Paper(number=row.number, title=row.title, present=bool(kinds & set(row.evidence)))
        for row in sorted(rows, key=lambda row: row.number)
    )


def _dates(referral: ReferralReceived, rules: Rulebook, on: date) -> tuple[PlannedDate, ...]:
    """Collection, release, lymphodepletion, day 0 and monitoring, if collection were on the judged day."""
    product = rules.maybe(Product, on, key=referral.product)
    indication = rules.maybe(Indication, on, product=referral.product, key=referral.indication)
    if product is None or product.vein_to_vein_days is None or indication is None:
        return ()
    shortest, longest = product.vein_to_vein_days
    release = PlannedDate(
        what="expected release",
        first=on + timedelta(days=shortest),
        last=on + timedelta(days=longest),
        assumption=f"the product's window of {shortest}-{longest} days from collection ({product.citation})",
    )
    found = [PlannedDate(what="collection", first=on, last=on, assumption="collection on the judged day"), release]
    regimen = rules.maybe(Regimen, on, key=indication.regimen) if indication.regimen else None
    days = sorted({day for dose in regimen.doses for day in dose.days}) if regimen else [0]
    zero = release.last - timedelta(days=days[0])
    if regimen:
        found.append(
            PlannedDate(
                what="lymphodepletion",
                first=zero + timedelta(days=days[0]),
                last=zero + timedelta(days=days[-1]),
                assumption=f"starts on the last day of the release window; days {days[0]} to {days[-1]} ({regimen.citation})",
            )
        )
    found.append(PlannedDate(what="infusion (day 0)", first=zero, last=zero, assumption="follows lymphodepletion"))
    return (*found, *_monitoring(referral, rules, zero))


def _monitoring(referral: ReferralReceived, rules: Rulebook, zero: date) -> list[PlannedDate]:
    found = []
    for key, what in (("monitoring_daily", "daily monitoring"), ("monitoring_total", "stay near the centre")):
        rows = rules.find(Window, zero, key=key, product=referral.product, indication=referral.indication)
        if rows and rows[0].days:
            last = zero + timedelta(days=rows[0].days)
            found.append(PlannedDate(what=what, first=zero + timedelta(days=1), last=last, assumption=rows[0].citation))
    return found


def _assistance(referral: ReferralReceived, rules: Rulebook, on: date) -> tuple[Help, ...]:
    payer = rules.maybe(Payer, on, key=referral.coverage.payer)
    mine = payer.payer_class if payer else ""
    rows = [row for row in rules.find(Assistance, on) if mine in row.payer_classes or ANY in row.payer_classes]
    return tuple(Help(title=row.title, condition=row.condition, check=row.check) for row in rows)


def _costs(referral: ReferralReceived, rules: Rulebook, on: date) -> tuple[Cost, ...]:
    product = rules.maybe(Product, on, key=referral.product)
    if product is None:
        return ()
    limit = rules.maybe(Payment, on, kind="asp", code=product.hcpcs)
    drug = Cost(
        what=f"product {product.hcpcs}, {product.claim_units} unit",
        amount=limit.amount if limit else None,
        assumption=f"Medicare payment limit of the quarter ({limit.citation})"
        if limit
        else "no payment limit on file for this quarter: invoice + 6 % or wholesale acquisition cost is the basis (G400)",
    )
    return (drug, _stay(referral, rules, on), *_lymphodepletion(referral, rules, on))


def _stay(referral: ReferralReceived, rules: Rulebook, on: date) -> Cost:
    inpatient = referral.planned_setting is Setting.INPATIENT
    rows = sorted(rules.find(Payment, on, kind="drg" if inpatient else "apc"), key=lambda row: -(row.weight or 0))
    if not rows:
        return Cost(what="stay", amount=None, assumption="no group or rate on file for this date")
    row = rows[0]
    weight = (
        f"relative weight {row.weight} times the hospital's own base rate" if row.weight else "rate of the current rule"
    )
    name = f"MS-DRG {row.code}" if inpatient else f"APC {row.code}"
    included = "; the product is inside it" if inpatient else "; the product is paid beside it"
    return Cost(what=name, amount=row.amount, assumption=f"{weight}{included} ({row.citation})")


def _lymphodepletion(referral: ReferralReceived, rules: Rulebook, on: date) -> list[Cost]:
    """The drugs the label's regimen names, with their limits per unit. No dose is worked out."""
    indication = rules.maybe(Indication, on, product=referral.product, key=referral.indication)
    regimen = rules.maybe(Regimen, on, key=indication.regimen) if indication and indication.regimen else None
    names = [dose.drug for dose in regimen.doses] if regimen else []
    costs = []
    for name in (*dict.fromkeys(names), *_reserve_drugs(rules, on)):
        codes = rules.find(DrugCode, on, drug=name)
        limit = rules.maybe(Payment, on, kind="asp", code=codes[0].hcpcs) if codes else None
        costs.append(
            Cost(
                what=f"{name}, per billing unit",
                amount=limit.amount if limit else None,
                assumption="by milligrams documented when given" + ("" if limit else "; no payment limit on file"),
            )
        )
    return costs


def _reserve_drugs(rules: Rulebook, on: date) -> tuple[str, ...]:
    """Drugs given for toxicity: they are billed by their own administration, not as chemotherapy (G230)."""
    return tuple(dict.fromkeys(row.drug for row in rules.find(DrugCode, on) if row.administration == "therapeutic"))
