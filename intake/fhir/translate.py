"""Appointment and Encounter of FHIR R4 to events of the catalogue. Each is held against the standard first (`bindings`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from domain.events.care import AdmissionClass
from intake.faults import NotUsable
from intake.fhir.bindings import check_form
from intake.site_mapping import FhirFeed, Location
from intake.site_mapping import SiteMapping as SiteMapping
from store.identifiers import Hint

Json = Mapping[str, Any]
Step = tuple[str, dict[str, Any]]
"""Event type and data."""

APPOINTMENT: Mapping[str, str | None] = {
    "proposed": None,
    "pending": None,
    "waitlist": None,
    "booked": "booked",
    "arrived": "booked",
    "checked-in": "booked",
    "fulfilled": "booked",
    "noshow": "missed",
    "cancelled": "cancelled",
    "entered-in-error": "cancelled",
}
"""AppointmentStatus (required binding) and what it says here; None says nothing yet."""

ENCOUNTER: Mapping[str, str | None] = {
    "planned": None,
    "arrived": None,
    "triaged": None,
    "unknown": None,
    "in-progress": "started",
    "onleave": "started",
    "finished": "ended",
    "cancelled": "cancelled",
    "entered-in-error": "cancelled",
}
"""EncounterStatus (required binding)."""

CLASSES: Mapping[str, AdmissionClass] = {
    "IMP": AdmissionClass.INPATIENT,
    "ACUTE": AdmissionClass.INPATIENT,
    "NONAC": AdmissionClass.INPATIENT,
    "OBSENC": AdmissionClass.OBSERVATION,
    "AMB": AdmissionClass.OUTPATIENT,
    "EMER": AdmissionClass.OUTPATIENT,
    "SS": AdmissionClass.OUTPATIENT,
}
"""ActEncounterCode to the class of a stay."""


OLD = "old"
"""Identifier.use of a number that no longer stands: it may be somebody else's by now."""
UNLISTED = "location: none of them is in the mapping file"


def translate(
    resource: Json, others: Mapping[str, Json], feed: FhirFeed, mapping: SiteMapping
) -> tuple[list[dict[str, Any]], Hint | None]:
    """The events that one version of a resource stands for; none for one that says nothing about CAR-T.

    Raises:
        NotUsable: an element is missing or has no meaning in the mapping; its path is named, not its value.
    """
    check_form(resource)
    if resource.get("resourceType") == "Appointment":
        steps = list(_appointment(resource, others, mapping))
    else:
        steps = list(_encounter(resource, others, mapping))
    if not steps:
        return [], None
    record = record_of(resource, others, feed)
    if record is None:
        raise NotUsable(f"{resource['resourceType']}: no patient with a record number of the system the mapping names")
    order = order_of(resource, others, feed)
    events = [_event(resource, feed, order, number, step) for number, step in enumerate(steps)]
    return events, Hint(record, feed.record_facility)


