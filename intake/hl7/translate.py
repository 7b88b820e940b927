"""One HL7 message to events of the catalogue. Translation only: whether it fits is the catalogue's to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.store.matching import Hint
from intake.hl7.mapping import Feed, Location, Mapping, first
from intake.hl7.message import Message, NotUsable, moment

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
NUMBER_WIDTH = 20

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merge:
    """Two record numbers are one patient (A40): the old one and the one that stays."""

    old: str
    new: str
    facility: str


@dataclass(frozen=True, slots=True)
class Translation:
    """What a message says. `event` None and no merge: it has nothing to do with CAR-T."""

    event: Json | None = None
    hint: Hint | None = None
    merge: Merge | None = None


class NotOurs(Exception):
    """What the site's mapping says to let pass: it has nothing to do with CAR-T."""


class Unsupported(ValueError):
    """The message type, trigger or version is none that this feed may send."""


def translate(message: Message, feed: Feed, mapping: Mapping) -> Translation:
    """The event a message stands for.

    Raises:
        Unsupported: not a trigger or version of the list.
        NotUsable: a field is missing or has no meaning in the mapping; its path is named, not its value.
    """
    if message.version not in VERSIONS:
        raise Unsupported(f"MSH-12: send one of the versions {', '.join(VERSIONS)}")
    trigger = message.trigger
    if trigger == ("ADT", "A40"):
        return Translation(merge=_merge(message, feed))
    translator = TRIGGERS.get(trigger)
    if translator is None:
        raise Unsupported("MSH-9: this trigger is not taken in here")
    try:
        event_type, subject, data = translator(message, feed, mapping)
    except NotOurs:
        return Translation()
    record = _record_number(message, feed)
    if record is None:
        raise NotUsable("PID-3: no record number of the type the mapping names")
    return Translation(_envelope(message, feed, event_type, subject, data), Hint(record, feed.record_facility))


Translated = tuple[str, str, Json]
"""Event type, subject and data."""


