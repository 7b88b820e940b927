"""Appointment and Encounter of FHIR R4 to events of the catalogue. Each is held against the standard first (`bindings`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.events import InvalidEvent, parse
from domain.events.care import AdmissionClass
from domain.events.characters import forbidden
from intake.faults import NotUsable
from intake.fhir.forms import in_form
from intake.fhir.json_values import Json, codings, mapping, mappings, texts
from intake.fhir.notification import zoned
from intake.fhir.references import PLACES, References
from intake.site_mapping import NOTHING_KNOWN, REORDERED, FhirFeed, Known, Location, Named
from intake.site_mapping import SiteMapping as SiteMapping
from store.fhir import Stamp
from store.identifiers import Hint

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
"""Identifier.use of a number that is not in effect any more: it may belong to another patient by now."""
UNLISTED = "location: none of them is in the mapping file"
NAMED_ONLY = "location: known by reference only, and not in the mapping file"
OTHER_NUMBER = "known here under another of its numbers: see whether it is the same, and change or cancel it there"
NO_FL17 = "Encounter.hospitalization.dischargeDisposition: neither in discharge of the mapping file nor a code of FL 17"
BOOKED_HERE = "and the appointment is booked here"
VENDOR_CLASS, CODE_OF_ONE_DIGIT, TYPE_BY_TEXT = "class_of_vendor", "discharge_code_of_one_digit", "type_by_text"
NO_VERSION = "version_missing"
OID = "urn:oid:"


@dataclass(frozen=True, slots=True)
class Translation:
    """What one version of a resource says. No steps: it has nothing to do with CAR-T, or no effect yet.

    Attributes:
        order: the number of the order it is based on.
        retain: how long its events are retained when no patient is known by them, on a feed of the whole hospital; None where
            they need work.
        departures: in what it departs from the standard.
    """

    steps: tuple[Step, ...] = ()
    order: str | None = None
    hint: Hint | None = None
    retain: timedelta | None = None
    departures: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Reading:
    """A resource on its way: in the form of R4, with what its references name and what the mapping says."""

    resource: Json
    references: References
    feed: FhirFeed
    mapping: SiteMapping
    known: Known
    departures: set[str]


def translate(
    resource: Json, others: Mapping[str, Json], feed: FhirFeed, mapping_file: SiteMapping, known: Known = NOTHING_KNOWN
) -> Translation:
    """What one version of a resource stands for.

    Args:
        known: what it names that is known here. A booking or a stay that is known ends whatever type or place it has.

    Raises:
        NotUsable: an element is missing or has no meaning in the mapping; its path is named, not its value.
    """
    form = in_form(resource, feed, mapping_file)
    references = References(form.resource, others, feed)
    reading = _Reading(form.resource, references, feed, mapping_file, known, set(form.departures))
    appointment = form.resource.get("resourceType") == "Appointment"
    translated = _appointment(reading) if appointment else _encounter(reading)
    if not translated.steps:
        return translated
    meta = mapping(form.resource.get("meta"))
    if not texts(meta.get("versionId")) or not texts(meta.get("lastUpdated")):
        reading.departures.add(NO_VERSION)
    order = order_of(form.resource, others, feed)
    found = Translation(translated.steps, order, translated.hint, translated.retain, frozenset(reading.departures))
    for event in envelopes(found, form.resource, feed, Stamp("1", "2000-01-01T00:00:00+00:00")):
        _fits(event)
    return found


def envelopes(translated: Translation, resource: Json, feed: FhirFeed, stamp: Stamp) -> tuple[dict[str, Any], ...]:
    """The CloudEvents of a version. Its id keeps the order of its steps."""
    reference = f"{resource['resourceType']}/{resource['id']}"
    return tuple(
        {
            "specversion": "1.0",
            "id": f"{reference}/_history/{stamp.version}.{number}",
            "source": feed.source,
            "type": event_type,
            "subject": translated.order or str(resource["id"]),
            "time": stamp.at,
            "datacontenttype": "application/json",
            "data": data,
        }
        for number, (event_type, data) in enumerate(translated.steps)
        if event_type != MOVED or stamp.version != "1" or not _begins(translated.steps)
    )


MOVED = "cart.appointment.rescheduled"


def _begins(steps: tuple[Step, ...]) -> bool:
    return steps[0][0] == "cart.appointment.booked"


def named_in(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> Named:
    """The numbers by which a resource may be about something that is known here."""
    own = tuple(texts(resource.get("id")))
    numbers = (*own, *_own_numbers(resource))
    order = order_of(resource, others, feed)
    orders = (order,) if order else ()
    if resource.get("resourceType") == "Appointment":
        return Named(orders=orders, appointments=numbers)
    return Named(orders=orders, visits=numbers)


def has_effect(resource: Json) -> bool:
    """Whether its status says that something is planned or was done: one that is only proposed has none yet."""
    table = APPOINTMENT if resource.get("resourceType") == "Appointment" else ENCOUNTER
    status = resource.get("status")
    return not isinstance(status, str) or table.get(status, status) is not None


def record_of(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> str | None:
    """The record number of its patient."""
    references = References(resource, others, feed)
    return _identifier(patients_of(resource, references), references, feed.record_number_system)


def order_of(resource: Json, others: Mapping[str, Json], feed: FhirFeed) -> str | None:
    """The number of the order it is based on."""
    return _identifier(mappings(resource.get("basedOn")), References(resource, others, feed), feed.order_system)


def place_of(encounter: Json, others: Mapping[str, Json], feed: FhirFeed, mapping_file: SiteMapping) -> Location | None:
    """The listed location of a stay, or None."""
    return _place(_places(encounter), References(encounter, others, feed), mapping_file)


def patients_of(resource: Json, references: References) -> list[Json]:
    """The references to its patient."""
    subject = mapping(resource.get("subject"))
    if resource.get("resourceType") == "Encounter":
        return [subject]
    return [*_actors(resource, references, ("Patient",)), *([subject] if subject else [])]


def _own_numbers(resource: Json) -> list[str]:
    """Its own identifiers of a business: numbers of the appointment or of the visit."""
    return texts(*(one.get("value") for one in mappings(resource.get("identifier")) if one.get("use") != OLD))


def _fits(event: Mapping[str, Any]) -> None:
    """An event that does not fit the catalog is the mapping's to correct: its resource is kept whole."""
    try:
        parse(event)
    except InvalidEvent as error:
        if any(problem.path == "data.discharge_status" for problem in error.problems):
            raise NotUsable(NO_FL17) from None
        raise NotUsable("; ".join(f"{one.path}: {one.message}" for one in error.problems)) from None


