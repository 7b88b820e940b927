"""The remittances of a claim combined: what was paid, refused, recouped, and for which reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from domain.billing.submission.payer_order import FIRST, FORWARDED, level_of, of_first, of_secondary
from domain.billing.submission.responses import DENIED, NOT_OURS, PRICED_ONLY, RECOUPMENT, REVERSAL, PayerResponse
from domain.events.revenue import Adjustment
from domain.rulebook import Rulebook
from domain.rulebook.rows import AdjustmentReason

REFUSED_WHOLLY = frozenset({DENIED, NOT_OURS})
PATIENT = "PR"
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Remittance:
    """Amounts in United States dollars over all remittances of one version of a claim.

    All but the last four are of one payer: the one that adjudicated first.

    Attributes:
        kept: paid and neither reversed nor withheld from another transfer.
        allowed: paid, what the patient owes, and reductions that are not underpayments (sequestration).
        refused: adjusted for reasons other than the contract and the patient's share.
        denied: the newest adjudication denies the whole claim, in every part where it was split.
        taken_back: a payment was reversed and nothing at least as high has come since.
        withheld: recouped from other transfers and not repaid; a reversal reports the same amount, so this counts only
            where there is no reversal.
        allowed_lines: by procedure code, what `allowed` is of its service lines, where the remittance lists lines.
        drg: the MS-DRG that the payer paid, by its newest adjudication.
        refused_lines: what each service line was refused, in words for the biller.
        refused_codes: the procedure codes of those lines; empty where something was refused that names no line.
        settled: the payer owes nothing more; the patient or other payers owe the rest.
        as_secondary: the payer reports that another payer is primary.
        forwarded: its newest adjudication was passed on to secondary payers; `crossover` lists those it names.
        secondary: the remittances of secondary payers; None while none responded.
    """

    count: int = 0
    paid: Decimal = _NONE
    patient: Decimal = _NONE
    allowed: Decimal = _NONE
    refused: Decimal = _NONE
    refused_reasons: frozenset[str] = frozenset()
    remarks: frozenset[str] = frozenset()
    denied: bool = False
    taken_back: bool = False
    withheld: Decimal = _NONE
    allowed_lines: tuple[tuple[str, Decimal], ...] = ()
    drg: str | None = None
    refused_lines: tuple[str, ...] = ()
    refused_codes: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    events: tuple[str, ...] = ()
    settled: bool = False
    as_secondary: bool = False
    forwarded: bool = False
    crossover: tuple[str, ...] = ()
    secondary: Remittance | None = None

    @property
    def kept(self) -> Decimal:
        return self.paid - self.withheld

    @property
    def balance(self) -> Decimal:
        """What the patient owes after the last payer."""
        counts = self.secondary is not None and self.secondary.count and not self.secondary.taken_back
        return self.secondary.balance if self.secondary and counts else self.patient

    @property
    def paid_by_further(self) -> Decimal:
        return self.secondary.kept + self.secondary.paid_by_further if self.secondary else _NONE


def remittance_of(responses: Sequence[PayerResponse], rules: Rulebook, on: date) -> Remittance:
    """Combine the remittances of the primary payer, and separately those of secondary payers.

    A reversal repeats earlier amounts with the opposite sign. So adjustments are read after the newest reversal, and the
    payment is the sum of all. A denial counts only until a later adjudication. Parts with one time are one adjudication,
    since payers split a claim under one control number. A predetermination does not count.

    Args:
        responses: in the order of their own time.
        on: the day for which the reasons' meanings are looked up.
    """
    first = _of_one_payer(of_first(responses), rules, on)
    if not first.count:
        return first
    later = of_secondary(responses)
    secondary = remittance_of(later, rules, on) if later else None
    return replace(first, as_secondary=level_of(responses) > FIRST, secondary=secondary)


def _of_one_payer(responses: Sequence[PayerResponse], rules: Rulebook, on: date) -> Remittance:
    every = [response for response in responses if response.kind == "835" and response.status != PRICED_ONLY]
    recouped = [response for response in responses if response.kind == RECOUPMENT]
    if not every:
        withheld = sum((response.withheld for response in recouped), _NONE)
        return Remittance(withheld=withheld, last=recouped[-1].at if recouped else None, events=_events(recouped))
    reversals = [number for number, response in enumerate(every) if response.status == REVERSAL]
    current = _in_effect(every[reversals[-1] + 1 :] if reversals else every)
    paid = sum((response.paid for response in every), _NONE)
    patient = sum((response.patient for response in current), _NONE)
    by_meaning = _by_meaning(current, rules, on)
    refused = by_meaning.get("refused", ())
    kept_back = [] if reversals else recouped
    withheld = sum((response.withheld for response in kept_back), _NONE)
    before = max((sum((r.paid for r in every[:number]), _NONE) for number in reversals), default=_NONE)
    denied = bool(current) and all(
        r.status in REFUSED_WHOLLY for r in current if r.adjudication == current[-1].adjudication
    )
    taken_back = bool(reversals) and paid < before
    owed_by_others = patient > 0 or bool(by_meaning.get("prior_payer"))
    return Remittance(
        count=len(every),
        paid=paid,
        patient=patient,
        allowed=paid + patient + _sum(by_meaning.get("reduction", ())),
        refused=_sum(refused),
        refused_reasons=frozenset(adjustment.carc for adjustment in refused),
        remarks=frozenset(remark for response in current for remark in response.remarks),
        denied=denied,
        taken_back=taken_back,
        withheld=withheld,
        allowed_lines=tuple(sorted(_allowed_lines(current, rules, on).items())),
        drg=next((response.drg for response in reversed(current) if response.drg), None),
        refused_lines=tuple(_refused_lines(current, rules, on)),
        refused_codes=_refused_codes(current, rules, on, _sum(refused)),
        first=every[0].at,
        last=max(response.at for response in (every[-1], *kept_back)),
        events=_events([*every, *kept_back]),
        settled=owed_by_others and not (denied or taken_back or refused or withheld > 0),
        forwarded=any(r.status in FORWARDED for r in current),
        crossover=tuple(dict.fromkeys(r.crossover for r in current if r.crossover)),
    )


def _events(responses: Sequence[PayerResponse]) -> tuple[str, ...]:
    return tuple(response.event for response in responses)


def _allowed_lines(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in (line for response in current for line in response.lines if line.hcpcs):
        owed = [a for a in line.adjustments if _meaning(a, rules, on) in ("patient", "reduction")]
        found[line.hcpcs or ""] = found.get(line.hcpcs or "", _NONE) + line.paid + _sum(owed)
    return found


def _refused_lines(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> Iterator[str]:
    for response in current:
        for line in response.lines:
            refused = [a for a in line.adjustments if _meaning(a, rules, on) == "refused"]
            if refused:
                reasons = ", ".join(dict.fromkeys(adjustment.carc for adjustment in refused))
                yield f"{line.hcpcs or line.revenue_code or 'a line'}: {_sum(refused):.2f} (CARC {reasons})"


def _refused_codes(current: Sequence[PayerResponse], rules: Rulebook, on: date, refused: Decimal) -> tuple[str, ...]:
    found: dict[str, Decimal] = {}
    for line in (line for response in current for line in response.lines):
        amount = _sum([a for a in line.adjustments if _meaning(a, rules, on) == "refused"])
        if amount:
            found[line.hcpcs or ""] = found.get(line.hcpcs or "", _NONE) + amount
    return tuple(sorted(found)) if sum(found.values(), _NONE) == refused and "" not in found else ()


def _in_effect(judged: Sequence[PayerResponse]) -> list[PayerResponse]:
    """The adjudications without denials that a later one replaced; a denial pays nothing, so nothing is reversed."""
    newest = judged[-1].adjudication if judged else None
    return [response for response in judged if response.status not in REFUSED_WHOLLY or response.adjudication == newest]


def _by_meaning(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> dict[str, tuple[Adjustment, ...]]:
    """Adjustments by what their reason means; a reason without a row counts as refused."""
    found: dict[str, tuple[Adjustment, ...]] = {}
    for response in current:
        for adjustment in response.adjustments:
            meaning = _meaning(adjustment, rules, on)
            found[meaning] = (*found.get(meaning, ()), adjustment)
    return found


def _meaning(adjustment: Adjustment, rules: Rulebook, on: date) -> str:
    row = rules.maybe(AdjustmentReason, on, carc=adjustment.carc)
    return "patient" if adjustment.group == PATIENT else row.meaning if row else "refused"


def _sum(adjustments: Sequence[Adjustment]) -> Decimal:
    return sum((adjustment.amount for adjustment in adjustments), _NONE)
