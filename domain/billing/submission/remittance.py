"""The money of a claim's remittances together: what was paid, refused, taken back, and by which reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from domain.billing.submission.payer_order import FIRST, FORWARDED, level_of, of_first, of_further
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

    Except for the last four they are those of one payer: the one that adjudicated before every other.

    Attributes:
        kept: paid and neither reversed nor withheld from another transfer.
        allowed: paid, what the patient owes, and reductions that are no underpayment (sequestration).
        refused: adjusted for reasons that are neither the contract's nor the patient's.
        denied: the newest adjudication denies the claim as a whole, in every part where it was split.
        taken_back: a payment was reversed and nothing at least as high has come since.
        withheld: taken from other transfers for this claim and not given back; a reversal says the same money, so that it
            counts only where none stands.
        allowed_lines: by procedure code, what `allowed` is of its service lines, where the remittance lists lines.
        drg: the group the payer paid by, as its newest adjudication says.
        refused_lines: what each service line was refused, in words for the biller.
        refused_codes: the procedure codes of those lines; empty where something was refused that names no line.
        settled: nothing is left to pay, for the patient or other payers owe what was not paid.
        as_further: the payer says that another one comes before it.
        forwarded: its newest adjudication was passed on to further payers; `crossover` names those that it names.
        further: what payers after it came to; None while none of them answered.
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
    as_further: bool = False
    forwarded: bool = False
    crossover: tuple[str, ...] = ()
    further: Remittance | None = None

    @property
    def kept(self) -> Decimal:
        return self.paid - self.withheld

    @property
    def balance(self) -> Decimal:
        """What the last payer left to the patient."""
        counts = self.further is not None and self.further.count and not self.further.taken_back
        return self.further.balance if self.further and counts else self.patient

    @property
    def paid_by_further(self) -> Decimal:
        return self.further.kept + self.further.paid_by_further if self.further else _NONE


def remittance_of(heard: Sequence[PayerResponse], rules: Rulebook, on: date) -> Remittance:
    """Add the remittances up: those of the payer that came first, and beside them those of further payers.

    A reversal cancels what stood before it with its own negative amounts, so adjustments are read from those that came
    after the newest reversal, and a denial counts only while no later adjudication follows it; what was paid is the sum of
    all. Parts of one moment are one adjudication: payers split a claim under one control number. A predetermination pays
    nothing and settles nothing.

    Args:
        heard: the replies in the order of their own time.
        on: the day for which the reasons' meanings are looked up.
    """
    first = _of_one_payer(of_first(heard), rules, on)
    if not first.count:
        return first
    behind = of_further(heard)
    further = remittance_of(behind, rules, on) if behind else None
    return replace(first, as_further=level_of(heard) > FIRST, further=further)


def _of_one_payer(heard: Sequence[PayerResponse], rules: Rulebook, on: date) -> Remittance:
    every = [reply for reply in heard if reply.kind == "835" and reply.status != PRICED_ONLY]
    recouped = [reply for reply in heard if reply.kind == RECOUPMENT]
    if not every:
        withheld = sum((reply.withheld for reply in recouped), _NONE)
        return Remittance(withheld=withheld, last=recouped[-1].at if recouped else None, events=_events(recouped))
    reversals = [number for number, reply in enumerate(every) if reply.status == REVERSAL]
    current = _standing(every[reversals[-1] + 1 :] if reversals else every)
    paid = sum((reply.paid for reply in every), _NONE)
    patient = sum((reply.patient for reply in current), _NONE)
    by_meaning = _by_meaning(current, rules, on)
    refused = by_meaning.get("refused", ())
    kept_back = [] if reversals else recouped
    withheld = sum((reply.withheld for reply in kept_back), _NONE)
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
        remarks=frozenset(remark for reply in current for remark in reply.remarks),
        denied=denied,
        taken_back=taken_back,
        withheld=withheld,
        allowed_lines=tuple(sorted(_allowed_lines(current, rules, on).items())),
        drg=next((reply.drg for reply in reversed(current) if reply.drg), None),
        refused_lines=tuple(_refused_lines(current, rules, on)),
        refused_codes=_refused_codes(current, rules, on, _sum(refused)),
        first=every[0].at,
        last=max(reply.at for reply in (every[-1], *kept_back)),
        events=_events([*every, *kept_back]),
        settled=owed_by_others and not (denied or taken_back or refused or withheld > 0),
        forwarded=any(r.status in FORWARDED for r in current),
        crossover=tuple(dict.fromkeys(r.crossover for r in current if r.crossover)),
    )


def _events(heard: Sequence[PayerResponse]) -> tuple[str, ...]:
    return tuple(reply.event for reply in heard)


def _allowed_lines(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in (line for reply in current for line in reply.lines if line.hcpcs):
        owed = [a for a in line.adjustments if _meaning(a, rules, on) in ("patient", "reduction")]
        found[line.hcpcs or ""] = found.get(line.hcpcs or "", _NONE) + line.paid + _sum(owed)
    return found


def _refused_lines(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> Iterator[str]:
    for reply in current:
        for line in reply.lines:
            refused = [a for a in line.adjustments if _meaning(a, rules, on) == "refused"]
            if refused:
                reasons = ", ".join(dict.fromkeys(adjustment.carc for adjustment in refused))
                yield f"{line.hcpcs or line.revenue_code or 'a line'}: {_sum(refused):.2f} (CARC {reasons})"


def _refused_codes(current: Sequence[PayerResponse], rules: Rulebook, on: date, refused: Decimal) -> tuple[str, ...]:
    found: dict[str, Decimal] = {}
    for line in (line for reply in current for line in reply.lines):
        amount = _sum([a for a in line.adjustments if _meaning(a, rules, on) == "refused"])
        if amount:
            found[line.hcpcs or ""] = found.get(line.hcpcs or "", _NONE) + amount
    return tuple(sorted(found)) if sum(found.values(), _NONE) == refused and "" not in found else ()


def _standing(judged: Sequence[PayerResponse]) -> list[PayerResponse]:
    """Without denials that a later adjudication took the place of: nothing was paid, so nothing is reversed."""
    newest = judged[-1].adjudication if judged else None
    return [reply for reply in judged if reply.status not in REFUSED_WHOLLY or reply.adjudication == newest]


def _by_meaning(current: Sequence[PayerResponse], rules: Rulebook, on: date) -> dict[str, tuple[Adjustment, ...]]:
    """Adjustments by what their reason means; a reason the rulebook does not know counts as refused."""
    found: dict[str, tuple[Adjustment, ...]] = {}
    for reply in current:
        for adjustment in reply.adjustments:
            meaning = _meaning(adjustment, rules, on)
            found[meaning] = (*found.get(meaning, ()), adjustment)
    return found


def _meaning(adjustment: Adjustment, rules: Rulebook, on: date) -> str:
    row = rules.maybe(AdjustmentReason, on, carc=adjustment.carc)
    return "patient" if adjustment.group == PATIENT else row.meaning if row else "refused"


def _sum(adjustments: Sequence[Adjustment]) -> Decimal:
    return sum((adjustment.amount for adjustment in adjustments), _NONE)