def _hint(reading: _Reading) -> Hint:
    record = record_of(reading.resource, reading.references.others, reading.feed)
    if record is None:
        kind = reading.resource["resourceType"]
        raise NotUsable(f"{kind}: no patient with a record number of the system the mapping names")
    if forbidden(record):
        raise NotUsable("Patient.identifier: a record number with a control character or a mark of writing direction")
    return Hint(record, reading.feed.record_facility)


def _appointment(reading: _Reading) -> Translation:
    """A booking, its move or its end. What ends one that is known needs neither type nor place nor patient."""
    resource = reading.resource
    said, number = _status(resource, APPOINTMENT), _required(resource, "id")
    own = number == reading.known.appointment
    if said is None:
        # A booking that is pending again is none; when it is made again, its server says so.
        ended = (("cart.appointment.cancelled", {"appointment_id": number}),)
        return Translation(ended if own else (), departures=frozenset(reading.departures))
    if said != "booked":
        ended = ((f"cart.appointment.{said}", {"appointment_id": number}),)
        if own:
            return Translation(ended)
        if reading.known.appointment is not None:
            raise NotUsable(f"Appointment.identifier: {OTHER_NUMBER}")
        # A server may strip what was entered in error to its id: such a one is undone by its number alone.
        if _types(resource) and _stage(reading) is None:
            return Translation()
        return Translation(ended, hint=_hint(reading))
    stage = _stage(reading)
    if stage is None and own and _types(resource):
        raise NotUsable(f"Appointment.appointmentType: this type is not in the mapping file, {BOOKED_HERE}")
    if stage is None and not own:
        return Translation()
    return Translation(_booked(reading, number, stage, own), hint=_hint(reading))


def _booked(reading: _Reading, number: str, stage: str | None, own: bool) -> tuple[Step, ...]:
    resource = reading.resource
    stated = _actors(resource, reading.references, PLACES)
    place = _place(stated, reading.references, reading.mapping)
    if place is None and (stated or not own):
        # Also on a feed of the whole hospital: an appointment of a listed type is a patient's here.
        raise NotUsable(NAMED_ONLY if reading.references.unknown(stated, PLACES) else UNLISTED)
    data: dict[str, Any] = {"appointment_id": number, "starts_at": _required(resource, "start")}
    if stage is not None:
        data["stage"] = stage
    if place is not None:
        data |= {"facility": place.facility, "setting": place.setting.value}
    if stage is None or place is None:
        return ((MOVED, data),)
    # A later version may undo a cancellation or a missed appointment: it is a move, too.
    return ("cart.appointment.booked", data), (MOVED, data)


