"""Every form of the board filled in, and where each is opened."""

from __future__ import annotations

from app.board.forms import FORMS
from tests.app.board.conftest import Board

CUSTODY = {"step": "stored", "coi_id": "COI-D", "at": "2026-06-24T10:15", "location": "Lab 2", "bag_id": "BAG-D-1"}


INFUSION = {
    "bag_id": "BAG-D-1", "facility": "st_mary", "setting": "inpatient", "at": "2026-06-24T10:15", "access": "central",
    "label.coi_id": "COI-D", "label.hcpcs": "Q2053", "label.ndc": "71287-219-01", "label.lot": "LOT-1",
    "verified_by": "staff-1\r\nstaff-2",
}  # fmt: skip


FILLED = {
    "authorization": {"number": "AUTH-9", "decision": "approved", "valid_from": "2026-05-01", "valid_to": "2026-09-01"},
    "custody": CUSTODY,
    "release": {
        "coi_id": "COI-D", "bag_id": "BAG-D-1", "lot": "LOT-1", "ndc": "71287-219-01", "viable_car_cells": "150000000",
        "expires_on": "2027-01-01", "certificate": "COA-1", "released_at": "2026-06-20T08:00",
    },
    "toxicity": {
        "at": "2026-06-24T10:15", "crs_grade": "0", "icans_grade": "", "scale": "astct_2019", "assessor_role": "nurse",
        "findings.temperature_c": "38.5", "findings.hypotension": "no",
    },
    "disposition": {"bag_id": "BAG-D-1", "disposition": "return", "role": "admin"},
    "coding": {
        "claim": "C", "ordinal": "1", "principal_diagnosis": "C83.18", "principal_poa": "Y",
        "other_diagnoses": "D70.1 Y\r\nZ51.11\r\n", "procedures": "XW033M7 2026-06-10",
    },
    "certificate": {"layer": "fact", "holder": "lakeside", "status": "active", "valid_from": "2026-01-01"},
    "readiness": {"facility": "lakeside", "tocilizumab_doses": "4", "icu_backup": "yes"},
    "appointment": {
        "appointment_id": "APPT-7", "stage": "infusion", "starts_at": "2026-07-20T09:00", "facility": "st_mary",
        "setting": "inpatient",
    },
    "appointment_moved": {
        "appointment_id": "APPT-7", "stage": "infusion", "starts_at": "2026-07-21T09:00", "facility": "st_mary",
        "setting": "inpatient",
    },
    "appointment_cancelled": {"appointment_id": "APPT-7", "reason": "no bed"},
    "appointment_missed": {"appointment_id": "APPT-7"},
    "collection": {
        "facility": "st_mary", "setting": "outpatient", "coi_id": "COI-D", "din": "G123498654321",
        "collection_ordinal": "1", "started_at": "2026-06-20T08:00", "ended_at": "2026-06-20T12:00", "access": "central",
    },
    "dose": {
        "drug": "fludarabine", "date": "2026-06-20", "dose_mg": "55.5", "wasted_mg": "0", "ndc": "00703-4852-11",
        "started_at": "2026-06-20T08:00", "ended_at": "2026-06-20T08:40", "route": "iv_infusion", "setting": "outpatient",
        "facility": "st_mary", "acquired_340b": "no",
    },
    "infusion_started": INFUSION,
    "infusion_stopped": INFUSION,
    "infusion": {**INFUSION, "cells_infused": "150000000"},
    "medication": {
        "drug": "tocilizumab", "ndc": "50242-0137-01", "dose_mg": "560", "wasted_mg": "0", "at": "2026-06-20T08:00",
        "indication": "crs", "setting": "inpatient",
    },
    "admission": {"admission_id": "ADM-7", "facility": "st_mary", "at": "2026-06-20T08:00", "class": "inpatient"},
    "stay_changed": {"admission_id": "ADM-7", "at": "2026-06-20T09:00", "class": "observation"},
    "authorization_request": {"number": "AUTH-9", "submitted_on": "2026-06-01"},
    "manufacture_delayed": {"coi_id": "COI-D", "new_release_date": "2026-08-01"},
    "manufacture_failed": {"coi_id": "COI-D", "at": "2026-06-20T08:00", "out_of_specification": "no"},
    "plan": {"planned_setting": "outpatient"},
    "withdrawal": {"reason": "choice"},
    "acknowledgement": {"control_number": "CE0000000001", "kind": "277CA", "accepted": "yes", "status_codes": "A2:20"},
    "discharge": {"admission_id": "ADM-7", "at": "2026-06-24T09:00", "discharge_status": "01"},
}  # fmt: skip


def path_of(board: Board, key: str) -> str:
    alone = FORMS[key].subject is not None
    return f"/forms/{key}" if alone else f"/encounters/{board.held}/forms/{key}"
