"""The form fields outside the lines: provider, dates, patient, payer, authorization (G306-344).

Fields that identify the patient name the place in the vault that holds the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from domain.billing.build.documents import attachments
from domain.billing.build.draft import Draft
from domain.billing.model import FormField, Reason
from domain.encounter.record import Stay

_VAULT = {
    "patient_name": "patient.name",
    "patient_address": "patient.address",
    "birth_date": "patient.birth_date",
    "sex": "patient.sex",
    "member_id": "member_id",
    "insured_name": "patient.name",
    "medical_record": "patient.mrn",
    "patient_control_number": "claim.control_number",
}


def add_fields(draft: Draft, period: tuple[date, date], sums: Mapping[str, str | None]) -> None:
    """Add every form field that is not a line, diagnosis, procedure or coded value.

    `sums` are values of the whole claim: total, group, remarks; an empty one has no field.
    """
    on = period[0]
    for value, reference in _VAULT.items():
        _field(draft, on, value, vault=reference)
    _billing(draft, on)
    if not draft.professional:
        _field(draft, on, "type_of_bill", draft.place.type_of_bill if draft.place else None)
        _field(draft, on, "statement_period", f"{period[0].isoformat()} to {period[1].isoformat()}")
        _field(draft, on, "icd_version", "0")
    else:
        _field(draft, on, "place_of_service", draft.place.place_of_service if draft.place else None)
        _field(draft, on, "signature", vault="provider.signature_on_file")
    if draft.stay:
        _stay(draft, on, draft.stay)
    elif not draft.professional:
        _visit(draft, on)
    with draft.section():
        _authorization(draft, on)
    with draft.section():
        _attachment_notice(draft, on)
    for value, text in sums.items():
        if text:
            _field(draft, on, value, text)


def _billing(draft: Draft, on: date) -> None:
    facility = draft.context.facility(draft.services.facility)
    payer = draft.context.site.payer(draft.context.payer)
    events = (draft.context.referral.event_id,)
    _field(draft, on, "payer", payer.name if payer else draft.context.payer, events=events)
    if facility is None:
        return
    _field(draft, on, "billing_provider", facility.name)
    _field(draft, on, "npi", facility.npi)
    _field(draft, on, "tax_id", facility.tax_id)
    if draft.professional:
        _field(draft, on, "service_facility", facility.name)
    _field(draft, on, "attending", attending_npi(draft) or facility.attending_npi)
    if draft.procedures and facility.operating_npi:
        _field(draft, on, "operating", facility.operating_npi)


def attending_npi(draft: Draft) -> str | None:
    """The attending provider of the stay; None where the site file does not list the person."""
    charted = draft.stay.attending_npi if draft.stay else None
    return charted if charted in {facility.attending_npi for facility in draft.context.site.facilities} else None


def _visit(draft: Draft, on: date) -> None:
    """Add the visit fields of an outpatient bill, which the rulebook fixes; no event documents them."""
    for value, key in (
        ("admission_type", "outpatient_visit_type"),
        ("admission_source", "outpatient_point_of_origin"),
        ("discharge_status", "outpatient_discharge_status"),
    ):
        with draft.section():
            _field(draft, on, value, draft.policy(key, on).value)


def _stay(draft: Draft, on: date, stay: Stay) -> None:
    admitted = draft.context.local(stay.inpatient_from or stay.started_at, stay.facility)
    _field(draft, on, "admission_date", admitted.date().isoformat(), events=stay.events)
    _field(draft, on, "admission_hour", f"{admitted.hour:02d}", events=stay.events)
    _field(draft, on, "admission_type", stay.type, events=stay.events)
    _field(draft, on, "admission_source", stay.source, events=stay.events)
    if stay.ended_at:
        out = draft.context.local(stay.ended_at, stay.facility)
        _field(draft, on, "discharge_hour", f"{out.hour:02d}", events=stay.events)
        _field(draft, on, "discharge_status", stay.discharge_status, events=stay.events)


def _authorization(draft: Draft, on: date) -> None:
    """The number of the approval that covers the day of service, where the payer requires one (G314, corrections C4, C6)."""
    day = service_day(draft)
    if not draft.context.payer_row(day).authorization_required:
        return
    approval = draft.context.authorization(day)
    if approval:
        _field(draft, on, "authorization", approval.number, events=approval.events)


def _attachment_notice(draft: Draft, on: date) -> None:
    """Add how the payer can request the documents that support the claim."""
    documents = tuple(one.event for one in attachments(draft) if one.event)
    if not documents or draft.professional:
        return
    way = draft.policy("attachment_notice", draft.services.first).value
    if way != "none":
        _field(draft, on, "attachment_notice", way, events=tuple(dict.fromkeys(documents)))


def service_day(draft: Draft) -> date:
    """The day an authorization must cover: that of the infusion, else of the first service."""
    services = draft.services
    if services.stay and not services.infusions:
        return draft.context.admitted_on(services.stay)
    return services.first


def _field(
    draft: Draft,
    on: date,
    value: str,
    text: str | None = None,
    *,
    vault: str | None = None,
    events: tuple[str, ...] = (),
) -> None:
    with draft.section():
        row = draft.location(value, on)
        reason = Reason(rule=row.id, citation=row.citation, events=events, text=row.name)
        draft.fields.append(FormField(field=row.field, name=row.name, value=text, vault=vault, reason=reason))
