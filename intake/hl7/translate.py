"""One HL7 message to events of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.events import InvalidEvent, parse
from intake.faults import Fault, NotListed, NotUsable, Unsupported
from intake.hl7.appointment import BY_TRIGGER, UNLISTED, Fate, Type, booked_as, fate_of, place, starts
from intake.hl7.message import CODE, Message, day_alone, first, moment
from intake.hl7.patient import merged, record_number
from intake.site_mapping import NOTHING_KNOWN, REORDERED, Feed, Known, Location, SiteMapping
from store.identifiers import Hint

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1")
OLDER = {"ADT": ("2.2",)}
NUMBER_WIDTH = 20

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
    """What a message says. No events and no merges: it has nothing to do with CAR-T.

    Attributes:
        merges: of an A40, in their order.
        retain_for: how long its events are retained when they match no encounter, on a feed of the whole hospital; None
            where they need work.
        also: other numbers under which later messages may name the appointment.
    """

    events: tuple[Json, ...] = ()
    hint: Hint | None = None
    merges: tuple[Merge, ...] = ()
    retain_for: timedelta | None = None
    also: tuple[str, ...] = ()


Step = tuple[str, str, Json]
"""Event type, subject and data."""

BOOKED_HERE = "and the appointment is booked here"


def translate(message: Message, feed: Feed, mapping: SiteMapping, known: Known = NOTHING_KNOWN) -> Translation:
    """The events a message stands for, each of which fits the catalog; all of them are applied or none.

    Args:
        known: what the message names that is known here. A booking or stay that is known is changed by whatever trigger and
            appointment type; without it the message is only read.

    Raises:
        Unsupported: not a trigger, version or mode of the list.
        NotUsable: a field is missing or has no meaning in the mapping, or what comes out does not fit the catalog; its
            path is named, not its value.
        NotListed: on a feed of the whole hospital, a stay begins or changes at a place that is not listed.
    """
    trigger = message.trigger
    if trigger not in TAKEN and not _acted_on(trigger, known):
        if mapping.whole_hospital and all(CODE.match(part) for part in trigger):
            return Translation()
        code_is_known = trigger[0] in {code for code, _ in TAKEN}
        raise Unsupported(
            f"MSH-9: this trigger is not read here; read are {_TAKEN}", Fault.EVENT if code_is_known else Fault.TYPE
        )
    if message.version not in (*VERSIONS, *OLDER.get(trigger[0], ())):
        raise Unsupported(f"MSH-12: send one of the versions {', '.join(VERSIONS)}", Fault.VERSION)
    if (message.get("MSH-11.1") or "P") not in feed.processing_ids:
        raise Unsupported("MSH-11: this feed takes no test or training messages", Fault.PROCESSING)
    if trigger == MERGE:
        return Translation(merges=tuple(Merge(old.mrn, new.mrn, new.facility) for old, new in merged(message, feed)))
    if trigger[0] == "SIU":
        return _scheduling(message, feed, mapping, known)
    return _stay_of(message, feed, mapping)


def _acted_on(trigger: tuple[str, str], known: Known) -> bool:
    """Whether a trigger that begins nothing here changes something that is known."""
    return (trigger in TRANSFERS and bool(known.visits)) or (trigger[0] == "SIU" and known.appointment is not None)


def _stay_of(message: Message, feed: Feed, mapping: SiteMapping) -> Translation:
    trigger = message.trigger
    listed = not mapping.whole_hospital or place_of(message, feed, mapping) is not None
    if not listed and trigger not in ENDINGS:
        raise NotListed(f"{feed.location[0]}: {UNLISTED}")
    steps = STAYS[trigger](message, feed, mapping)
    # At a place that is not listed only the stay itself tells whether it is ours, not whose it is.
    record = record_number(message, feed) if listed else None
    retain_for = (mapping.retain_for if listed else REORDERED) if mapping.whole_hospital else None
    return Translation(_envelopes(message, feed, steps), record, retain_for=retain_for)


def _scheduling(message: Message, feed: Feed, mapping: SiteMapping, known: Known) -> Translation:
    """A booking, its move or its end. What changes one that is known needs no type; what ends one, neither place nor patient."""
    own = known.appointment
    listed, stage = booked_as(message, feed, mapping)
    unlisted = NotUsable(f"{feed.appointment_type[0]}: this appointment type is not in the mapping file", Fault.TABLE)
    if own is None and listed in (Type.IGNORED, Type.UNLISTED):
        if listed is Type.UNLISTED and not mapping.whole_hospital:
            raise unlisted
        return Translation()
    fate = fate_of(message, mapping)
    if fate is None:
        raise Unsupported("MSH-9: what this trigger changes is not read here", Fault.EVENT)
    if fate is Fate.PENDING and own is None:
        return Translation()
    if fate in ENDED:
        return _ended(message, feed, mapping, ENDED[fate], own, stage)
    if listed in (Type.IGNORED, Type.UNLISTED):
        raise NotUsable(f"{unlisted}, {BOOKED_HERE}", Fault.TABLE)
    if stage is None and own is None:
        raise NotUsable(f"{' or '.join(feed.appointment_type)}: the appointment type is missing", Fault.MISSING)
    begins = fate is Fate.BOOKED and stage is not None
    step = _booking(message, feed, mapping, BOOKED if begins else RESCHEDULED, stage, own)
    numbers = numbers_of(message, feed.appointment_id)
    return Translation(
        _envelopes(message, feed, [step]),
        record_number(message, feed),
        also=tuple(number for number in numbers if number != step[2]["appointment_id"]),
    )


def _ended(
    message: Message, feed: Feed, mapping: SiteMapping, event_type: str, own: str | None, stage: str | None
) -> Translation:
    number = own or first(message, feed.appointment_id, "the appointment's own number")
    step = (event_type, _order(message, feed) or number, {"appointment_id": number})
    events = _envelopes(message, feed, [step])
    if own is not None:
        return Translation(events)
    if stage is None:  # of no stated type: the appointment alone tells whether it is ours, not whose it is
        return Translation(events, retain_for=REORDERED if mapping.whole_hospital else None)
    return Translation(events, record_number(message, feed))


def _envelopes(message: Message, feed: Feed, steps: list[Step]) -> tuple[Json, ...]:
    envelopes = tuple(_envelope(message, feed, number, step) for number, step in enumerate(steps))
    for envelope in envelopes:
        _fits(envelope)
    return envelopes


def _fits(envelope: Json) -> None:
    """An event that does not fit is the mapping's to fix: its message is kept whole, to be translated again."""
    try:
        parse(envelope)
    except InvalidEvent as error:
        coded = [CODED[problem.path] for problem in error.problems if problem.path in CODED]
        if coded:
            raise NotUsable("; ".join(coded), Fault.TABLE) from None
        raise NotUsable("; ".join(f"{one.path}: {one.message}" for one in error.problems)) from None