def record_of(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> str | None:
    """The record number of its patient."""
    appointment = resource.get("resourceType") == "Appointment"
    patients = _actors(resource, "Patient") if appointment else [_dict(resource.get("subject"))]
    return _identifier(patients, others, feed.record_number_system)


def order_of(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> str | None:
    """The number of the order it is based on."""
    return _identifier(_dicts(resource.get("basedOn")), others, feed.order_system)


def place_of(encounter: Json, others: Mapping[str, Json], mapping: SiteMapping) -> Location | None:
    """The listed location of a stay, or None."""
    return _place([_dict(one.get("location")) for one in _dicts(encounter.get("location"))], others, mapping)


def _appointment(resource: Json, others: Mapping[str, Json], mapping: SiteMapping) -> Iterator[Step]:
    said = _status(resource, APPOINTMENT)
    if said is None:
        return
    number = _required(resource, "id")
    if said != "booked":
        # A server may strip what was entered in error to its id: such a one is undone by its number alone.
        if not _types(resource) or _stage(resource, mapping):
            yield f"cart.appointment.{said}", {"appointment_id": number}
        return
    stage = _stage(resource, mapping)
    if stage is None:
        return
    place = _place(_actors(resource, "Location"), others, mapping)
    if place is None:  # also on a feed of the whole hospital: an appointment of a listed type is a patient's here
        raise NotUsable(UNLISTED)
    data = {
        "appointment_id": number,
        "stage": stage,
        "starts_at": _required(resource, "start"),
        "facility": place.facility,
        "setting": place.setting.value,
    }
    yield "cart.appointment.booked", data
    if _version(resource) != "1":
        # A later version may undo a cancellation or a missed appointment: it is a move, too.
        yield "cart.appointment.rescheduled", data


def _stage(resource: Json, mapping: SiteMapping) -> str | None:
    """The stage of an appointment; None for one that has nothing to do with CAR-T."""
    known = next((found for code in _types(resource) if (found := mapping.appointment(code))), None)
    if known is None:
        if mapping.whole_hospital:
            return None
        raise NotUsable("Appointment.appointmentType: this type is not in the mapping file")
    return known.stage.value if known.stage else None


def _types(resource: Json) -> list[str]:
    """What kind of appointment it is, by every code that may say so."""
    service = [code for kind in _dicts(resource.get("serviceType")) for code in _codes(kind)]
    return [*_codes(resource.get("appointmentType")), *service]


def _encounter(resource: Json, others: Mapping[str, Json], mapping: SiteMapping) -> Iterator[Step]:
    said = _status(resource, ENCOUNTER)
    if said is None:
        return
    visit = _required(resource, "id")
    if said == "cancelled":
        yield "cart.admission.cancelled", {"admission_id": visit, "what": "admission"}
        return
    place = place_of(resource, others, mapping)
    if place is None and not mapping.whole_hospital:
        raise NotUsable(UNLISTED)
    if place is None:
        return
    period = _dict(resource.get("period"))
    stays = _classes(resource)
    started = {"admission_id": visit, "facility": place.facility, "at": _required(period, "start", "Encounter.period.")}
    yield "cart.admission.started", started | {"class": stays[0][0].value}
    for kind, since in stays[1:]:
        yield "cart.admission.changed", {"admission_id": visit, "at": since, "class": kind.value}
    if said == "ended":
        yield "cart.admission.ended", _ended(resource, visit, period, mapping)


def _ended(resource: Json, visit: str, period: Json, mapping: SiteMapping) -> dict[str, Any]:
    disposition = _dict(_dict(resource.get("hospitalization")).get("dischargeDisposition"))
    code = next(iter(_codes(disposition)), None)
    if code is None:
        raise NotUsable("Encounter.hospitalization.dischargeDisposition: missing on a finished encounter")
    at = _required(period, "end", "Encounter.period.")
    return {"admission_id": visit, "at": at, "discharge_status": mapping.discharge.get(code, code)}


def _classes(resource: Json) -> list[tuple[AdmissionClass, str]]:
    """The classes of a stay with their beginnings, oldest first. Without a history the present class is the only one."""
    history = [
        (_class(one.get("class")), str(_dict(one.get("period")).get("start", "")))
        for one in _dicts(resource.get("classHistory"))
    ]
    if any(not since for _, since in history):
        raise NotUsable("Encounter.classHistory.period.start: missing")
    return sorted(history, key=lambda one: one[1]) or [(_class(resource.get("class")), "")]


def _class(coding: Any) -> AdmissionClass:
    known = CLASSES.get(str(_dict(coding).get("code")))
    if known is None:
        raise NotUsable("Encounter.class: not a class that a stay may have (ActEncounterCode)")
    return known


def _status(resource: Json, known: Mapping[str, str | None]) -> str | None:
    """What a status says here; an element that is missing, or stated by an extension alone, says nothing."""
    status = resource.get("status")
    if status not in known:
        raise NotUsable(f"{resource['resourceType']}.status: missing")
    return known[str(status)]


def _place(references: list[Json], others: Mapping[str, Json], mapping: SiteMapping) -> Location | None:
    """The mapped location of the references, by identifier or display, or None."""
    for reference in references:
        names = [reference.get("display"), _dict(reference.get("identifier")).get("value")]
        target = _dict(others.get(str(reference.get("reference"))))
        names += [target.get("name"), *(one.get("value") for one in _dicts(target.get("identifier")))]
        for name in names:
            if isinstance(name, str) and (found := mapping.location(name)):
                return found
    return None


def _actors(resource: Json, kind: str) -> list[Json]:
    """The references of participants to one type of resource."""
    actors = [_dict(one.get("actor")) for one in _dicts(resource.get("participant"))]
    return [actor for actor in actors if actor.get("type") == kind or f"{kind}/" in str(actor.get("reference", ""))]


def _identifier(references: list[Json], others: Mapping[str, Json], system: str | None) -> str | None:
    """An identifier of the system, in the references themselves or in the resources they name."""
    for reference in references:
        target = _dict(others.get(str(reference.get("reference"))))
        for identifier in [_dict(reference.get("identifier")), *_dicts(target.get("identifier"))]:
            value = identifier.get("value")
            if identifier.get("use") == OLD:
                continue
            if system is not None and identifier.get("system") == system and isinstance(value, str) and value:
                return value
    return None


def _event(resource: Json, feed: FhirFeed, order: str | None, number: int, step: Step) -> dict[str, Any]:
    event_type, data = step
    reference = f"{resource['resourceType']}/{resource['id']}"
    meta = _dict(resource.get("meta"))
    return {
        "specversion": "1.0",
        "id": f"{reference}/_history/{_version(resource)}.{number}",
        "source": feed.source,
        "type": event_type,
        "subject": order or str(resource["id"]),
        "time": _required(meta, "lastUpdated", "meta."),
        "datacontenttype": "application/json",
        "data": data,
    }


def _version(resource: Json) -> str:
    return _required(_dict(resource.get("meta")), "versionId", "meta.")


def _required(value: Json, key: str, prefix: str = "") -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise NotUsable(f"{prefix}{key}: missing")
    return found


def _codes(concept: Any) -> list[str]:
    return [str(one["code"]) for one in _dicts(_dict(concept).get("coding")) if "code" in one]


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
