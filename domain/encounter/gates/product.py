"""Referral, product, indication, diagnosis and age against the label; names the product that fits them (G33, G82, G461)."""

from __future__ import annotations

from datetime import date

from domain.days import age_on
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.requirements import from_alert
from domain.encounter.model import Enforcement, Requirement
from domain.rulebook.rows import Indication, Product

RELEASES = ("cart.referral.received", "cart.plan.changed", "cart.correction.made")


def referral(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return the requirement of a referral: nothing can be judged before patient, product and centers are known."""
    known = context.record.referral is not None
    return [
        from_alert(
            context,
            "referral_missing",
            "data.referral",
            "data",
            known,
            "" if known else "referral with product, indication, coverage and centers",
            releases_on=("cart.referral.received",),
            overridable=False,
            evidence=service.events,
            alerts=False,
        ),
        *([_known_facilities(context)] if known else []),
        *([_known_payer(context)] if known else []),
    ]


def label(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return product, indication, diagnosis and age, judged for the day of the service."""
    if context.record.referral is None:
        return []
    product = context.product_row(service.on)
    enabled = product is not None and product.enabled
    asked = [
        _asked(context, "product_unknown", "product", enabled, "" if enabled else "product enabled on the service date")
    ]
    row = context.indication_row(service.on)
    if row is None:
        return [
            *asked,
            _asked(context, "indication_mismatch", "indication", False, _wrong_indication(context, service.on)),
        ]
    return [*asked, _diagnosis(context, row, service.on), _age(context, row, service.on), *_remission(context, row)]


def overlap(context: EncounterContext, on: date) -> tuple[str, ...]:
    """Yield advice if another product's label covers the same disease and age (G501, corrections B21); never a hold."""
    if context.record.referral is None:
        return ()
    mine = context.indication_row(on)
    found = [
        f"{_brand(context, row.product, on)}: its label also covers this diagnosis and age; state in the request why "
        f"this product was chosen ({row.citation})"
        for row in _others(context, on)
        if mine is not None and row.age_max is not None and _fits_age(context, row, on) and _fits_age(context, mine, on)
    ]
    return tuple(found)


def _known_facilities(context: EncounterContext) -> Requirement:
    missing = [
        role
        for role, key in (
            ("collection center", context.apheresis_facility),
            ("infusion center", context.infusion_facility),
        )
        if context.site.facility(key or "") is None
    ]
    text = " and ".join(missing) + " in the site file" if missing else ""
    return from_alert(
        context,
        "facility_unknown",
        "data.facilities",
        "data",
        not missing,
        text,
        releases_on=RELEASES,
        overridable=False,
    )


def _known_payer(context: EncounterContext) -> Requirement:
    known = context.payer_row is not None
    text = "" if known else "payer row in the rulebook"
    return from_alert(
        context, "payer_unknown", "data.payer", "data", known, text, releases_on=RELEASES, overridable=False
    )


def _asked(context: EncounterContext, kind: str, what: str, met: bool, missing: str) -> Requirement:
    referral = context.record.referral
    assert referral is not None
    return from_alert(
        context,
        kind,
        f"eligibility.{what}",
        "eligibility",
        met,
        missing,
        releases_on=RELEASES,
        overridable=False,
        evidence=(referral.event_id,),
    )


def _diagnosis(context: EncounterContext, row: Indication, on: date) -> Requirement:
    met = _fits_diagnosis(context, row)
    return _asked(
        context,
        "diagnosis_mismatch",
        "diagnosis",
        met,
        "" if met else "diagnosis of the indication" + _belongs(context, on),
    )


def _age(context: EncounterContext, row: Indication, on: date) -> Requirement:
    met = _fits_age(context, row, on)
    return _asked(
        context,
        "age_mismatch",
        "age",
        met,
        "" if met else "age within the label on the service date" + _belongs(context, on),
    )


def _remission(context: EncounterContext, row: Indication) -> list[Requirement]:
    assert context.record.referral is not None
    if context.record.referral.data.diagnosis not in row.remission_codes:
        return []
    return [
        from_alert(
            context,
            "remission_code",
            "eligibility.remission",
            "eligibility",
            False,
            "diagnosis code of relapsed or refractory disease; the code means remission",
            enforcement=Enforcement.WARN,
            releases_on=RELEASES,
            evidence=(context.record.referral.event_id,),
        )
    ]


def _wrong_indication(context: EncounterContext, on: date) -> str:
    return "indication on the product's label" + _belongs(context, on)


def _belongs(context: EncounterContext, on: date) -> str:
    """The products whose label covers diagnosis and age, as text; empty when there is none."""
    names = [_brand(context, row.product, on) for row in _others(context, on) if _fits_age(context, row, on)]
    return "; fits the label of " + " or ".join(dict.fromkeys(names)) if names else ""


def _others(context: EncounterContext, on: date) -> tuple[Indication, ...]:
    rows = context.rules.find(Indication, on)
    return tuple(row for row in rows if row.product != context.product and _fits_diagnosis(context, row))


def _fits_diagnosis(context: EncounterContext, row: Indication) -> bool:
    assert context.record.referral is not None
    return context.record.referral.data.diagnosis.startswith(row.diagnosis_prefixes)


def _fits_age(context: EncounterContext, row: Indication, on: date) -> bool:
    assert context.record.referral is not None
    age = age_on(context.record.referral.data.patient.birth_date, on)
    return (row.age_min is None or age >= row.age_min) and (row.age_max is None or age <= row.age_max)


def _brand(context: EncounterContext, key: str, on: date) -> str:
    row = context.rules.maybe(Product, on, key=key)
    return row.brand if row else key