def _booking(
    message: Message, feed: Feed, mapping: SiteMapping, event_type: str, stage: str | None, own: str | None
) -> Step:
    where = place(message, feed, mapping)
    data = {
        "appointment_id": own or first(message, feed.appointment_id, "the appointment's own number"),
        "starts_at": starts(message, feed).isoformat(),
        "facility": where.facility,
        "setting": where.setting.value,
        **({"stage": stage} if stage else {}),
    }
    return event_type, _order(message, feed) or str(data["appointment_id"]), data


BOOKED, RESCHEDULED = "cart.appointment.booked", "cart.appointment.rescheduled"
ENDED = {
    Fate.CANCELLED: "cart.appointment.cancelled",
    Fate.PENDING: "cart.appointment.cancelled",
    Fate.MISSED: "cart.appointment.missed",
}
"""A booking that is pending again is none; when it is made again, its system says so."""


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
    code = mapping.discharge.get(status) or mapping.discharge.get(status.rjust(2, "0"))
    data = {
        "admission_id": _visit(message, feed),
        "at": _at(message, feed, "PV1-45.1", "EVN-6.1", "EVN-2.1", ends=True).isoformat(),
        "discharge_status": code or (status.rjust(2, "0") if status.isdigit() else status),
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


STAYS: dict[tuple[str, str], Callable[[Message, Feed, SiteMapping], list[Step]]] = {
    ("ADT", "A01"): _admitted,
    ("ADT", "A02"): _changed,
    ("ADT", "A03"): _discharged,
    ("ADT", "A04"): _admitted,
    ("ADT", "A06"): _converted,
    ("ADT", "A07"): _converted,
    ("ADT", "A08"): _changed,
    ("ADT", "A11"): _admission_cancelled,
    ("ADT", "A12"): _changed,
    ("ADT", "A13"): _discharge_cancelled,
}

MERGE = ("ADT", "A40")
TRANSFERS = frozenset({("ADT", "A02"), ("ADT", "A12")})
"""Of a stay that is known they say its place and class; of others the next A08 does."""
ENDINGS = frozenset({("ADT", "A03"), ("ADT", "A11"), ("ADT", "A13")})
"""They say which stay, and need no place: a patient of ours may leave from anywhere in the house."""
TAKEN = frozenset({*(set(STAYS) - TRANSFERS), *(("SIU", event) for event in BY_TRIGGER), MERGE})
_TAKEN = "; ".join(
    f"{code} {', '.join(sorted(event for kind, event in TAKEN if kind == code))}" for code in ("SIU", "ADT")
)


def numbers_of(message: Message, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Every number that a message states at some paths, in their order."""
    return tuple(dict.fromkeys(value for path in paths for value in message.values(path)))


def place_of(message: Message, feed: Feed, mapping: SiteMapping) -> Location | None:
    """The listed location of a message, or None."""
    name = next((value for path in feed.location if (value := message.get(path))), None)
    return mapping.location(name) if name else None


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


def _location(message: Message, feed: Feed, mapping: SiteMapping) -> Location:
    """The listed location of a stay."""
    known = mapping.location(first(message, feed.location, "the location"))
    if known is None:
        raise NotUsable(f"{feed.location[0]}: {UNLISTED}", Fault.TABLE)
    return known


def _class(message: Message, mapping: SiteMapping) -> str:
    known = mapping.patient_classes.get(first(message, ("PV1-2.1",), "the patient class"))
    if known is None:
        raise NotUsable("PV1-2: this patient class is not in the mapping file", Fault.TABLE)
    return known.value


def _visit(message: Message, feed: Feed) -> str:
    return first(message, feed.visit, "the visit number")


def _order(message: Message, feed: Feed) -> str | None:
    return next((value for path in feed.order if (value := message.get(path))), None)


def _at(message: Message, feed: Feed, *paths: str, ends: bool = False) -> datetime:
    """When it happened. Where a date stands alone: at the beginning of that day, or for what ends then at the time of its
    message, failing that at the end of the day.
    """
    value = first(message, (*paths, "MSH-7.1"), "the time of the event")
    if not day_alone(value):
        return moment(value, feed.zone, paths[0])
    if not ends:
        return moment(f"{value}000000", feed.zone, paths[0])
    said = [found for path in (*paths[1:], "MSH-7.1") if (found := message.get(path)) and not day_alone(found)]
    same_day = next((found for found in said if found.startswith(value)), f"{value}235900")
    return moment(same_day, feed.zone, paths[0])


def _envelope(message: Message, feed: Feed, step_number: int, step: Step) -> Json:
    """The CloudEvents envelope. The id keeps the sender's own order for messages of one second."""
    event_type, subject, data = step
    stated = first(message, ("MSH-7.1",), "the time of the message")
    written = f"{stated}000000" if day_alone(stated) else stated
    number = first(message, ("MSH-10",), "the control id")
    part = f".{step_number}" if step_number else ""
    return {
        "specversion": "1.0",
        "id": f"{stated}-{number.rjust(NUMBER_WIDTH, '0') if number.isdigit() else number}{part}",
        "source": feed.source,
        "type": event_type,
        "subject": subject,
        "time": moment(written, feed.zone, "MSH-7").isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
