"""Readiness: certificates of every layer and holder, stock on hand, intensive care backup (G43, G47, G184-195)."""

from __future__ import annotations

from domain.encounter.checks.tocilizumab_stock import given_since
from domain.encounter.context import UNKNOWN, EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.gates.certificates import Report, certificate_in_effect, reports
from domain.encounter.gates.requirements import strictest
from domain.encounter.model import Enforcement, Requirement
from domain.events.care import FacilityReadiness
from domain.events.governance import CertificationChanged, Layer
from domain.rulebook.rows import Certification

CERTIFICATES = frozenset(layer.value for layer in Layer)
COLUMNS = ("product", "indication", "payer", "payer_class")


def readiness(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return every layer that the rulebook requires of this stage, for the day of the service."""
    return [_requirement(context, service, row) for row in layers(context, service)]


def layers(context: EncounterContext, service: Service) -> tuple[Certification, ...]:
    """Return the rows that apply to the stage, one per layer and holder."""
    rows = context.rules.find(
        Certification,
        service.on,
        product=context.product,
        indication=context.indication,
        payer=context.payer,
        payer_class=context.payer_class,
    )
    asked = [row for row in rows if service.stage.value in row.stages]
    return strictest(asked, COLUMNS, lambda row: (row.layer, row.holder))


def holder_of(context: EncounterContext, row: Certification, service: Service) -> str | None:
    """Return whose certificate a row requires: a facility key, an NPI, a pharmacy, a manufacturer."""
    infusing = _facility(context, service, "infusion") or context.infusion_facility
    match row.holder:
        case "apheresis_facility":
            return _facility(context, service, "apheresis") or context.apheresis_facility
        case "infusion_facility":
            return infusing
        case "prescriber":
            return context.record.referral.data.prescriber_npi if context.record.referral else None
        case "pharmacy":
            known = context.site.facility(infusing or "")
            return known.pharmacy if known else None
        case "manufacturer":
            product = context.product_row(service.on)
            return product.manufacturer if product else None


def certificate(context: EncounterContext, row: Certification, service: Service) -> Report | None:
    """Return the certificate that satisfies a row on the day of the service."""
    holder = holder_of(context, row, service)
    if holder is None:
        return None
    return certificate_in_effect(
        reports(context, row.layer, holder), context.product if row.per_product else None, service.on
    )


def _facility(context: EncounterContext, service: Service, stage: str) -> str | None:
    return service.facility if service.stage.value == stage else None


def _requirement(context: EncounterContext, service: Service, row: Certification) -> Requirement:
    if row.layer in CERTIFICATES:
        met, missing, events, type_ = _certified(context, service, row)
    else:
        met, missing, events, type_ = _stock(context, service, row)
    return Requirement(
        key=f"readiness.{row.layer}.{row.holder}",
        kind="readiness",
        met=met,
        enforcement=Enforcement(row.enforcement),
        owner=row.owner,
        title=row.title,
        missing=missing,
        fix=row.fix,
        rule=row.id,
        citation=row.citation,
        denial=row.denial,
        releases_on=(type_, "cart.plan.changed"),
        overridable=row.overridable,
        layer=row.layer,
        evidence=events,
        alert=_alert(row),
    )


def _alert(row: Certification) -> str:
    if row.layer in CERTIFICATES:
        return "certification_missing"
    return "readiness_missing" if row.minimum is None else "stock_missing"


Answer = tuple[bool, str, tuple[str, ...], str]


def _certified(context: EncounterContext, service: Service, row: Certification) -> Answer:
    holder = holder_of(context, row, service)
    seen = reports(context, row.layer, holder) if holder else ()
    events = tuple(r.event for r in seen if r.event)
    who = row.holder.replace("_", " ")
    if holder is None:
        return False, f"{row.title}; the {who} is unknown", events, CertificationChanged.event_type
    if certificate(context, row, service) is not None:
        return True, "", events, CertificationChanged.event_type
    other = row.per_product and any(
        certificate_in_effect(seen, r.change.product, service.on) for r in seen if r.change.product
    )
    hint = "; another product's certificate is on file and does not count" if other else ""
    missing = f"{row.title}, valid on the service date{hint}"
    return False, missing, events, CertificationChanged.event_type


def _stock(context: EncounterContext, service: Service, row: Certification) -> Answer:
    facility = holder_of(context, row, service)
    report = _report(context, service, facility)
    latest = report.data if report else _filed(context, facility)
    events = (report.event_id,) if report else ()
    if latest is None or row.minimum is None:
        met = latest is not None and latest.icu_backup
        return met, "" if met else f"{row.title} at the infusion center", events, FacilityReadiness.event_type
    used = len(given_since(report, (*context.holders, *context.record.facts.all), service.moment)) if report else 0
    met = latest.tocilizumab_doses - used >= row.minimum
    counted = f"; {used} of {latest.tocilizumab_doses} reported doses were given since" if used else ""
    missing = "" if met else f"{row.title} at the infusion center{counted}"
    return met, missing, events, FacilityReadiness.event_type


def _report(context: EncounterContext, service: Service, facility: str | None) -> Fact[FacilityReadiness] | None:
    """Return the last report about the center; for a performed service, the last one up to its day."""
    known = [fact for fact in (*context.holders, *context.record.facts.all) if _about(fact, facility)]
    if service.performed:
        known = [fact for fact in known if context.day(fact.time, facility) <= service.on]
    return max(known, key=lambda fact: fact.order, default=None)  # type: ignore[return-value]


def _filed(context: EncounterContext, facility: str | None) -> FacilityReadiness | None:
    """Return the value of the site file; it has no moment, so no dose is counted against it."""
    return next((r.as_change() for r in context.site.readiness if r.facility == facility), None)


def _about(fact: Fact, facility: str | None) -> bool:  # type: ignore[type-arg]
    return isinstance(fact.data, FacilityReadiness) and fact.data.facility == facility


__all__ = ["UNKNOWN", "certificate", "holder_of", "layers", "readiness"]
