"""Referral, product, indication, diagnosis and age against the label; names the product they belong to (G33, G82, G461)."""

from __future__ import annotations

from datetime import date

from domain.case import Case, Service
from domain.days import age_on
from domain.decision import Enforcement, Requirement
from domain.gates.rows import from_alert
from domain.rulebook.rows import Indication, Product

RELEASES = ("cart.referral.received", "cart.plan.changed", "cart.correction.made")


def referral(case: Case, service: Service) -> list[Requirement]:
    """Nothing can be judged before somebody said who, what and where."""
    known = case.record.referral is not None
    return [
        from_alert(
            case,
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
        *([_known_facilities(case)] if known else []),
        *([_known_payer(case)] if known else []),
    ]


def label(case: Case, service: Service) -> list[Requirement]:
    """Product, indication, diagnosis and age, on the day of the service."""
    if case.record.referral is None:
        return []
    product = case.product_row(service.on)
    enabled = product is not None and product.enabled
    asked = [
        _asked(case, "product_unknown", "product", enabled, "" if enabled else "product enabled on the service date")
    ]
    row = case.indication_row(service.on)
    if row is None:
        return [*asked, _asked(case, "indication_mismatch", "indication", False, _wrong_indication(case, service.on))]
    return [*asked, _diagnosis(case, row, service.on), _age(case, row, service.on), *_remission(case, row)]


def overlap(case: Case, on: date) -> tuple[str, ...]:
    """Advice where another product's label covers the same disease and age (G501, corrections B21); never a hold."""
    if case.record.referral is None:
        return ()
    mine = case.indication_row(on)
    found = [
        f"{_brand(case, row.product, on)}: its label also covers this diagnosis and age; state in the request why "
        f"this product was chosen ({row.citation})"
        for row in _others(case, on)
        if mine is not None and row.age_max is not None and _fits_age(case, row, on) and _fits_age(case, mine, on)
    ]
    return tuple(found)


def _known_facilities(case: Case) -> Requirement:
    missing = [
        role
        for role, key in (("collection center", case.apheresis_facility), ("infusion center", case.infusion_facility))
        if case.site.facility(key or "") is None
    ]
    text = " and ".join(missing) + " in the site file" if missing else ""
    return from_alert(
        case, "facility_unknown", "data.facilities", "data", not missing, text, releases_on=RELEASES, overridable=False
    )


def _known_payer(case: Case) -> Requirement:
    known = case.payer_row is not None
    text = "" if known else "payer row in the rulebook"
    return from_alert(case, "payer_unknown", "data.payer", "data", known, text, releases_on=RELEASES, overridable=False)


def _asked(case: Case, kind: str, what: str, met: bool, missing: str) -> Requirement:
    referral = case.record.referral
    assert referral is not None
    return from_alert(
        case,
        kind,
        f"eligibility.{what}",
        "eligibility",
        met,
        missing,
        releases_on=RELEASES,
        overridable=False,
        evidence=(referral.event_id,),
    )


def _diagnosis(case: Case, row: Indication, on: date) -> Requirement:
    met = _fits_diagnosis(case, row)
    return _asked(
        case,
        "diagnosis_mismatch",
        "diagnosis",
        met,
        "" if met else "diagnosis of the indication" + _belongs(case, on),
    )


def _age(case: Case, row: Indication, on: date) -> Requirement:
    met = _fits_age(case, row, on)
    return _asked(
        case, "age_mismatch", "age", met, "" if met else "age within the label on the service date" + _belongs(case, on)
    )


def _remission(case: Case, row: Indication) -> list[Requirement]:
    assert case.record.referral is not None
    if case.record.referral.data.diagnosis not in row.remission_codes:
        return []
    return [
        from_alert(
            case,
            "remission_code",
            "eligibility.remission",
            "eligibility",
            False,
            "diagnosis code of relapsed or refractory disease; the code means remission",
            enforcement=Enforcement.WARN,
            releases_on=RELEASES,
            evidence=(case.record.referral.event_id,),
        )
    ]


def _wrong_indication(case: Case, on: date) -> str:
    return "indication on the product's label" + _belongs(case, on)


def _belongs(case: Case, on: date) -> str:
    """The products whose label covers diagnosis and age, in words; empty when there is none."""
    names = [_brand(case, row.product, on) for row in _others(case, on) if _fits_age(case, row, on)]
    return "; fits the label of " + " or ".join(dict.fromkeys(names)) if names else ""


def _others(case: Case, on: date) -> tuple[Indication, ...]:
    rows = case.rules.find(Indication, on)
    return tuple(row for row in rows if row.product != case.product and _fits_diagnosis(case, row))


def _fits_diagnosis(case: Case, row: Indication) -> bool:
    assert case.record.referral is not None
    return case.record.referral.data.diagnosis.startswith(row.diagnosis_prefixes)


def _fits_age(case: Case, row: Indication, on: date) -> bool:
    assert case.record.referral is not None
    age = age_on(case.record.referral.data.patient.birth_date, on)
    return (row.age_min is None or age >= row.age_min) and (row.age_max is None or age <= row.age_max)


def _brand(case: Case, key: str, on: date) -> str:
    row = case.rules.maybe(Product, on, key=key)
    return row.brand if row else key
