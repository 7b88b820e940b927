"""Authorization: approved, for this product, covering the infusion day; replaced after a failed manufacture (G349, G505).

Both ends of an approval are inclusive. Payers that ask for none (fee-for-service Medicare, G363) yield no requirement.
"""

from __future__ import annotations

from datetime import date

from domain.attempts import BEGINNING
from domain.case import Case, Service
from domain.decision import Enforcement, Requirement
from domain.events.access import AuthorizationDecision, BookableStage
from domain.gates.checklist import checklist
from domain.gates.eligibility import eligibility
from domain.gates.rows import from_alert
from domain.record import Authorization

RELEASES = ("cart.authorization.submitted", "cart.authorization.decided")


def required(case: Case) -> bool:
    """The payer asks for an authorization."""
    return case.payer_row is not None and case.payer_row.authorization_required


def authorization(case: Case, service: Service) -> list[Requirement]:
    """What the payer's approval must say for the service; nothing where the payer asks for none.

    Before the service the approval must cover the planned infusion (corrections C6); of a service that was performed, the
    approval must cover its own day.
    """
    if case.record.referral is None or not required(case):
        return []
    target = service.on if service.performed else infusion_day(case) or service.on
    usable = [a for a in case.record.authorizations if _names_product(case, a)]
    covering = [a for a in usable if a.covers(target)]
    asked = [_approved(case, target, covering)]
    asked += _papers(case, service) if not covering else []
    if service.after > BEGINNING:
        asked += _replacement(case, service, covering)
    if covering and not any(a.covers(service.on) for a in usable):
        asked.append(_warning(case, "authorization_service_day", "service_day", "approval that covers this service"))
    return asked


def infusion_day(case: Case) -> date | None:
    """The day the infusion was given or is booked for; None before it is booked."""
    given = case.record.infusions
    if given:
        return case.day(given[0].started_at, given[0].facility)
    booked = case.bookings(BookableStage.INFUSION)
    return case.day(booked[0].starts_at, booked[0].facility) if booked else None


def pended_or_denied(case: Case) -> Authorization | None:
    """The last decision, when it is no approval and nothing approved stands beside it."""
    decided = [a for a in case.record.authorizations if a.decision is not None]
    if any(a.decision is AuthorizationDecision.APPROVED for a in decided):
        return None
    return decided[-1] if decided else None


def _names_product(case: Case, found: Authorization) -> bool:
    return found.product is None or found.product == case.product


def _events(case: Case) -> tuple[str, ...]:
    return tuple(event for a in case.record.authorizations for event in a.events)


def _approved(case: Case, target: date, covering: list[Authorization]) -> Requirement:
    kind, missing = _why(case, target)
    met = bool(covering)
    return from_alert(
        case,
        kind,
        "authorization.approved",
        "authorization",
        met,
        "" if met else missing,
        releases_on=RELEASES,
        evidence=_events(case),
    )


def _why(case: Case, target: date) -> tuple[str, str]:
    """The alert kind and the words for what is wrong with the authorizations on record."""
    if any(a.covers(target) and not _names_product(case, a) for a in case.record.authorizations):
        return "authorization_product", "approval for the planned product; the one on record names another"
    last = pended_or_denied(case)
    if last is not None and last.decision is AuthorizationDecision.DENIED:
        return "authorization_denied", "approved authorization; the payer denied the request"
    if last is not None:
        return "authorization_pended", "approved authorization; the payer pended the request"
    if any(a.decision is AuthorizationDecision.APPROVED for a in case.record.authorizations):
        return (
            "authorization_missing",
            "approval with dates that cover the infusion, or this service if no infusion is booked",
        )
    return "authorization_missing", "approved authorization from the payer"


def _papers(case: Case, service: Service) -> list[Requirement]:
    """A request that is under way without all its papers: said before the payer says it."""
    open_ = [a for a in case.record.authorizations if a.decision is not AuthorizationDecision.APPROVED]
    if not open_:
        return []
    entries = checklist(case, service.on, eligibility(case, service))
    lacking = [str(entry.row.number) for entry in entries if entry.lacking]
    if not lacking:
        return []
    return [_warning(case, "authorization_incomplete", "papers", f"checklist documents {', '.join(lacking)}")]


def _replacement(case: Case, service: Service, covering: list[Authorization]) -> list[Requirement]:
    """After a loss: decided since, and referring to the first by `replaces` or by amending the same number."""
    fresh = [a for a in covering if a.decided_at and a.decided_at > service.after]
    asked = [
        from_alert(
            case,
            "authorization_replacement",
            "authorization.replacement",
            "authorization",
            bool(fresh),
            "" if fresh else "new or amended approval since the cells were lost or the product was changed",
            releases_on=RELEASES,
            evidence=_events(case),
        )
    ]
    if fresh and not any(a.replaces or _amends(case, service, a) for a in fresh):
        asked.append(_warning(case, "authorization_reference", "reference", "number of the first authorization"))
    return asked


def _amends(case: Case, service: Service, found: Authorization) -> bool:
    """The number was known before the loss and was decided anew after it."""
    heard = [case.by_event[event].time for event in found.events if event in case.by_event]
    return bool(heard) and min(heard) <= service.after


def _warning(case: Case, kind: str, what: str, missing: str) -> Requirement:
    return from_alert(
        case,
        kind,
        f"authorization.{what}",
        "authorization",
        False,
        missing,
        enforcement=Enforcement.WARN,
        releases_on=RELEASES,
        evidence=_events(case),
    )