def _booked(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    return _scheduled("cart.appointment.booked", message, feed, mapping)


def _moved(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    return _scheduled("cart.appointment.rescheduled", message, feed, mapping)


def _scheduled(event_type: str, message: Message, feed: Feed, mapping: Mapping) -> Translated:
    stage = _stage(message, feed, mapping)
    place = _location(message, feed, mapping)
    starts = first(message, feed.starts_at, "the start of the appointment")
    data = {
        "appointment_id": _appointment_id(message, feed),
        "stage": stage,
        "starts_at": moment(starts, feed.zone, feed.starts_at[0]).isoformat(),
        "facility": place.facility,
        "setting": place.setting.value,
    }
    return event_type, _order(message, feed) or data["appointment_id"], data


def _cancelled(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    return _ended_appointment("cart.appointment.cancelled", message, feed, mapping)


def _missed(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    return _ended_appointment("cart.appointment.missed", message, feed, mapping)


def _ended_appointment(event_type: str, message: Message, feed: Feed, mapping: Mapping) -> Translated:
    _stage(message, feed, mapping)
    appointment = _appointment_id(message, feed)
    return event_type, _order(message, feed) or appointment, {"appointment_id": appointment}


def _admitted(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    data = {
        "admission_id": _visit(message, feed),
        "facility": _location(message, feed, mapping).facility,
        "at": _at(message, feed, "PV1-44.1", "EVN-6.1", "EVN-2.1").isoformat(),
        "class": _class(message, mapping),
    }
    for field, path, codes in (
        ("type", "PV1-4.1", mapping.admission_types),
        ("source", "PV1-14.1", mapping.admission_sources),
    ):
        value = message.get(path)
        if value is not None:
            data[field] = codes.get(value, value)
    return "cart.admission.started", *_stay(message, feed, data)


def _discharged(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    status = first(message, ("PV1-36.1",), "the discharge disposition")
    data = {
        "admission_id": _visit(message, feed),
        "at": _at(message, feed, "PV1-45.1", "EVN-6.1", "EVN-2.1").isoformat(),
        "discharge_status": mapping.discharge.get(status, status),
    }
    return "cart.admission.ended", *_stay(message, feed, data)


def _changed(message: Message, feed: Feed, mapping: Mapping) -> Translated:
    data = {
        "admission_id": _visit(message, feed),
        "facility": _location(message, feed, mapping).facility,
        "at": _at(message, feed, "EVN-6.1", "EVN-2.1").isoformat(),
        "class": _class(message, mapping),
    }
    return "cart.admission.changed", *_stay(message, feed, data)


def _admission_cancelled(message: Message, feed: Feed, _mapping: Mapping) -> Translated:
    data = {"admission_id": _visit(message, feed), "what": "admission"}
    return "cart.admission.cancelled", *_stay(message, feed, data)


def _discharge_cancelled(message: Message, feed: Feed, _mapping: Mapping) -> Translated:
    data = {"admission_id": _visit(message, feed), "what": "discharge"}
    return "cart.admission.cancelled", *_stay(message, feed, data)


TRIGGERS: dict[tuple[str, str], Callable[[Message, Feed, Mapping], Translated]] = {
    ("SIU", "S12"): _booked,
    ("SIU", "S13"): _moved,
    ("SIU", "S14"): _moved,
    ("SIU", "S15"): _cancelled,
    ("SIU", "S26"): _missed,
    ("ADT", "A01"): _admitted,
    ("ADT", "A03"): _discharged,
    ("ADT", "A04"): _admitted,
    ("ADT", "A06"): _changed,
    ("ADT", "A07"): _changed,
    ("ADT", "A08"): _changed,
    ("ADT", "A11"): _admission_cancelled,
    ("ADT", "A13"): _discharge_cancelled,
}


def _stay(message: Message, feed: Feed, data: Json) -> tuple[str, Json]:
    """Subject and data of a stay. The visit is its subject where the message carries no order."""
    return _order(message, feed) or str(data["admission_id"]), data


def _stage(message: Message, feed: Feed, mapping: Mapping) -> str:
    known = mapping.appointment(first(message, feed.appointment_type, "the appointment type"))
    if known is None:
        raise _unmapped(mapping, f"{feed.appointment_type[0]}: this appointment type is not in the mapping file")
    if known.stage is None:
        raise NotOurs
    return known.stage.value


def _location(message: Message, feed: Feed, mapping: Mapping) -> Location:
    known = mapping.location(first(message, feed.location, "the location"))
    if known is None:
        raise _unmapped(mapping, f"{feed.location[0]}: this location is not in the mapping file")
    return known


def _unmapped(mapping: Mapping, reason: str) -> Exception:
    """What the mapping does not list is kept with its reason, or let pass where the site says so."""
    return NotUsable(reason) if mapping.unmapped == "quarantine" else NotOurs()


def _class(message: Message, mapping: Mapping) -> str:
    known = mapping.patient_classes.get(first(message, ("PV1-2.1",), "the patient class"))
    if known is None:
        raise NotUsable("PV1-2: this patient class is not in the mapping file")
    return known.value


def _appointment_id(message: Message, feed: Feed) -> str:
    return first(message, feed.appointment_id, "the appointment's own number")


def _visit(message: Message, feed: Feed) -> str:
    return first(message, feed.visit, "the visit number")


def _order(message: Message, feed: Feed) -> str | None:
    return next((value for path in feed.order if (value := message.get(path))), None)


def _at(message: Message, feed: Feed, *paths: str) -> datetime:
    return moment(first(message, (*paths, "MSH-7.1"), "the time of the event"), feed.zone, paths[0])


def _record_number(message: Message, feed: Feed) -> str | None:
    """The record number among the identifiers of PID-3: the one of the mapped type, or the only one without a type."""
    identifiers = [
        value for segment in message.all("PID") for value in message.repetitions(segment, 3) if message.part(value, 1)
    ]
    typed = [value for value in identifiers if message.part(value, 5) == feed.record_number_type]
    plain = [value for value in identifiers if message.part(value, 5) is None]
    chosen = typed or (plain if len(identifiers) == 1 else [])
    return message.part(chosen[0], 1) if chosen else None


def _merge(message: Message, feed: Feed) -> Merge:
    new, old = _record_number(message, feed), message.get("MRG-1.1")
    if new is None or old is None:
        raise NotUsable("PID-3 and MRG-1: a merge names the number that stays and the one that goes")
    return Merge(old, new, feed.record_facility)


def _envelope(message: Message, feed: Feed, event_type: str, subject: str, data: Json) -> Json:
    """The CloudEvents envelope. The id keeps the sender's own order for messages of one second."""
    written = first(message, ("MSH-7.1",), "the time of the message")
    number = first(message, ("MSH-10",), "the control id")
    return {
        "specversion": "1.0",
        "id": f"{written}-{number.rjust(NUMBER_WIDTH, '0') if number.isdigit() else number}",
        "source": feed.source,
        "type": event_type,
        "subject": subject,
        "time": moment(written, feed.zone, "MSH-7").isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
