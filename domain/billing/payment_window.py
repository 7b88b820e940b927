"""The payment window in words for the biller: services included on a claim, and services billed on another claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from domain.billing.context import BillingContext
from domain.billing.services import ClaimServices


def explain(context: BillingContext, services: ClaimServices, every: Sequence[ClaimServices]) -> tuple[str, ...]:
    """Return sentences that explain why services are on this claim, or on another one."""
    if services.stay:
        return (*_services_included(context, services), *_infusion_not_included(context, services))
    return (*_carried_elsewhere(context, services, every), *_attested(services))


def _services_included(context: BillingContext, services: ClaimServices) -> tuple[str, ...]:
    stay = services.stay
    assert stay is not None
    admitted = context.admitted_on(stay)
    sentences: list[str] = []
    for what, moments in _services(services):
        inside = [m for m in moments if context.in_stay(stay, m)]
        before = [m for m in moments if not context.in_stay(stay, m)]
        if inside and what != "the infusion":
            sentences.append(
                f"{what} of {_days(context, services, inside)}: given during the stay, so billed on this claim."
            )
        if before:
            sentences.append(
                f"{what} of {_days(context, services, before)}: outpatient service in the payment window before the admission of"
                f" {admitted.isoformat()}, so billed with the stay (corrections C5)."
            )
    if (
        services.letter == "C"
        and services.given
        and all(not context.in_stay(stay, i.started_at) for i in services.given)
    ):
        sentences.append(
            "The outpatient infusion is in the payment window of this stay and is billed with it, so the stay has no Claim D."
        )
    return tuple(sentences)


def _infusion_not_included(context: BillingContext, services: ClaimServices) -> Iterable[str]:
    """For a readmission after an outpatient infusion: why it is a separate claim."""
    if services.letter != "D" or services.stay is None:
        return
    admitted = context.admitted_on(services.stay)
    for infusion in context.record.given:
        on = context.day(infusion.started_at, infusion.facility)
        if infusion.setting.value == "inpatient" or on > admitted:
            continue
        rule = context.window_policy(admitted, infusion.facility)
        facility = context.facility(services.stay.facility)
        days = context.days("payment_window", admitted, hospital_class=facility.hospital_class) if facility else 0
        if rule.value != "fold":
            why = f"this payer has no payment window ({rule.id})"
        elif not context.same_owner_group(infusion.facility, services.stay.facility):
            why = "the infusion was given at a facility of another owner, to which the payment window does not apply"
        elif (admitted - on).days > days:
            why = f"the admission came more than the {days} days of the payment window later"
        else:
            why = "the outpatient services are attested unrelated to this stay"
        yield f"The outpatient infusion of {on.isoformat()} stays on Claim C and this stay is Claim D: {why}."


def _carried_elsewhere(
    context: BillingContext, services: ClaimServices, every: Sequence[ClaimServices]
) -> tuple[str, ...]:
    """For a course that the payment window splits: the claim with its other doses."""
    if services.letter != "B":
        return ()
    sentences = []
    for other in every:
        if other.stay is None or not other.doses:
            continue
        near = [f for f in other.doses if abs((f.data.date - services.first).days) <= context.gap_days]
        if near:
            days = _days(context, other, [f.data.started_at for f in near])
            sentences.append(f"The doses of {days} are on Claim {other.letter} {other.ordinal}, the claim of the stay.")
    return tuple(sentences)


def _attested(services: ClaimServices) -> tuple[str, ...]:
    if not services.unrelated:
        return ()
    return ("The services are attested unrelated to the stay that follows, so they are on a separate claim.",)


def _services(services: ClaimServices) -> Iterable[tuple[str, list[datetime]]]:
    yield "the collection", [f.data.started_at for f in services.collections]
    yield "lymphodepletion", [f.data.started_at for f in services.doses]
    yield "the infusion", [i.started_at for i in services.infusions]
    yield "treatment of toxicity", [f.data.at for f in services.medications]


def _days(context: BillingContext, services: ClaimServices, moments: Iterable[datetime]) -> str:
    days: set[date] = {context.day(moment, services.facility) for moment in moments}
    return ", ".join(day.isoformat() for day in sorted(days))
