"""Payer responses to one claim: acknowledgments, remittances and recoupments in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from domain.encounter.facts import Fact, Facts
from domain.events.revenue import Adjustment, ClaimAcknowledged, ClaimRecouped, ClaimRemitted, RemittedLine

RECOUPMENT = "PLB"
DENIED = "4"
REVERSAL = "22"
NOT_OURS = "23"
PRICED_ONLY = "25"
"""CLP02 (005010X221A1): denied; a former payment reversed; another payer's claim, forwarded; priced without payment."""


@dataclass(frozen=True, slots=True)
class PayerResponse:
    """One response. `kind` is 999, 277CA, TA1, 835 or PLB; amounts are United States dollars; `status` is CLP02 of an 835.

    `withheld` is what a PLB took from a transfer for this claim; `trace` names the transfer.

    `place` is its place in the file: responses of one file have one time and are ordered by place.

    `payer` identifies the payer; `crossover` names the payer that a claim was passed on to.
    """

    event: str
    control: str
    at: datetime
    kind: str
    accepted: bool
    codes: tuple[str, ...] = ()
    payer_number: str | None = None
    status: str = ""
    paid: Decimal = Decimal(0)
    patient: Decimal = Decimal(0)
    adjustments: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()
    place: tuple[str, str] = ("", "")
    trace: str = ""
    withheld: Decimal = Decimal(0)
    lines: tuple[RemittedLine, ...] = ()
    drg: str | None = None
    crossover: str | None = None

    @property
    def cause(self) -> str:
        """What is shown of a rejection: the kind of response and its status codes."""
        return " ".join(("by", self.kind, *self.codes))

    @property
    def payer(self) -> str:
        """The payer: the source of its event, which for a remittance file is the payer of TRN03."""
        return self.place[0]

    @property
    def order(self) -> tuple[datetime, str, bool, tuple[str, str], str]:
        """Sort key; a reversal comes before the correction in the same transfer."""
        return (self.at, self.trace, self.status != REVERSAL, self.place, self.event)

    @property
    def adjudication(self) -> tuple[datetime, str]:
        """Parts of a claim in one transfer are one adjudication."""
        return (self.at, self.trace)


RESPONSES = (ClaimAcknowledged, ClaimRemitted, ClaimRecouped)
"""The events of payer responses; each has a `control_number`."""


def responses_of(facts: Facts) -> tuple[PayerResponse, ...]:
    """Every payer response among the facts, corrected and in the order of their own time.

    A recoupment that names the payer claim control number belongs to the claim with that number.
    """
    found = [
        *map(_acknowledged, facts.of(ClaimAcknowledged)),
        *map(_remitted, facts.of(ClaimRemitted)),
        *map(_recouped, facts.of(ClaimRecouped)),
    ]
    ordered = sorted(found, key=lambda response: response.order)
    named = {response.payer_number: response.control for response in ordered if response.payer_number}
    return tuple(
        replace(response, control=named.get(response.control, response.control))
        if response.kind == RECOUPMENT
        else response
        for response in ordered
    )


def payer_number(responses: Sequence[PayerResponse]) -> str | None:
    """The payer's own number of the claim, as the newest response that names it gives it (REF*1K, CLP07)."""
    return next((response.payer_number for response in reversed(responses) if response.payer_number), None)


def _acknowledged(fact: Fact[ClaimAcknowledged]) -> PayerResponse:
    data = fact.data
    return PayerResponse(
        event=fact.event_id,
        control=data.control_number,
        at=fact.time,
        place=(fact.source, fact.id),
        kind=data.kind,
        accepted=data.accepted,
        codes=data.status_codes,
        payer_number=data.payer_claim_number,
    )


def _remitted(fact: Fact[ClaimRemitted]) -> PayerResponse:
    data = fact.data
    owed = sum((a.amount for a in data.adjustments if a.group == "PR"), Decimal(0))
    return PayerResponse(
        event=fact.event_id,
        control=data.control_number,
        at=fact.time,
        place=(fact.source, fact.id),
        kind="835",
        accepted=True,
        payer_number=data.payer_claim_number,
        status=data.status,
        paid=data.paid,
        patient=data.patient_responsibility if data.patient_responsibility is not None else owed,
        adjustments=data.adjustments,
        remarks=data.rarc,
        trace=data.trace_number or "",
        lines=data.lines,
        drg=data.drg,
        crossover=data.crossover,
    )


def _recouped(fact: Fact[ClaimRecouped]) -> PayerResponse:
    data = fact.data
    return PayerResponse(
        event=fact.event_id,
        control=data.control_number,
        at=fact.time,
        place=(fact.source, fact.id),
        kind=RECOUPMENT,
        accepted=True,
        codes=(data.reason,),
        trace=data.trace_number or "",
        withheld=data.amount,
    )
