"""One HL7 message to events of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.events import InvalidEvent, parse
from intake.faults import Fault, NotListed, NotUsable, Unsupported
from intake.hl7.message import CODE, Message, first, moment
from intake.hl7.patient import merged, record_number
from intake.site_mapping import REORDERED, Feed, Location, SiteMapping
from store.identifiers import Hint

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
NUMBER_WIDTH = 20
UNLISTED = "this location is not in the mapping file"

CODED = {
    "data.discharge_status": "PV1-36.1: this discharge disposition is neither in the mapping file nor a code of FL 17",
    "data.type": "PV1-4.1: this admission type is neither in the mapping file nor a code of FL 14",
    "data.source": "PV1-14.1: this admission source is neither in the mapping file nor a code of FL 15",
}
"""Fields of an event that carry a code of the hospital where the mapping does not list it."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merge:
    """Two record numbers are one patient (A40): the old one and the one that stays."""

    old: str
    new: str
    facility: str


@dataclass(frozen=True, slots=True)
class Translation:
    """What a message says. No events and no merge: it has nothing to do with CAR-T.

    Attributes:
        aside: how long its events are kept when nobody is known by them, on a feed of the whole hospital; None where that
            is somebody's work.
    """

    events: tuple[Json, ...] = ()
    hint: Hint | None = None
    merge: Merge | None = None
    aside: timedelta | None = None


class NotOurs(Exception):
    """What the site's mapping says to let pass: it has nothing to do with CAR-T."""


def translate(message: Message, feed: Feed, mapping: SiteMapping) -> Translation:
    """The events a message stands for, each of which fits the catalogue; all of them are applied or none.

    Raises:
        Unsupported: not a trigger, version or mode of the list.
        NotUsable: a field is missing or has no meaning in the mapping, or what comes out does not fit the catalogue; its
            path is named, not its value.
        NotListed: on a feed of the whole hospital, a stay begins or changes at a place that is not listed.
    """
    trigger = message.trigger
    if trigger not in TAKEN:
        if mapping.whole_hospital and all(CODE.match(part) for part in trigger):
            return Translation()
        known = trigger[0] in {code for code, _ in TAKEN}
        raise Unsupported(
            f"MSH-9: this trigger is not taken in here; taken in are {_TAKEN}", Fault.EVENT if known else Fault.TYPE
        )
    if message.version not in VERSIONS:
        raise Unsupported(f"MSH-12: send one of the versions {', '.join(VERSIONS)}", Fault.VERSION)
    if (message.get("MSH-11.1") or "P") not in feed.processing_ids:
        raise Unsupported("MSH-11: this feed takes no test or training messages", Fault.PROCESSING)
    if trigger == MERGE:
        old, new = merged(message, feed)
        return Translation(merge=Merge(old.mrn, new.mrn, new.facility))
    stranger = trigger in STAYS and mapping.whole_hospital
    listed = not stranger or place_of(message, feed, mapping) is not None
    if not listed and trigger not in ENDINGS:
        raise NotListed(f"{feed.location[0]}: {UNLISTED}")
    try:
        steps = TRIGGERS[trigger](message, feed, mapping)
    except NotOurs:
        return Translation()
    # At a place that is not listed only the stay itself tells whether it is ours, not whose it is.
    record = record_number(message, feed) if listed else None
    envelopes = [_envelope(message, feed, number, step) for number, step in enumerate(steps)]
    for envelope in envelopes:
        _fits(envelope)
    aside = (mapping.aside if listed else REORDERED) if stranger else None
    return Translation(tuple(envelopes), record, aside=aside)


def _fits(envelope: Json) -> None:
    """An event that does not fit is the mapping's to cure: its message is kept whole, to be translated again."""
    try:
        parse(envelope)
    except InvalidEvent as error:
        coded = [CODED[problem.path] for problem in error.problems if problem.path in CODED]
        if coded:
            raise NotUsable("; ".join(coded), Fault.TABLE) from None
        raise NotUsable("; ".join(f"{one.path}: {one.message}" for one in error.problems)) from None


Step = tuple[str, str, Json]
"""Event type, subject and data."""


