"""The expected payment of a claim where public amounts exist; for the underpayment check only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.billing.model import Claim
from domain.rulebook import Rulebook
from domain.rulebook.rows import Payer, Payment
from domain.site import Site

FEE_FOR_SERVICE = "medicare_ffs"
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Expected:
    """An amount in United States dollars, before the patient's share, and the rows it comes from.

    `lines`: the part of each service line by its code, where the amount is the sum of lines.
    """

    amount: Decimal
    basis: str
    rules: tuple[str, ...]
    lines: tuple[tuple[str, Decimal], ...] = ()


def expected(claim: Claim, rules: Rulebook, site: Site) -> Expected | None:
    """The least a Medicare claim should pay: group weight times the hospital's base rate, or the limits of its drugs.

    None where no public amount holds: other payers pay by contract, a facility without a base rate has no amount for a
    stay, a drug without a limit for the quarter has none. Adjustments for outliers, teaching and wages are not included.
    """
    payer = rules.maybe(Payer, claim.statement_through, key=claim.payer)
    if payer is None or payer.payer_class != FEE_FOR_SERVICE:
        return None
    return _stay(claim, rules, site) if claim.setting == "inpatient" else _drugs(claim, rules)


def _stay(claim: Claim, rules: Rulebook, site: Site) -> Expected | None:
    facility = site.facility(claim.facility)
    row = rules.maybe(Payment, claim.statement_through, kind="drg", code=claim.drg) if claim.drg else None
    if facility is None or facility.drg_base_rate is None or row is None or row.weight is None:
        return None
    return Expected((row.weight * facility.drg_base_rate).quantize(_CENT), "group weight × base rate", (row.id,))


def _drugs(claim: Claim, rules: Rulebook) -> Expected | None:
    found = []
    for line in claim.lines:
        row = rules.maybe(Payment, line.date_of_service, kind="asp", code=line.hcpcs) if line.hcpcs else None
        if row is not None and row.amount is not None:
            found.append((line.hcpcs or "", (row.amount * line.units).quantize(_CENT), row.id))
    if not found:
        return None
    amount = sum((amount for _, amount, _ in found), Decimal(0))
    lines = tuple((code, amount) for code, amount, _ in found)
    return Expected(amount, "payment limit × units", tuple(row for _, _, row in found), lines)
