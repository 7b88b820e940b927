"""The forms: what no system sends, entered by people, as the same events of the same catalogue.

Every form asks who and why. Where the event has fields for them they are filled; they always go along as extension
attributes of the envelope, which the inbox keeps under encryption with the rest of the original.
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
            "A paper of the checklist or of the eligibility gate, with the values it documents.",
            access.EvidenceAdded,
            BoardRight.ENTER_PAPERS,
            hints={
                "document": "Its number or place in the document system; no name.",
                "dated": "The date on the paper, not of this entry.",
            },
            past=frozenset({"dated"}),
        ),
        Form(
            "authorization",
            "Authorization decision",
            "The payer's answer. First and last day of validity count.",
            access.AuthorizationDecided,
            BoardRight.ENTER_PAPERS,
            hints={"replaces": "The number it follows, after a transfer or a failed manufacture."},
        ),
        Form(
            "custody",
            "Custody scan",
            "One hand-over. Put the cursor into the first field and scan; Enter leads on.",
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
                "location": "Building and room, or the carrier.",
                "facility": "The centre that holds the cells, after a transfer from one to another.",
                "temperature.min": "Lowest of the logger over the leg, in degrees Celsius.",
                "temperature.max": "Highest of the logger over the leg, in degrees Celsius.",
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
            "The grade a provider documented. Leave a grade empty when it was not assessed; 0 says assessed, none.",
            care.ToxicityAssessed,
            BoardRight.ENTER_CARE,
            folded=frozenset({"findings"}),
            hints={"assessor_role": "For example physician, nurse practitioner."},
            past=frozenset({"at"}),
        ),
        Form(
            "override",
            "Hold override",
            "A signed decision to go on in spite of a hold. It stays on record and falls when its facts change.",
            governance.HoldOverridden,
            BoardRight.OVERRIDE_HOLDS,
            who="signer",
            why="reason",
            ahead=frozenset({"expires"}),
        ),
        Form(
            "disposition",
            "Disposition",
            "What happens to a quarantined bag, and who decided it.",
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
            "The coder's abstract of a stay or a claim. Name the claim or the admission.",
            revenue.CodingCompleted,
            BoardRight.ENTER_CODING,
            hints={
                "other_diagnoses": "One line each: code, then Y, N, U or W unless the code is exempt.",
                "procedures": "One line each: code, then the date as 2026-03-02.",
                "ordinal": "1 unless the encounter has several claims of the letter.",
            },
        ),
        Form(
            "certificate",
            "Certificate",
            "A certificate began, ended or changed. It reaches every open encounter that needs it.",
            governance.CertificationChanged,
            BoardRight.ENTER_CERTIFICATES,
            subject="holder",
            hints={
                "holder": "Facility key, NPI of the prescriber, pharmacy or manufacturer, as in the site file.",
                "product": "Empty only for FACT, which is not per product.",
            },
        ),
        Form(
            "readiness",
            "Readiness of a centre",
            "What an infusion centre has at hand now.",
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
"""The model of each kind of paper: what it documents depends on the kind."""

PAPERS: Final[Mapping[str, str]] = {
    "btk_inhibitor": "BTK inhibitor",
    "cd19_flow": "CD19 flow cytometry",
    "cns_status": "CNS status",
    "ecog": "ECOG performance status",
    "fact_certificate": "FACT certificate",
    "lvef": "Left ventricular ejection fraction (LVEF)",
    "rems_letter": "REMS letter",
}
"""Kinds of paper that are not called by the words of their key."""

DISPOSITIONS: Final = ("release", "expanded_access", "destroy", "return")


def fields(form: Form, names: Names, holds: Sequence[tuple[str, str]] = (), kind: str = "") -> list[Field]:
    """The inputs of a form.

    Args:
        holds: the holds that may be overridden, by id and title.
        kind: the kind of paper, for evidence.
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
    "coi_id": "Chain-of-identity id (COI)",
    "bag_id": "Bag id",
    "maker_id": "Manufacturer's id",
    "isbt_128": "ISBT 128 code",
    "din": "Donation identification number (DIN)",
    "ndc": "National Drug Code (NDC)",
    "at": "When",
    "temperature.min": "Lowest temperature",
    "temperature.max": "Highest temperature",
    "crs_grade": "CRS grade",
    "icans_grade": "ICANS grade",
    "principal_poa": "Present on admission (principal)",
    "icu_backup": "Intensive care bed as backup",
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
    "facilities.apheresis": "Collection at",
    "facilities.infusion": "Infusion at",
    "prescriber_npi": "NPI of the prescriber",
    "attending_npi": "NPI of the attending provider",
    "weight_kg": "Weight in kg",
    "height_cm": "Height in cm",
    "bsa_m2": "Body surface in m²",
    "dose_mg": "Given, in mg",
    "wasted_mg": "Discarded, in mg",
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
