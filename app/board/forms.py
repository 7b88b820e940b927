"""The forms: events of the catalog that people enter because no system sends them.

Every form requires who and why. They fill the event's fields for them, if it has any, and are always extension attributes of
the envelope, which the inbox stores encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, get_args

from pydantic import BaseModel

from app.board.fields import Field, fields_of
from app.board.form import Form
from app.board.names import Names
from app.board.rights import BoardRight
from app.board.service_forms import SERVICE_FORMS
from domain.events import access, care, cells, governance, revenue

SOURCE: Final = "urn:cart-encounter:board"
ABSENT: Final = frozenset({"kind"})


FORMS: Final[Mapping[str, Form]] = {
    form.key: form
    for form in (
        Form(
            "evidence",
            "Evidence",
            "A document of the checklist or eligibility gate, with its documented values.",
            access.EvidenceAdded,
            BoardRight.ENTER_DOCUMENTS,
            hints={
                "document": "Number or location in the document system; no patient name.",
                "dated": "The date on the document, not of this entry.",
            },
            past=frozenset({"dated"}),
        ),
        Form(
            "authorization",
            "Authorization decision",
            "The payer's decision. First and last valid date are included.",
            access.AuthorizationDecided,
            BoardRight.ENTER_DOCUMENTS,
            hints={"replaces": "Previous authorization number, after a transfer or a manufacturing failure."},
        ),
        Form(
            "custody",
            "Custody scan",
            "One transfer of the cells. Click the first field and scan; Enter moves to the next field.",
            cells.CustodyRecorded,
            BoardRight.ENTER_CUSTODY,
            who="by",
            found_by="coi_id",
            scans=frozenset(
                {
                    *("coi_id", "bag_id", "lot", "ndc", "din", "isbt_128", "maker_id"),
                    *("container", "waybill", "logger", "second_verifier"),
                }
            ),
            folded=frozenset(
                {"container", "waybill", "logger", "temperature", "accepted", "din", "isbt_128", "maker_id", "facility"}
            ),
            hints={
                "location": "Building and room, or the courier.",
                "facility": "The center that has the cells after a transfer between centers.",
                "temperature.min": "Lowest logger temperature during the transfer, in °C.",
                "temperature.max": "Highest logger temperature during the transfer, in °C.",
            },
            past=frozenset({"at"}),
        ),
        Form(
            "release",
            "Product release",
            "The manufacturer's release with its certificate of analysis.",
            cells.ProductReleased,
            BoardRight.ENTER_CUSTODY,
            found_by="coi_id",
            scans=frozenset({"coi_id", "bag_id", "lot", "ndc", "isbt_128", "maker_id"}),
            hints={
                "viable_car_cells": "The count on the certificate, in whole cells.",
                "certificate": "Number of the certificate of analysis.",
            },
            past=frozenset({"released_at"}),
        ),
        Form(
            "toxicity",
            "Toxicity grade",
            "The grade that a provider documented. Empty: not assessed. 0: assessed, none.",
            care.ToxicityAssessed,
            BoardRight.ENTER_CARE,
            folded=frozenset({"findings"}),
            hints={"assessor_role": "For example physician, nurse practitioner."},
            past=frozenset({"at"}),
        ),
        Form(
            "override",
            "Hold override",
            "A signed decision to continue despite a hold. The override ends if its facts change.",
            governance.HoldOverridden,
            BoardRight.OVERRIDE_HOLDS,
            who="signer",
            why="reason",
            ahead=frozenset({"expires"}),
        ),
        Form(
            "disposition",
            "Disposition",
            "The signed decision on a quarantined bag.",
            cells.DispositionSigned,
            BoardRight.SIGN_DISPOSITION,
            who="signer",
            why="reason",
            scans=frozenset({"bag_id"}),
            ahead=frozenset({"expires"}),
        ),
        Form(
            "coding",
            "Coding",
            "The coding abstract of a stay or claim. Enter the claim or the admission.",
            revenue.CodingCompleted,
            BoardRight.ENTER_CODING,
            hints={
                "other_diagnoses": "One per line: code, then POA indicator Y, N, U or W unless the code is exempt.",
                "procedures": "One per line: code, then the date, for example 2026-03-02.",
                "ordinal": "1 unless the encounter has several claims of this letter.",
            },
        ),
        Form(
            "certificate",
            "Certificate",
            "A certificate started, ended or changed. Applies to every open encounter that requires it.",
            governance.CertificationChanged,
            BoardRight.ENTER_CERTIFICATES,
            subject="holder",
            hints={
                "holder": "Facility key, NPI of the prescriber, pharmacy or manufacturer, as in the site file.",
                "product": "Empty only for FACT accreditation, which is not per product.",
            },
        ),
        Form(
            "readiness",
            "Center readiness",
            "Resources that an infusion center has on hand now.",
            care.FacilityReadiness,
            BoardRight.ENTER_CERTIFICATES,
            subject="facility",
        ),
        *SERVICE_FORMS,
    )
}

EVIDENCE: Final[Mapping[str, type[BaseModel]]] = {
    kind: variant
    for variant in get_args(get_args(access.Evidence)[0])
    for kind in get_args(variant.model_fields["kind"].annotation)
}
"""The model of each document type."""

DOCUMENT_NAMES: Final[Mapping[str, str]] = {
    "btk_inhibitor": "BTK inhibitor",
    "cd19_flow": "CD19 flow cytometry",
    "cns_status": "CNS status",
    "ecog": "ECOG performance status",
    "fact_certificate": "FACT certificate",
    "lvef": "Left ventricular ejection fraction (LVEF)",
    "rems_letter": "REMS letter",
}
"""Names of document types whose name differs from the key."""

DISPOSITIONS: Final = ("release", "expanded_access", "destroy", "return")


def fields(form: Form, names: Names, holds: Sequence[tuple[str, str]] = (), kind: str = "") -> list[Field]:
    """Returns the inputs of a form.

    Args:
        holds: the holds that may be overridden, by ID and title.
        kind: the document type, for evidence.
    """
    model = EVIDENCE[kind] if kind else form.model
    own = {form.who, form.why} | form.left_out | (ABSENT if kind else set())
    return [_dressed(form, one, names, holds) for one in fields_of(model) if one.path not in own]


def _dressed(form: Form, field: Field, names: Names, holds: Sequence[tuple[str, str]]) -> Field:
    options: Mapping[str, Sequence[tuple[str, str]]] = {
        "hold": holds,
        "product": names.products(),
        "values.product": names.products(),
        "facility": names.facilities(),
        "facilities.apheresis": names.facilities(),
        "facilities.infusion": names.facilities(),
        "coverage.payer": names.payers(),
        "indication": field.options or names.indications(),
        "drug": names.drugs(),
        "step": [(value, names.step(value)) for value, _ in field.options],
        "disposition": [(value, value.replace("_", " ")) for value in DISPOSITIONS],
    }
    chosen = options.get(field.path)
    return replace(
        field,
        label=LABELS.get(field.path, field.label.removeprefix("Values ")),
        kind="choice" if chosen or field.path == "hold" else field.kind,
        options=tuple(chosen) if chosen else field.options,
        hint=(form.hints or {}).get(field.path, ""),
        scan=field.path in form.scans,
        default="1" if field.path == "ordinal" else "",
    )


LABELS: Final[Mapping[str, str]] = {
    "coi_id": "Chain-of-identity ID (COI)",
    "bag_id": "Bag ID",
    "maker_id": "Manufacturer's ID",
    "isbt_128": "ISBT 128 code",
    "din": "Donation identification number (DIN)",
    "ndc": "National Drug Code (NDC)",
    "at": "When",
    "temperature.min": "Lowest temperature",
    "temperature.max": "Highest temperature",
    "crs_grade": "CRS grade",
    "icans_grade": "ICANS grade",
    "principal_poa": "Present on admission (principal)",
    "icu_backup": "ICU bed as backup",
    "viable_car_cells": "Viable CAR-positive cells",
    "role": "Your role",
    "patient.mrn": "Medical record number (MRN)",
    "patient.name.family": "Family name",
    "patient.name.given": "Given name",
    "patient.birth_date": "Birth date",
    "patient.sex": "Sex",
    "patient.address.line": "Street",
    "patient.address.city": "City",
    "patient.address.state": "State (two letters)",
    "patient.address.postal_code": "ZIP code",
    "coverage.payer": "Payer",
    "coverage.plan": "Plan",
    "coverage.member_id": "Member number",
    "facilities.apheresis": "Collection center",
    "facilities.infusion": "Infusion center",
    "prescriber_npi": "NPI of the prescriber",
    "attending_npi": "NPI of the attending provider",
    "weight_kg": "Weight in kg",
    "height_cm": "Height in cm",
    "bsa_m2": "Body surface area in m²",
    "dose_mg": "Dose given, in mg",
    "wasted_mg": "Dose discarded, in mg",
    "acquired_340b": "Acquired under 340B",
    "class": "Class",
    "label.coi_id": "COI on the label",
    "label.hcpcs": "Product code (HCPCS) on the label",
    "label.ndc": "NDC on the label",
    "label.lot": "Lot on the label",
    "verified_by": "Checked at the bedside by",
    "started_at": "Started",
    "ended_at": "Ended",
    "starts_at": "Starts",
    "expires": "Valid until",
    "expires_on": "Expires on",
}
