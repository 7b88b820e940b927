"""The one patient of the tests. Every value is made up and unmistakable, so that a leak of any of them is found by a search."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

from domain.billing.x12.parties import Address, Identity

MRN = "MRN-CANARY-77"
FAMILY, GIVEN = "Quetzalcoatl", "Xiomara"
BIRTH_DATE = "1961-04-05"
PRESCRIBER = "1234560211"
MEMBER_ID = "1EG4TE5MK73"
"""Of the form that Medicare gives."""

PATIENT: dict[str, Any] = {
    "mrn": MRN,
    "name": {"family": FAMILY, "given": GIVEN},
    "birth_date": BIRTH_DATE,
    "sex": "female",
    "address": {"line": "9 Canary Row", "city": "Springfield", "state": "IL", "postal_code": "62704"},
}

SECRETS = (FAMILY, GIVEN, "CANARY", "Canary Row", BIRTH_DATE, "date(1961", MEMBER_ID)
"""What no decision, hold, alert or log may show."""


def patient(**changes: Any) -> dict[str, Any]:
    """The patient as a referral names them."""
    return {**copy.deepcopy(PATIENT), **changes}


def coverage(payer: str = "medicare", member_id: str = MEMBER_ID) -> dict[str, str]:
    return {"payer": payer, "member_id": member_id}


def identity(family: str = FAMILY, given: str = GIVEN) -> Identity:
    """The patient as a claim file names them."""
    home = PATIENT["address"]
    where = Address(home["line"], home["city"], home["state"], home["postal_code"])
    return Identity(family, given, date.fromisoformat(BIRTH_DATE), PATIENT["sex"], where, MEMBER_ID, MRN)


def referral(**changes: Any) -> dict[str, Any]:
    """The data of a referral: mantle cell lymphoma, Medicare, inpatient infusion at St. Mary; 70 kg and 1.85 m2."""
    data: dict[str, Any] = {
        "product": "tecartus",
        "indication": "mcl",
        "diagnosis": "C83.18",
        "patient": patient(),
        "coverage": coverage(),
        "facilities": {"apheresis": "st_mary", "infusion": "st_mary"},
        "prescriber_npi": PRESCRIBER,
        "planned_setting": "inpatient",
        "weight_kg": "70",
        "bsa_m2": "1.85",
    }
    return data | changes
