"""Forms for events of scheduling, registration and chart: referral, appointments, services, stays.

For a center without such a feed, and for downtime. If the feed later sends the same service, retract one of the two entries
on the page of corrections.
"""

from __future__ import annotations

from typing import Final

from app.board.form import Form
from app.board.rights import BoardRight
from domain.events import access, care, cells, governance, revenue

_BAG: Final = frozenset({"bag_id", "label.coi_id", "label.ndc", "label.lot"})
_INFUSION_HINTS: Final = {
    "verified_by": "One person per line; two persons check.",
    "cells_infused": "The count, in whole cells.",
    "label.hcpcs": "As on the label; sets the product code of the claim.",
}
_APPOINTMENT: Final = {"appointment_id": "Number in the scheduling system; it stays the same when rescheduled."}
_STAY: Final = {"admission_id": "Account or visit number in registration; the same until discharge."}

_SERVICES: Final = (
    Form(
        "referral",
        "Referral",
        "A patient is referred for a product; opens an encounter. Enter documents with the Evidence form.",
        access.ReferralReceived,
        BoardRight.ENTER_DOCUMENTS,
        opens=True,
        left_out=frozenset({"evidence"}),
        hints={
            "diagnosis": "ICD-10-CM code with its dot, for example C83.18.",
            "bsa_m2": "Body surface area or height is required for the regimen.",
            "prior_therapies": "Semicolons between: regimen; line; class; agent; started; stopped; response; reason.",
        },
    ),
    Form(
        "appointment",
        "Appointment",
        "A service is booked.",
        access.AppointmentBooked,
        BoardRight.ENTER_CARE,
        hints=_APPOINTMENT,
    ),
    Form(
        "appointment_moved",
        "Appointment rescheduled",
        "A booked service moves to another time.",
        access.AppointmentRescheduled,
        BoardRight.ENTER_CARE,
        hints=_APPOINTMENT,
    ),
    Form(
        "appointment_cancelled",
        "Appointment canceled",
        "A booked service will not take place.",
        access.AppointmentCancelled,
        BoardRight.ENTER_CARE,
        hints=_APPOINTMENT,
    ),
    Form(
        "appointment_missed",
        "Appointment missed",
        "The patient did not come.",
        access.AppointmentMissed,
        BoardRight.ENTER_CARE,
        hints=_APPOINTMENT,
    ),
    Form(
        "collection",
        "Collection",
        "A completed apheresis, with times and identifiers.",
        cells.ApheresisCompleted,
        BoardRight.ENTER_CARE,
        scans=frozenset({"coi_id", "din", "isbt_128", "maker_id"}),
        folded=frozenset({"isbt_128", "maker_id"}),
        hints={"collection_ordinal": "1 for the first collection; a repeat collection is 2, 3 and so on."},
        past=frozenset({"started_at", "ended_at"}),
    ),
    Form(
        "dose",
        "Lymphodepletion dose",
        "One drug on one day, as charted.",
        care.LymphodepletionAdministered,
        BoardRight.ENTER_CARE,
        hints={"wasted_mg": "0 if no part of the vial was discarded."},
        past=frozenset({"date", "started_at", "ended_at"}),
    ),
    Form(
        "infusion_started",
        "Start of infusion",
        "The infusion of the cells starts.",
        care.InfusionStarted,
        BoardRight.ENTER_CARE,
        scans=_BAG,
        hints=_INFUSION_HINTS,
        past=frozenset({"at"}),
    ),
    Form(
        "infusion_stopped",
        "Infusion stopped early",
        "The infusion stopped before the bag was empty.",
        care.InfusionStopped,
        BoardRight.ENTER_CARE,
        why="reason",
        scans=_BAG,
        hints=_INFUSION_HINTS,
        past=frozenset({"at"}),
    ),
    Form(
        "infusion",
        "Infusion",
        "Infusion completed, with the cell count and the label as scanned at the bedside.",
        care.InfusionCompleted,
        BoardRight.ENTER_CARE,
        scans=_BAG,
        hints=_INFUSION_HINTS,
        past=frozenset({"at"}),
    ),
    Form(
        "medication",
        "Medication for toxicity",
        "A drug given for CRS or ICANS, as charted.",
        care.MedicationAdministered,
        BoardRight.ENTER_CARE,
        hints={"wasted_mg": "0 if no part of the vial was discarded."},
        past=frozenset({"at", "ended_at"}),
    ),
    Form(
        "admission",
        "Admission",
        "A stay starts.",
        care.AdmissionStarted,
        BoardRight.ENTER_CARE,
        folded=frozenset({"type", "source", "attending_npi", "reason", "coverage"}),
        hints={
            **_STAY,
            "type": "UB-04 FL 14 code; empty means 3, elective.",
            "source": "UB-04 FL 15 code; empty means 1, non-facility.",
        },
        past=frozenset({"at"}),
    ),
    Form(
        "stay_changed",
        "Change to a stay",
        "The stay has another class, location or payer, or started at another time.",
        care.AdmissionChanged,
        BoardRight.ENTER_CARE,
        hints=_STAY,
    ),
    Form(
        "discharge",
        "Discharge",
        "A stay ends.",
        care.AdmissionEnded,
        BoardRight.ENTER_CARE,
        hints={**_STAY, "discharge_status": "UB-04 FL 17 code, for example 01: home."},
        past=frozenset({"at"}),
    ),
)

_COURSE: Final = (
    Form(
        "authorization_request",
        "Authorization request",
        "The request was sent to the payer.",
        access.AuthorizationSubmitted,
        BoardRight.ENTER_DOCUMENTS,
        hints={"replaces": "Previous authorization number, after a transfer or a manufacturing failure."},
        past=frozenset({"submitted_on"}),
    ),
    Form(
        "manufacture_delayed",
        "Manufacturing delay",
        "The manufacturer reports another release date.",
        cells.ManufacturingDelayed,
        BoardRight.ENTER_CUSTODY,
        why="reason",
        scans=frozenset({"coi_id"}),
    ),
    Form(
        "manufacture_failed",
        "Manufacturing failure",
        "The collection did not give a conforming product.",
        cells.ManufacturingFailed,
        BoardRight.ENTER_CUSTODY,
        why="reason",
        scans=frozenset({"coi_id", "bag_id"}),
        hints={"out_of_specification": "Yes: a product exists but is out of specification. No: no product."},
        past=frozenset({"at"}),
    ),
    Form(
        "plan",
        "Change of plan",
        "Another infusion center, product or setting is planned. Completed services do not change.",
        governance.PlanChanged,
        BoardRight.ENTER_DOCUMENTS,
        why="reason",
        hints={"facilities.apheresis": "Enter both centers, even if only one changes."},
    ),
    Form(
        "withdrawal",
        "End of the encounter",
        "The treatment is stopped.",
        governance.EncounterWithdrawn,
        BoardRight.ENTER_DOCUMENTS,
        past=frozenset({"at"}),
    ),
    Form(
        "acknowledgement",
        "Claim acknowledgment",
        "A response of clearinghouse or payer to a claim by telephone, letter or portal.",
        revenue.ClaimAcknowledged,
        BoardRight.ENTER_CODING,
        found_by="control_number",
        hints={
            "control_number": "Our control number (CLM01) of this claim version, as on its form; a void has its own.",
            "kind": "277CA: the payer accepted or rejected the claim. 999: the file was accepted or rejected.",
            "payer_claim_number": "Payer claim control number; a replacement or void refers to it.",
            "status_codes": "One per line, for example A2:20.",
        },
    ),
)

SERVICE_FORMS: Final = _SERVICES + _COURSE