def _booked(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    return _scheduled("cart.appointment.booked", message, feed, mapping)


def _moved(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    return _scheduled("cart.appointment.rescheduled", message, feed, mapping)


def _scheduled(event_type: str, message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
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
    return [(event_type, _order(message, feed) or data["appointment_id"], data)]


def _cancelled(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    return _ended_appointment("cart.appointment.cancelled", message, feed, mapping)


def _missed(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    return _ended_appointment("cart.appointment.missed", message, feed, mapping)


def _ended_appointment(event_type: str, message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    _stage(message, feed, mapping)
    appointment = _appointment_id(message, feed)
    return [(event_type, _order(message, feed) or appointment, {"appointment_id": appointment})]


def _admitted(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    data = {
        "admission_id": _visit(message, feed),
        "facility": _location(message, feed, mapping).facility,
        "at": _at(message, feed, "PV1-44.1", "EVN-6.1", "EVN-2.1").isoformat(),
        "class": _class(message, mapping),
        **_codes(message, mapping),
        **_coverage(message, mapping),
    }
    return [("cart.admission.started", *_stay(message, feed, data))]


def _discharged(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    status = first(message, ("PV1-36.1",), "the discharge disposition")
    data = {
        "admission_id": _visit(message, feed),
        "at": _at(message, feed, "PV1-45.1", "EVN-6.1", "EVN-2.1").isoformat(),
        "discharge_status": mapping.discharge.get(status, status),
    }
    return [("cart.admission.ended", *_stay(message, feed, data))]


def _changed(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    data = {
        "admission_id": _visit(message, feed),
        "facility": _location(message, feed, mapping).facility,
        "at": _at(message, feed, "EVN-6.1", "EVN-2.1").isoformat(),
        "class": _class(message, mapping),
        **_coverage(message, mapping),
    }
    return [("cart.admission.changed", *_stay(message, feed, data))]


def _coverage(message: Message, mapping: SiteMapping) -> Json:
    """Who pays first by the plan of the first IN1 segment, where the mapping lists it."""
    insurance = next(message.all("IN1"), None)
    if insurance is None:
        return {}
    codes = [message.part(value, 1) for field in (2, 3) for value in message.repetitions(insurance, field)[:1]]
    known = next((plan for code in codes if code and (plan := mapping.plan(code))), None)
    if known is None:
        return {}
    return {"coverage": {"payer": known.payer} | ({"plan": known.plan} if known.plan else {})}


def _converted(message: Message, feed: Feed, mapping: SiteMapping) -> list[Step]:
    """A06 and A07: the class of a visit changes, and where the hospital numbers visits by class, its number, too.

    Under a new number an outpatient visit stands beside the stay that follows it; an inpatient stay that became an
    outpatient visit never was one.
    """
    steps = _changed(message, feed, mapping)
    _, subject, data = steps[0]
    prior = next((value for path in feed.prior_visit if (value := message.get(path))), None)
    if prior is None or prior == data["admission_id"]:
        return steps
    steps = [("cart.admission.started", subject, data | _codes(message, mapping))]
    if message.trigger == ("ADT", "A07"):
        steps.append(("cart.admission.cancelled", subject, {"admission_id": prior, "what": "admission"}))
    return steps


def _admission_cancelled(message: Message, feed: Feed, _mapping: SiteMapping) -> list[Step]:
    data = {"admission_id": _visit(message, feed), "what": "admission"}
    return [("cart.admission.cancelled", *_stay(message, feed, data))]


def _discharge_cancelled(message: Message, feed: Feed, _mapping: SiteMapping) -> list[Step]:
    data = {"admission_id": _visit(message, feed), "what": "discharge"}
    return [("cart.admission.cancelled", *_stay(message, feed, data))]


TRIGGERS: dict[tuple[str, str], Callable[[Message, Feed, SiteMapping], list[Step]]] = {
    ("SIU", "S12"): _booked,
    ("SIU", "S13"): _moved,
    ("SIU", "S14"): _moved,
    ("SIU", "S15"): _cancelled,
    ("SIU", "S26"): _missed,
    ("ADT", "A01"): _admitted,
    ("ADT", "A03"): _discharged,
    ("ADT", "A04"): _admitted,
    ("ADT", "A06"): _converted,
    ("ADT", "A07"): _converted,
    ("ADT", "A08"): _changed,
    ("ADT", "A11"): _admission_cancelled,
    ("ADT", "A13"): _discharge_cancelled,
}


MERGE = ("ADT", "A40")
STAYS = frozenset(trigger for trigger in TRIGGERS if trigger[0] == "ADT")
ENDINGS = frozenset({("ADT", "A03"), ("ADT", "A11"), ("ADT", "A13")})
"""They say which stay, and need no place: a patient of ours may leave from anywhere in the house."""
TAKEN = frozenset({*TRIGGERS, MERGE})
_TAKEN = "; ".join(
    f"{code} {', '.join(sorted(event for kind, event in TAKEN if kind == code))}" for code in ("SIU", "ADT")
)


def place_of(message: Message, feed: Feed, mapping: SiteMapping) -> Location | None:
    """The listed location of a message, or None."""
    name = next((value for path in feed.location if (value := message.get(path))), None)
    return mapping.location(name) if name else None


def stage_of(message: Message, feed: Feed, mapping: SiteMapping) -> str | None:
    """The stage that a message's appointment type stands for, or None."""
    kind = next((value for path in feed.appointment_type if (value := message.get(path))), None)
    known = mapping.appointment(kind) if kind else None
    return known.stage.value if known and known.stage else None


def _stay(message: Message, feed: Feed, data: Json) -> tuple[str, Json]:
    """Subject and data of a stay. The visit is its subject where the message carries no order."""
    return _order(message, feed) or str(data["admission_id"]), data


def _codes(message: Message, mapping: SiteMapping) -> Json:
    """Type and source of an admission as FL 14 and FL 15 have them, where the message carries them."""
    found = (
        ("type", message.get("PV1-4.1"), mapping.admission_types),
        ("source", message.get("PV1-14.1"), mapping.admission_sources),
    )
    return {field: codes.get(value, value) for field, value, codes in found if value is not None}


def _stage(message: Message, feed: Feed, mapping: SiteMapping) -> str:
    known = mapping.appointment(first(message, feed.appointment_type, "the appointment type"))
    if known is None:
        if mapping.whole_hospital:
            raise NotOurs
        raise NotUsable(f"{feed.appointment_type[0]}: this appointment type is not in the mapping file", Fault.TABLE)
    if known.stage is None:
        raise NotOurs
    return known.stage.value


def _location(message: Message, feed: Feed, mapping: SiteMapping) -> Location:
    """The listed location. An appointment of a listed type elsewhere is a patient's here, of the whole hospital too; a stay
    there does not come this far.
    """
    known = mapping.location(first(message, feed.location, "the location"))
    if known is None:
        raise NotUsable(f"{feed.location[0]}: {UNLISTED}", Fault.TABLE)
    return known


def _class(message: Message, mapping: SiteMapping) -> str:
    known = mapping.patient_classes.get(first(message, ("PV1-2.1",), "the patient class"))
    if known is None:
        raise NotUsable("PV1-2: this patient class is not in the mapping file", Fault.TABLE)
    return known.value


def _appointment_id(message: Message, feed: Feed) -> str:
    return first(message, feed.appointment_id, "the appointment's own number")


def _visit(message: Message, feed: Feed) -> str:
    return first(message, feed.visit, "the visit number")


def _order(message: Message, feed: Feed) -> str | None:
    return next((value for path in feed.order if (value := message.get(path))), None)


def _at(message: Message, feed: Feed, *paths: str) -> datetime:
    return moment(first(message, (*paths, "MSH-7.1"), "the time of the event"), feed.zone, paths[0])


def _envelope(message: Message, feed: Feed, step_number: int, step: Step) -> Json:
    """The CloudEvents envelope. The id keeps the sender's own order for messages of one second."""
    event_type, subject, data = step
    written = first(message, ("MSH-7.1",), "the time of the message")
    number = first(message, ("MSH-10",), "the control id")
    part = f".{step_number}" if step_number else ""
    return {
        "specversion": "1.0",
        "id": f"{written}-{number.rjust(NUMBER_WIDTH, '0') if number.isdigit() else number}{part}",
        "source": feed.source,
        "type": event_type,
        "subject": subject,
        "time": moment(written, feed.zone, "MSH-7").isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
