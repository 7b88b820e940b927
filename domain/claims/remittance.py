"""The money of a claim's remittances together: what was paid, refused, taken back, and by which reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from domain.claims.reply import DENIED, NOT_OURS, PRICED_ONLY, RECOUPMENT, REVERSAL, Reply
from domain.events.revenue import Adjustment
from domain.rulebook import Rulebook
from domain.rulebook.rows import AdjustmentReason

REFUSED_WHOLLY = frozenset({DENIED, NOT_OURS})
PATIENT = "PR"
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Remittance:
    """Amounts in United States dollars over all remittances of one version of a claim.

    Attributes:
        allowed: paid, what the patient owes, and reductions that are no underpayment (sequestration).
        refused: adjusted for reasons that are neither the contract's nor the patient's.
        denied: the newest adjudication denies the claim as a whole, in every part where it was split.
        taken_back: a payment was reversed and nothing at least as high has come since.
        withheld: taken from other transfers for this claim and not given back; a reversal says the same money, so that it
            counts only where none stands.
        allowed_lines: by procedure code, what `allowed` is of its service lines, where the remittance lists lines.
        drg: the group the payer paid by, as its newest adjudication says.
        refused_lines: what each service line was refused, in words for the biller.
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
    first: datetime | None = None
    last: datetime | None = None
    events: tuple[str, ...] = ()


def remittance_of(heard: Sequence[Reply], rules: Rulebook, on: date) -> Remittance:
    """Add the remittances up.

    A reversal cancels what stood before it with its own negative amounts, so adjustments are read from those that came
    after the newest reversal, and a denial counts only while no later adjudication follows it; what was paid is the sum of
    all. Parts of one moment are one adjudication: payers split a claim under one control number. A predetermination pays
    nothing and settles nothing.

    Args:
        heard: the replies in the order of their own time.
        on: the day for which the reasons' meanings are looked up.
    """
    every = [reply for reply in heard if reply.kind == "835" and reply.status != PRICED_ONLY]
    recouped = [reply for reply in heard if reply.kind == RECOUPMENT]
    withheld = sum((reply.withheld for reply in recouped), _NONE)
    if not every:
        return Remittance(withheld=withheld, last=recouped[-1].at if recouped else None, events=_events(recouped))
    reversals = [number for number, reply in enumerate(every) if reply.status == REVERSAL]
    current = _standing(every[reversals[-1] + 1 :] if reversals else every)
    paid = sum((reply.paid for reply in every), _NONE)
    patient = sum((reply.patient for reply in current), _NONE)
    by_meaning = _by_meaning(current, rules, on)
    refused = by_meaning.get("refused", ())
    before = max((sum((r.paid for r in every[:number]), _NONE) for number in reversals), default=_NONE)
    return Remittance(
        count=len(every),
        paid=paid,
        patient=patient,
        allowed=paid + patient + _sum(by_meaning.get("reduction", ())),
        refused=_sum(refused),
        refused_reasons=frozenset(adjustment.carc for adjustment in refused),
        remarks=frozenset(remark for reply in current for remark in reply.remarks),
        denied=bool(current)
        and all(r.status in REFUSED_WHOLLY for r in current if r.adjudication == current[-1].adjudication),
        taken_back=bool(reversals) and paid < before,
        withheld=_NONE if reversals else withheld,
        allowed_lines=tuple(sorted(_allowed_lines(current, rules, on).items())),
        drg=next((reply.drg for reply in reversed(current) if reply.drg), None),
        refused_lines=tuple(_refused_lines(current, rules, on)),
        first=every[0].at,
        last=every[-1].at,
        events=_events(every if reversals else [*every, *recouped]),
    )


def _events(heard: Sequence[Reply]) -> tuple[str, ...]:
    return tuple(reply.event for reply in heard)


def _allowed_lines(current: Sequence[Reply], rules: Rulebook, on: date) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in (line for reply in current for line in reply.lines if line.hcpcs):
        owed = [a for a in line.adjustments if _meaning(a, rules, on) in ("patient", "reduction")]
        found[line.hcpcs or ""] = found.get(line.hcpcs or "", _NONE) + line.paid + _sum(owed)
    return found


def _refused_lines(current: Sequence[Reply], rules: Rulebook, on: date) -> Iterator[str]:
    for reply in current:
        for line in reply.lines:
            refused = [a for a in line.adjustments if _meaning(a, rules, on) == "refused"]
            if refused:
                reasons = ", ".join(dict.fromkeys(adjustment.carc for adjustment in refused))
                yield f"{line.hcpcs or line.revenue_code or 'a line'}: {_sum(refused):.2f} (CARC {reasons})"


def _standing(judged: Sequence[Reply]) -> list[Reply]:
    """Without denials that a later adjudication took the place of: nothing was paid, so nothing is reversed."""
    newest = judged[-1].adjudication if judged else None
    return [reply for reply in judged if reply.status not in REFUSED_WHOLLY or reply.adjudication == newest]


def _by_meaning(current: Sequence[Reply], rules: Rulebook, on: date) -> dict[str, tuple[Adjustment, ...]]:
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
