"""Forms of what scheduling, registration and the chart send where they are connected: referral, bookings, services, stays.

For a centre without such a feed, and for the hours when it is down. The same events by the same door: what a feed sends later
for the same service is a second entry, to be taken back on the page of corrections.
"""

from __future__ import annotations

from typing import Final

from app.board.form import Form
from app.board.rights import BoardRight
from domain.events import access, care, cells, governance, revenue

_BAG: Final = frozenset({"bag_id", "label.coi_id", "label.ndc", "label.lot"})
_INFUSION_HINTS: Final = {
    "verified_by": "One person per line; two people check.",
    "cells_infused": "The count, in whole cells.",
    "label.hcpcs": "As the label shows it: it decides the product code of the claim.",
}
_APPOINTMENT: Final = {"appointment_id": "Its number in the scheduling system; give the same one when it is moved."}
_STAY: Final = {"admission_id": "Number of the stay or visit in registration; the same one until discharge."}

_SERVICES: Final = (
    Form(
        "referral",
        "Referral",
        "A patient is referred for a product: this opens an encounter. Papers follow by the form Evidence.",
        access.ReferralReceived,
        BoardRight.ENTER_PAPERS,
        opens=True,
        left_out=frozenset({"evidence"}),
        hints={
            "diagnosis": "ICD-10-CM with its dot, for example C83.18.",
            "bsa_m2": "This or the height: the regimen goes by body surface.",
            "prior_therapies": "Parts between semicolons: regimen; line; class; agent; started; stopped; response; reason.",
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
        "Appointment moved",
        "A booked service has another time.",
        access.AppointmentRescheduled,
        BoardRight.ENTER_CARE,
        hints=_APPOINTMENT,
    ),
    Form(
        "appointment_cancelled",
        "Appointment cancelled",
        "A booked service will not be given.",
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
        "A leukapheresis that was done, with its times and identifiers.",
        cells.ApheresisCompleted,
        BoardRight.ENTER_CARE,
        scans=frozenset({"coi_id", "din", "isbt_128", "maker_id"}),
        folded=frozenset({"isbt_128", "maker_id"}),
        hints={"collection_ordinal": "1 for the first; one repeated for want of cells counts on."},
        past=frozenset({"started_at", "ended_at"}),
    ),
    Form(
        "dose",
        "Lymphodepletion dose",
        "One drug on one day, as the chart says it was given.",
        care.LymphodepletionAdministered,
        BoardRight.ENTER_CARE,
        hints={"wasted_mg": "0 where nothing of the vial was discarded."},
        past=frozenset({"date", "started_at", "ended_at"}),
    ),
    Form(
        "infusion_started",
        "Start of infusion",
        "The cells begin to run.",
        care.InfusionStarted,
        BoardRight.ENTER_CARE,
        scans=_BAG,
        hints=_INFUSION_HINTS,
        past=frozenset({"at"}),
    ),
    Form(
        "infusion_stopped",
        "Infusion stopped early",
        "The infusion ended before the bag was empty.",
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
        "The bag is empty: cells given, label as scanned at the bedside.",
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
        hints={"wasted_mg": "0 where nothing of the vial was discarded."},
        past=frozenset({"at", "ended_at"}),
    ),
    Form(
        "admission",
        "Admission",
        "A stay begins.",
        care.AdmissionStarted,
        BoardRight.ENTER_CARE,
        folded=frozenset({"type", "source", "attending_npi", "reason", "coverage"}),
        hints={
            **_STAY,
            "type": "Code of FL 14; empty says 3, elective.",
            "source": "Code of FL 15; empty says 1, not from a facility.",
        },
        past=frozenset({"at"}),
    ),
    Form(
        "stay_changed",
        "Change of a stay",
        "The stay has another class, place or payer, or began at another time.",
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
        hints={**_STAY, "discharge_status": "Code of FL 17, for example 01: home."},
        past=frozenset({"at"}),
    ),
)

_COURSE: Final = (
    Form(
        "authorization_request",
        "Authorization request",
        "The request went to the payer.",
        access.AuthorizationSubmitted,
        BoardRight.ENTER_PAPERS,
        hints={"replaces": "The number it follows, after a transfer or a failed manufacture."},
        past=frozenset({"submitted_on"}),
    ),
    Form(
        "manufacture_delayed",
        "Delay of manufacture",
        "The manufacturer gives another day of release.",
        cells.ManufacturingDelayed,
        BoardRight.ENTER_CUSTODY,
        why="reason",
        scans=frozenset({"coi_id"}),
    ),
    Form(
        "manufacture_failed",
        "Failed manufacture",
        "No conforming product came of the collection.",
        cells.ManufacturingFailed,
        BoardRight.ENTER_CUSTODY,
        why="reason",
        scans=frozenset({"coi_id", "bag_id"}),
        hints={"out_of_specification": "Yes where there is a product that does not conform; no where there is none."},
        past=frozenset({"at"}),
    ),
    Form(
        "plan",
        "Change of plan",
        "Another infusion centre, product or setting is planned. What was done stays as it is.",
        governance.PlanChanged,
        BoardRight.ENTER_PAPERS,
        why="reason",
        hints={"facilities.apheresis": "Both centres, where one changes."},
    ),
    Form(
        "withdrawal",
        "End of the encounter",
        "The treatment does not go on.",
        governance.EncounterWithdrawn,
        BoardRight.ENTER_PAPERS,
        past=frozenset({"at"}),
    ),
    Form(
        "acknowledgement",
        "Answer to a claim",
        "What clearing house or payer said of a claim without a file: by telephone, letter or portal.",
        revenue.ClaimAcknowledged,
        BoardRight.ENTER_CODING,
        found_by="control_number",
        hints={
            "control_number": "Our number of the version (CLM01), as its form shows it; of a void its own.",
            "kind": "277CA: the payer takes the claim in or rejects it. 999: the file can be read or not.",
            "payer_claim_number": "The payer's number of the claim: a replacement or void refers to it.",
            "status_codes": "One per line, for example A2:20.",
        },
    ),
)

SERVICE_FORMS: Final = _SERVICES + _COURSE
