"""A small feed of the patient, and single events to vary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kit.patient import MRN, coverage, patient
from tests.kit.patient import referral as of_patient

ANCHOR = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
SOURCE = "urn:example:scheduling"

Event = dict[str, Any]


def event(id: str, type: str, data: Event, *, subject: str = "ORD-1", day: int = 0, source: str = SOURCE) -> Event:
    """An envelope around data."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "subject": subject,
        "time": (ANCHOR + timedelta(days=day)).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }


def referral(id: str = "ref-1", subject: str = "ORD-1", product: str = "tecartus", mrn: str = MRN) -> Event:
    return event(
        id,
        "cart.referral.received",
        of_patient(product=product, patient=patient(mrn=mrn), coverage=coverage("medicare", "1EG4-CANARY-MEMBER")),
        subject=subject,
        day=-20,
    )


def booking(id: str = "book-1", subject: str = "ORD-1", appointment: str = "APPT-1", stage: str = "apheresis") -> Event:
    return event(
        id,
        "cart.appointment.booked",
        {
            "appointment_id": appointment,
            "stage": stage,
            "starts_at": ANCHOR.isoformat(),
            "facility": "st_mary",
            "setting": "outpatient",
        },
        subject=subject,
        day=-10,
    )


def collection(id: str = "aph-1", subject: str = "ORD-1", coi: str = "COI-1", din: str = "DIN-1") -> Event:
    return event(
        id,
        "cart.apheresis.completed",
        {
            "facility": "st_mary",
            "setting": "outpatient",
            "coi_id": coi,
            "din": din,
            "collection_ordinal": 1,
            "started_at": ANCHOR.isoformat(),
            "ended_at": (ANCHOR + timedelta(hours=4)).isoformat(),
            "access": "peripheral",
        },
        subject=subject,
    )


def custody(
    id: str = "cus-1", subject: str = "COI-1", coi: str = "COI-1", step: str = "packed", by: str = "J. Doe"
) -> Event:
    return event(
        id,
        "cart.custody.recorded",
        {"step": step, "coi_id": coi, "at": (ANCHOR + timedelta(hours=5)).isoformat(), "by": by, "location": "Lab 2"},
        subject=subject,
    )


def certificate(id: str = "cert-1", status: str = "active") -> Event:
    return event(
        id,
        "cart.certification.changed",
        {"layer": "fact", "holder": "st_mary", "status": status, "valid_from": "2024-01-01"},
        subject="st_mary",
        day=-40,
    )


def correction(id: str, of: Event, *, replacement: Event | None = None, subject: str = "ORD-1") -> Event:
    data: Event = {"of": {"source": of["source"], "id": of["id"]}, "reason": "typing error", "signer": "A. Nurse"}
    data |= {"retract": True} if replacement is None else {"replacement": replacement}
    return event(id, "cart.correction.made", data, subject=subject, day=5)


def feed() -> list[Event]:
    """One patient from referral to the first transfer, with a correction and a certificate."""
    collected = collection()
    fixed = {**collected["data"], "access": "central"}
    return [
        certificate(),
        referral(),
        booking(),
        collected,
        custody(),
        event(
            "auth-1",
            "cart.authorization.decided",
            {"number": "PA-1", "decision": "approved", "valid_from": "2026-02-01", "valid_to": "2026-05-01"},
            day=-5,
        ),
        correction("corr-1", collected, replacement=fixed),
    ]
