"""Authorization: approved, for this product, covering the infusion day; replaced after failed manufacturing (G349, G505).

The first and last day of an approval are both included. Payers that require none (fee-for-service Medicare, G363) yield no
requirement.
"""

from __future__ import annotations

from datetime import date

from domain.encounter.attempts import BEGINNING
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.checklist import checklist
from domain.encounter.gates.eligibility import eligibility
from domain.encounter.gates.requirements import from_alert
from domain.encounter.model import Enforcement, Requirement
from domain.encounter.record import Authorization
from domain.events.access import AuthorizationDecision, BookableStage

RELEASES = ("cart.authorization.submitted", "cart.authorization.decided")


def required(context: EncounterContext) -> bool:
    """Whether the payer requires an authorization."""
    return context.payer_row is not None and context.payer_row.authorization_required


def authorization(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return what the payer's approval must cover for the service; nothing if the payer requires none.

    Before the service, the approval must cover the planned infusion (corrections C6). For a performed service, it must cover
    the day of that service.
    """
    if context.record.referral is None or not required(context):
        return []
    target = service.on if service.performed else infusion_day(context) or service.on
    usable = [a for a in context.record.authorizations if _names_product(context, a)]
    covering = [a for a in usable if a.covers(target)]
    asked = [_approved(context, target, covering)]
    asked += _checklist_documents(context, service) if not covering else []
    if service.after > BEGINNING:
        asked += _replacement(context, service, covering)
    if covering and not any(a.covers(service.on) for a in usable):
        asked.append(_warning(context, "authorization_service_day", "service_day", "approval that covers this service"))
    return asked


def infusion_day(context: EncounterContext) -> date | None:
    """The day the infusion was given or is booked for; None before it is booked."""
    given = context.record.infusions
    if given:
        return context.day(given[0].started_at, given[0].facility)
    booked = context.bookings(BookableStage.INFUSION)
    return context.day(booked[0].starts_at, booked[0].facility) if booked else None


def pended_or_denied(context: EncounterContext) -> Authorization | None:
    """The last decision, when it is not an approval and there is no other approval."""
    decided = [a for a in context.record.authorizations if a.decision is not None]
    if any(a.decision is AuthorizationDecision.APPROVED for a in decided):
        return None
    return decided[-1] if decided else None


def _names_product(context: EncounterContext, found: Authorization) -> bool:
    return found.product is None or found.product == context.product


def _events(context: EncounterContext) -> tuple[str, ...]:
    return tuple(event for a in context.record.authorizations for event in a.events)


def _approved(context: EncounterContext, target: date, covering: list[Authorization]) -> Requirement:
    kind, missing = _why(context, target)
    met = bool(covering)
    return from_alert(
        context,
        kind,
        "authorization.approved",
        "authorization",
        met,
        "" if met else missing,
        releases_on=RELEASES,
        evidence=_events(context),
    )


def _why(context: EncounterContext, target: date) -> tuple[str, str]:
    """Return the alert kind and a text about what is wrong with the authorizations on record."""
    if any(a.covers(target) and not _names_product(context, a) for a in context.record.authorizations):
        return "authorization_product", "approval for the planned product; the one on record names another"
    last = pended_or_denied(context)
    if last is not None and last.decision is AuthorizationDecision.DENIED:
        return "authorization_denied", "approved authorization; the payer denied the request"
    if last is not None:
        return "authorization_pended", "approved authorization; the payer pended the request"
    if any(a.decision is AuthorizationDecision.APPROVED for a in context.record.authorizations):
        return (
            "authorization_missing",
            "approval with dates that cover the infusion, or this service if no infusion is booked",
        )
    return "authorization_missing", "approved authorization from the payer"


def _checklist_documents(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return a warning for a submitted request with missing documents, before the payer finds out."""
    open_ = [a for a in context.record.authorizations if a.decision is not AuthorizationDecision.APPROVED]
    if not open_:
        return []
    entries = checklist(context, service.on, eligibility(context, service))
    missing = [str(entry.row.number) for entry in entries if entry.missing]
    if not missing:
        return []
    return [_warning(context, "authorization_incomplete", "papers", f"checklist documents {', '.join(missing)}")]


def _replacement(context: EncounterContext, service: Service, covering: list[Authorization]) -> list[Requirement]:
    """Whether, after a loss, the approval was decided since and replaces or amends the first authorization."""
    fresh = [a for a in covering if a.decided_at and a.decided_at > service.after]
    asked = [
        from_alert(
            context,
            "authorization_replacement",
            "authorization.replacement",
            "authorization",
            bool(fresh),
            "" if fresh else "new or amended approval since the cells were lost or the product was changed",
            releases_on=RELEASES,
            evidence=_events(context),
        )
    ]
    if fresh and not any(a.replaces or _amends(context, service, a) for a in fresh):
        asked.append(_warning(context, "authorization_reference", "reference", "number of the first authorization"))
    return asked


def _amends(context: EncounterContext, service: Service, found: Authorization) -> bool:
    """Whether the number was known before the loss and was decided again after it."""
    received = [context.by_event[event].time for event in found.events if event in context.by_event]
    return bool(received) and min(received) <= service.after


def _warning(context: EncounterContext, kind: str, what: str, missing: str) -> Requirement:
    return from_alert(
        context,
        kind,
        f"authorization.{what}",
        "authorization",
        False,
        missing,
        enforcement=Enforcement.WARN,
        releases_on=RELEASES,
        evidence=_events(context),
    )
