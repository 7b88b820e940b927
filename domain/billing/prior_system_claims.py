"""Claims that another system sent before a cutover: their services are not billed again, and they keep their numbers.

A service is billed elsewhere when a claim of its letter that was not voided covers its day, at a facility of the same
owner. Where a later stay would include the service, it stays off the claim of the stay, and an edit holds that claim for
a biller's decision (`domain.billing.edits.cutover`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from domain.billing.context import BillingContext
from domain.billing.model import Letter
from domain.billing.services import ClaimServices
from domain.encounter.record import Record, Stay
from domain.events.cutover import BilledElsewhere

Numbered = tuple[int, BilledElsewhere]
"""A claim billed elsewhere with its ordinal among those of its letter."""


def billed_elsewhere(record: Record) -> tuple[Numbered, ...]:
    """The claims of the cutover by letter and day, each with its ordinal; includes voided claims."""
    cutover = record.cutover
    ordered = sorted(cutover.data.billed if cutover else (), key=lambda b: (b.letter, b.statement_from, b.number))
    count: dict[str, int] = {}
    numbered: list[Numbered] = []
    for one in ordered:
        count[one.letter] = count.get(one.letter, 0) + 1
        numbered.append((count[one.letter], one))
    return tuple(numbered)


def without_billed_elsewhere(context: BillingContext, claims: Sequence[ClaimServices]) -> tuple[ClaimServices, ...]:
    """The services of each claim without those billed elsewhere, numbered after the claims of the other system."""
    taken = billed_elsewhere(context.record)
    if not taken:
        return tuple(claims)
    left = [kept for services in claims if (kept := _kept(context, services, [one for _, one in taken])) is not None]
    first = {letter: sum(one.letter == letter for _, one in taken) for letter in ("A", "B", "C", "D")}
    numbered: list[ClaimServices] = []
    for services in left:
        mine = 1 + first[services.letter] + sum(b.letter == services.letter for b in numbered)
        numbered.append(replace(services, ordinal=mine))
    return tuple(numbered)


def _kept(context: BillingContext, services: ClaimServices, taken: Sequence[BilledElsewhere]) -> ClaimServices | None:
    """The services of a claim without those billed elsewhere; None when none are left."""
    if services.stay is not None and _claim_of(
        context, taken, (services.letter,), services.facility, _days(context, services.stay)
    ):
        return None

    def elsewhere(letters: tuple[Letter, ...], facility: str, day: date) -> BilledElsewhere | None:
        return _claim_of(context, taken, letters, facility, (day, day))

    found: list[BilledElsewhere | None] = []

    def own(letters: tuple[Letter, ...], facility: str, day: date) -> bool:
        found.append(elsewhere(letters, facility, day))
        return found[-1] is None

    kept = replace(
        services,
        collections=tuple(
            f
            for f in services.collections
            if own(("A", "C"), f.data.facility, context.day(f.data.started_at, f.data.facility))
        ),
        doses=tuple(
            f
            for f in services.doses
            if own(("B", "C"), f.data.facility, context.day(f.data.started_at, f.data.facility))
        ),
        infusions=tuple(
            i for i in services.infusions if own(("C",), i.facility, context.day(i.started_at, i.facility))
        ),
        medications=tuple(
            f
            for f in services.medications
            if own(
                (services.letter,),
                f.data.facility or services.facility,
                context.day(f.data.at, f.data.facility or services.facility),
            )
        ),
    )
    claims = tuple(dict.fromkeys(one for one in found if one is not None))
    if not claims:
        return services
    if services.stay is None and not (kept.collections or kept.doses or kept.infusions or kept.medications):
        return None
    return replace(kept, elsewhere=claims)


def _claim_of(
    context: BillingContext,
    taken: Sequence[BilledElsewhere],
    letters: tuple[Letter, ...],
    facility: str,
    days: tuple[date, date],
) -> BilledElsewhere | None:
    first, last = days
    for one in taken:
        touches = one.statement_from <= last and first <= one.statement_through
        if (
            one.letter in letters
            and one.state != "voided"
            and touches
            and context.same_owner_group(one.facility, facility)
        ):
            return one
    return None


def _days(context: BillingContext, stay: Stay) -> tuple[date, date]:
    return context.admitted_on(stay), context.discharged_on(stay) or date.max


__all__ = ["Numbered", "billed_elsewhere", "without_billed_elsewhere"]