def _stage(reading: _Reading) -> str | None:
    """The stage of an appointment; None for one that has nothing to do with CAR-T.

    Raises:
        NotUsable: its types are not listed, or stand for different stages.
    """
    resource, mapping_file = reading.resource, reading.mapping
    listed = [found for code in _types(resource) if (found := mapping_file.appointment(code)) is not None]
    stages = {one.stage.value for one in listed if one.stage is not None}
    if len(stages) > 1:
        raise NotUsable("Appointment.appointmentType: types of several stages; send an appointment for each")
    if stages:
        if not any(mapping_file.appointment(code) for code in _type_codes(resource)):
            reading.departures.add(TYPE_BY_TEXT)
        return stages.pop()
    if listed or mapping_file.whole_hospital or resource["id"] == reading.known.appointment:
        return None
    raise NotUsable("Appointment.appointmentType: this type is not in the mapping file")


def _types(resource: Json) -> list[str]:
    """What kind of appointment it is, by every code or text that may say so."""
    concepts = [mapping(resource.get("appointmentType")), *mappings(resource.get("serviceType"))]
    return [*_type_codes(resource), *texts(*(one.get("text") for one in concepts))]


def _type_codes(resource: Json) -> list[str]:
    service = [code for kind in mappings(resource.get("serviceType")) for code in _codes(kind)]
    return [*_codes(resource.get("appointmentType")), *service]


def _encounter(reading: _Reading) -> Translation:
    resource, mapping_file = reading.resource, reading.mapping
    said, visit = _status(resource, ENCOUNTER), _required(resource, "id")
    retain = mapping_file.retain_for if mapping_file.whole_hospital else None
    if said is None:
        return Translation(departures=frozenset(reading.departures))
    if said == "cancelled":
        undone = (("cart.admission.cancelled", {"admission_id": visit, "what": "admission"}),)
        if visit in reading.known.visits:
            return Translation(undone)
        if reading.known.visits:
            raise NotUsable(f"Encounter.identifier: {OTHER_NUMBER}")
        if mapping_file.whole_hospital and _record(reading) is None:
            return Translation(undone, retain=REORDERED)
        return Translation(undone, hint=_hint(reading), retain=retain)
    places = _places(resource)
    place = _place(places, reading.references, mapping_file)
    if place is None:
        return _elsewhere(reading, said, visit, places)
    period = mapping(resource.get("period"))
    stays = _classes(reading)
    started = {"admission_id": visit, "facility": place.facility, "at": _required(period, "start", "Encounter.period.")}
    steps = [("cart.admission.started", started | {"class": stays[0][0].value})]
    steps += [
        ("cart.admission.changed", {"admission_id": visit, "at": since, "class": kind.value})
        for kind, since in stays[1:]
    ]
    if said == "ended":
        steps.append(("cart.admission.ended", _ended(reading, visit)))
    return Translation(tuple(steps), hint=_hint(reading), retain=retain)


def _record(reading: _Reading) -> str | None:
    return record_of(reading.resource, reading.references.others, reading.feed)


def _elsewhere(reading: _Reading, said: str, visit: str, places: list[Json]) -> Translation:
    """A stay at a place that is not listed: only the stay itself tells whether it is ours, not whose it is.

    Its end is applied where the stay is known, or kept for a short time, in case its beginning comes after it.
    """
    mapping_file, own = reading.mapping, visit in reading.known.visits
    if not own and reading.references.unknown(places, PLACES):
        raise NotUsable(f"Encounter.{NAMED_ONLY}")
    if not own and not mapping_file.whole_hospital:
        raise NotUsable(UNLISTED)
    if not own and reading.known.visits:
        raise NotUsable(f"Encounter.identifier: {OTHER_NUMBER}")
    if said == "ended":
        retain = REORDERED if mapping_file.whole_hospital else None
        return Translation((*_changes(reading, visit), ("cart.admission.ended", _ended(reading, visit))), retain=retain)
    return Translation(_changes(reading, visit) if own else ())


def _changes(reading: _Reading, visit: str) -> tuple[Step, ...]:
    """The classes of a stay whose beginning was reported before."""
    at = _required(mapping(reading.resource.get("period")), "start", "Encounter.period.")
    stays = [(kind, since or at) for kind, since in _classes(reading)]
    data = [{"admission_id": visit, "at": since, "class": kind.value} for kind, since in stays]
    return tuple(("cart.admission.changed", one) for one in data)


