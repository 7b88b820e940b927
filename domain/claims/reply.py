"""What a payer answered to one claim: the facts `cart.claim.acknowledged` and `cart.claim.remitted` in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.events import EventData
from domain.events.revenue import Adjustment, ClaimAcknowledged, ClaimRemitted
from domain.facts import Fact, Facts

DENIED = "4"
REVERSAL = "22"
NOT_OURS = "23"
PRICED_ONLY = "25"
"""CLP02 (005010X221A1): denied; a former payment reversed; another payer's claim, forwarded; priced without payment."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `kind` is 999, 277CA or 835; amounts are United States dollars; `status` is CLP02 of an 835.

    `place` is where its sender put it: answers of one file have one time, and stand in the order of their places.
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

    @property
    def order(self) -> tuple[datetime, bool, tuple[str, str], str]:
        """A reversal comes before the correction that its file pairs it with."""
        return (self.at, self.status != REVERSAL, self.place, self.event)


def replies(facts: Facts) -> tuple[Reply, ...]:
    """Every reply among the facts, corrections applied, in the order of their own time."""
    found = [*map(_acknowledged, facts.of(ClaimAcknowledged)), *map(_remitted, facts.of(ClaimRemitted))]
    return tuple(sorted(found, key=lambda reply: reply.order))


def payer_number(heard: Sequence[Reply]) -> str | None:
    """The payer's own number of the claim, as the newest reply that names it says (REF*1K, CLP07)."""
    return next((reply.payer_number for reply in reversed(heard) if reply.payer_number), None)


def is_reply(data: EventData) -> bool:
    return isinstance(data, ClaimAcknowledged | ClaimRemitted)


def _acknowledged(fact: Fact[ClaimAcknowledged]) -> Reply:
    data = fact.data
    return Reply(
        event=fact.event_id,
        control=data.control_number,
        at=fact.time,
        place=(fact.source, fact.id),
        kind=data.kind,
        accepted=data.accepted,
        codes=data.status_codes,
        payer_number=data.payer_claim_number,
    )


def _remitted(fact: Fact[ClaimRemitted]) -> Reply:
    data = fact.data
    owed = sum((a.amount for a in data.adjustments if a.group == "PR"), Decimal(0))
    return Reply(
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
    )
