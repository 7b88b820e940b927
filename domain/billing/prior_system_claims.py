"""What another system billed before a cutover: its services are billed nowhere again, and its claims keep their numbers.

A service is billed elsewhere when a claim of its letter that was not voided holds its day, at a facility of the same
house. Where a later stay would have taken it in, it stays out of the stay's claim, which holds until somebody decides
(`domain.billing.edits.cutover`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from domain.billing.context import Desk
from domain.billing.model import Letter
from domain.billing.services import Bundle
from domain.encounter.record import Record, Stay
from domain.events.cutover import BilledElsewhere

Numbered = tuple[int, BilledElsewhere]
"""A claim billed elsewhere with its ordinal among those of its letter."""


def billed_elsewhere(record: Record) -> tuple[Numbered, ...]:
    """The claims of the cutover in order of letter and day, each with its ordinal; voided ones, too."""
    cutover = record.cutover
    ordered = sorted(cutover.data.billed if cutover else (), key=lambda b: (b.letter, b.statement_from, b.number))
    count: dict[str, int] = {}
    numbered: list[Numbered] = []
    for one in ordered:
        count[one.letter] = count.get(one.letter, 0) + 1
        numbered.append((count[one.letter], one))
    return tuple(numbered)


def settle(desk: Desk, bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
    """The bundles without what is billed elsewhere, numbered behind the claims that are."""
    taken = billed_elsewhere(desk.record)
    if not taken:
        return tuple(bundles)
    left = [kept for bundle in bundles if (kept := _kept(desk, bundle, [one for _, one in taken])) is not None]
    first = {letter: sum(one.letter == letter for _, one in taken) for letter in ("A", "B", "C", "D")}
    numbered: list[Bundle] = []
    for bundle in left:
        mine = 1 + first[bundle.letter] + sum(b.letter == bundle.letter for b in numbered)
        numbered.append(replace(bundle, ordinal=mine))
    return tuple(numbered)


def _kept(desk: Desk, bundle: Bundle, taken: Sequence[BilledElsewhere]) -> Bundle | None:
    """The bundle without services that a claim elsewhere bills; None when nothing is left of it."""
    if bundle.stay is not None and _claim_of(desk, taken, (bundle.letter,), bundle.facility, _days(desk, bundle.stay)):
        return None

    def elsewhere(letters: tuple[Letter, ...], facility: str, day: date) -> BilledElsewhere | None:
        return _claim_of(desk, taken, letters, facility, (day, day))

    found: list[BilledElsewhere | None] = []

    def own(letters: tuple[Letter, ...], facility: str, day: date) -> bool:
        found.append(elsewhere(letters, facility, day))
        return found[-1] is None

    kept = replace(
        bundle,
        collections=tuple(
            f
            for f in bundle.collections
            if own(("A", "C"), f.data.facility, desk.day(f.data.started_at, f.data.facility))
        ),
        doses=tuple(
            f for f in bundle.doses if own(("B", "C"), f.data.facility, desk.day(f.data.started_at, f.data.facility))
        ),
        infusions=tuple(i for i in bundle.infusions if own(("C",), i.facility, desk.day(i.started_at, i.facility))),
        medications=tuple(
            f
            for f in bundle.medications
            if own(
                (bundle.letter,),
                f.data.facility or bundle.facility,
                desk.day(f.data.at, f.data.facility or bundle.facility),
            )
        ),
    )
    claims = tuple(dict.fromkeys(one for one in found if one is not None))
    if not claims:
        return bundle
    if bundle.stay is None and not (kept.collections or kept.doses or kept.infusions or kept.medications):
        return None
    return replace(kept, elsewhere=claims)


def _claim_of(
    desk: Desk, taken: Sequence[BilledElsewhere], letters: tuple[Letter, ...], facility: str, days: tuple[date, date]
) -> BilledElsewhere | None:
    first, last = days
    for one in taken:
        touches = one.statement_from <= last and first <= one.statement_through
        if one.letter in letters and one.state != "voided" and touches and desk.same_house(one.facility, facility):
            return one
    return None


def _days(desk: Desk, stay: Stay) -> tuple[date, date]:
    return desk.admitted_on(stay), desk.discharged_on(stay) or date.max


__all__ = ["Numbered", "billed_elsewhere", "settle"]