def _ended(reading: _Reading, visit: str) -> dict[str, Any]:
    period = mapping(reading.resource.get("period"))
    stay = mapping(reading.resource.get("hospitalization"))
    codes = _codes(stay.get("dischargeDisposition"))
    if not codes:
        raise NotUsable("Encounter.hospitalization.dischargeDisposition: missing on a finished encounter")
    at = _required(period, "end", "Encounter.period.")
    listed = reading.mapping.discharge
    found = next((listed[code] for code in codes if code in listed), None) or codes[0]
    if len(found) == 1 and found.isdigit():
        reading.departures.add(CODE_OF_ONE_DIGIT)
        found = found.rjust(2, "0")
    return {"admission_id": visit, "at": at, "discharge_status": found}


def _classes(reading: _Reading) -> list[tuple[AdmissionClass, str]]:
    """The classes of a stay with their beginnings, oldest first. Without a history the present class is the only one."""
    resource = reading.resource
    history = [
        (_class(one.get("class"), reading), str(mapping(one.get("period")).get("start", "")))
        for one in mappings(resource.get("classHistory"))
    ]
    if any(not since for _, since in history):
        raise NotUsable("Encounter.classHistory.period.start: missing")
    return sorted(history, key=lambda one: _moment(one[1])) or [(_class(resource.get("class"), reading), "")]


def _moment(value: str) -> datetime:
    found = zoned(value)
    if found is None:
        raise NotUsable("Encounter.classHistory.period.start: not a time")
    return found


def _class(stated: Any, reading: _Reading) -> AdmissionClass:
    """The class of a stay, by the mapping file or ActEncounterCode; R5 has a list of concepts.

    Raises:
        NotUsable: it is neither, or several that differ.
    """
    concepts = stated if isinstance(stated, list) else [stated]
    every = [coding for concept in concepts for coding in codings(concept) or [mapping(concept)]]
    found = {kind for coding in every if (kind := _class_of(coding, reading)) is not None}
    if len(found) > 1:
        raise NotUsable("Encounter.class: classes that differ; send the one that counts")
    if not found:
        raise NotUsable("Encounter.class: neither in patient_classes of the mapping file nor an ActEncounterCode")
    return found.pop()


def _class_of(coding: Json, reading: _Reading) -> AdmissionClass | None:
    listed, code = reading.mapping.patient_classes, str(coding.get("code"))
    for name in (f"{coding.get('system')}|{code}", code, *texts(coding.get("display"), coding.get("text"))):
        if name in listed:
            reading.departures.add(VENDOR_CLASS)
            return listed[name]
    return CLASSES.get(code)


def _status(resource: Json, known: Mapping[str, str | None]) -> str | None:
    """What a status says here; an element that is missing, or stated by an extension alone, says nothing."""
    status = resource.get("status")
    if status not in known:
        raise NotUsable(f"{resource['resourceType']}.status: missing")
    return known[str(status)]


def _place(stated: list[Json], references: References, mapping_file: SiteMapping) -> Location | None:
    """The mapped location of the references, by anything it is called, or None."""
    for reference in stated:
        for name in references.names_of_place(reference):
            if found := mapping_file.location(name):
                return found
    return None


def _places(encounter: Json) -> list[Json]:
    return [mapping(one.get("location")) for one in mappings(encounter.get("location"))]


def _actors(resource: Json, references: References, kinds: tuple[str, ...]) -> list[Json]:
    """The references of participants to resources of these types; those of no stated type may be of any."""
    actors = [mapping(one.get("actor")) for one in mappings(resource.get("participant"))]
    return [actor for actor in actors if actor and references.kind(actor) in (*kinds, None)]


def _identifier(stated: list[Json], references: References, system: str | None) -> str | None:
    """An identifier of the system, in the references themselves or in the resources they name."""
    if system is None:
        return None
    for reference in stated:
        target = references.target(reference)
        for identifier in [mapping(reference.get("identifier")), *mappings(target.get("identifier"))]:
            value = identifier.get("value")
            if identifier.get("use") == OLD or _plain(identifier.get("system")) != _plain(system):
                continue
            if isinstance(value, str) and value:
                return value
    return None


def _plain(system: Any) -> str:
    """A system as it is compared: servers write an OID with and without its scheme."""
    return str(system or "").removeprefix(OID).rstrip("/")


def _required(value: Json, key: str, prefix: str = "") -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise NotUsable(f"{prefix}{key}: missing")
    return found


def _codes(concept: Any) -> list[str]:
    return [str(one["code"]) for one in codings(concept) if "code" in one]
