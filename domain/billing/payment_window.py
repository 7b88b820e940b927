"""What folding did, in words for the biller: which services a claim took in and which of its course stand elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from domain.billing.context import Desk
from domain.billing.services import Bundle


def explain(desk: Desk, bundle: Bundle, every: Sequence[Bundle]) -> tuple[str, ...]:
    """The sentences that say why services stand on this claim, or on another one."""
    if bundle.stay:
        return (*_taken_in(desk, bundle), *_not_taken_in(desk, bundle))
    return (*_carried_elsewhere(desk, bundle, every), *_attested(bundle))


def _taken_in(desk: Desk, bundle: Bundle) -> tuple[str, ...]:
    stay = bundle.stay
    assert stay is not None
    admitted = desk.admitted_on(stay)
    told: list[str] = []
    for what, moments in _services(bundle):
        inside = [m for m in moments if desk.in_stay(stay, m)]
        before = [m for m in moments if not desk.in_stay(stay, m)]
        if inside and what != "the infusion":
            told.append(f"{what} of {_days(desk, bundle, inside)}: given during the stay, so this claim carries it.")
        if before:
            told.append(
                f"{what} of {_days(desk, bundle, before)}: outpatient service in the payment window before the admission of"
                f" {admitted.isoformat()}, so it folds into the stay (corrections C5)."
            )
    if bundle.letter == "C" and bundle.given and all(not desk.in_stay(stay, i.started_at) for i in bundle.given):
        told.append(
            "The infusion was given as an outpatient; the payment window takes it into this stay, so the stay has no Claim D."
        )
    return tuple(told)


def _not_taken_in(desk: Desk, bundle: Bundle) -> Iterable[str]:
    """For a readmission after an outpatient infusion: why it is a claim of its own and not the infusion's."""
    if bundle.letter != "D" or bundle.stay is None:
        return
    admitted = desk.admitted_on(bundle.stay)
    for infusion in desk.record.given:
        on = desk.day(infusion.started_at, infusion.facility)
        if infusion.setting.value == "inpatient" or on > admitted:
            continue
        rule = desk.window_policy(admitted, infusion.facility)
        house = desk.facility(bundle.stay.facility)
        days = desk.days("payment_window", admitted, hospital_class=house.hospital_class) if house else 0
        if rule.value != "fold":
            why = f"this payer has no payment window ({rule.id})"
        elif not desk.same_house(infusion.facility, bundle.stay.facility):
            why = "the infusion was given in a house of another owner, which the payment window does not reach"
        elif (admitted - on).days > days:
            why = f"the admission came more than the {days} days of the payment window later"
        else:
            why = "the outpatient services are attested unrelated to this stay"
        yield f"The outpatient infusion of {on.isoformat()} stays on Claim C and this stay is Claim D: {why}."


def _carried_elsewhere(desk: Desk, bundle: Bundle, every: Sequence[Bundle]) -> tuple[str, ...]:
    """For a course that was torn apart by the window: where its other doses are."""
    if bundle.letter != "B":
        return ()
    told = []
    for other in every:
        if other.stay is None or not other.doses:
            continue
        near = [f for f in other.doses if abs((f.data.date - bundle.first).days) <= desk.gap_days]
        if near:
            days = _days(desk, other, [f.data.started_at for f in near])
            told.append(f"The doses of {days} stand on Claim {other.letter} {other.ordinal}, which the stay carries.")
    return tuple(told)


def _attested(bundle: Bundle) -> tuple[str, ...]:
    if not bundle.unrelated:
        return ()
    return ("The services are attested unrelated to the stay that follows, so they stand on their own claim.",)


def _services(bundle: Bundle) -> Iterable[tuple[str, list[datetime]]]:
    yield "the collection", [f.data.started_at for f in bundle.collections]
    yield "lymphodepletion", [f.data.started_at for f in bundle.doses]
    yield "the infusion", [i.started_at for i in bundle.infusions]
    yield "treatment of toxicity", [f.data.at for f in bundle.medications]


def _days(desk: Desk, bundle: Bundle, moments: Iterable[datetime]) -> str:
    days: set[date] = {desk.day(moment, bundle.facility) for moment in moments}
    return ", ".join(day.isoformat() for day in sorted(days))
