"""What a scheduling message says of an appointment: what became of it, its type, its place, its beginning.

An appointment may have several resources (RGS groups with AIS, AIL and AIP segments): all of them are read, and where those
that the mapping lists do not agree, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from intake.faults import Fault, NotUsable
from intake.hl7.message import Message, moment
from intake.site_mapping import Feed, Location, SiteMapping


class Fate(StrEnum):
    """What became of a booking. A pending one is none, or none any more."""

    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"
    MISSED = "missed"
    PENDING = "pending"


BY_TRIGGER = {
    "S12": Fate.BOOKED,
    "S13": Fate.MOVED,
    "S14": Fate.MOVED,
    "S15": Fate.CANCELLED,
    "S16": Fate.CANCELLED,
    "S17": Fate.CANCELLED,
    "S26": Fate.MISSED,
}

BY_STATUS = {
    "booked": Fate.BOOKED,
    "started": Fate.BOOKED,
    "complete": Fate.BOOKED,
    "completed": Fate.BOOKED,
    "overbook": Fate.BOOKED,
    "cancelled": Fate.CANCELLED,
    "canceled": Fate.CANCELLED,
    "dc": Fate.CANCELLED,
    "discontinued": Fate.CANCELLED,
    "deleted": Fate.CANCELLED,
    "noshow": Fate.MISSED,
    "pending": Fate.PENDING,
    "waitlist": Fate.PENDING,
    "blocked": Fate.PENDING,
}
"""HL7 table 0278 by its letters alone, with the other spellings of its words."""

UNLISTED = "this location is not in the mapping file"
STATUS = ("SCH-25.1", "SCH-25.2")


def status_of(message: Message, mapping: SiteMapping) -> Fate | None:
    """What SCH-25 says; None where it is silent or says what neither the mapping nor table 0278 knows."""
    for path in STATUS:
        code = message.get(path)
        if code is None:
            continue
        listed = mapping.appointment_statuses.get(code)
        found = Fate(listed) if listed else BY_STATUS.get(re.sub(r"[^a-z]", "", code.lower()))
        if found is not None:
            return found
    return None


def fate_of(message: Message, mapping: SiteMapping) -> Fate | None:
    """What became of the appointment: as SCH-25 says, and by the trigger where that is silent.

    Raises:
        NotUsable: the trigger ends the booking and the status says that it is in effect.
    """
    by_trigger, status = BY_TRIGGER.get(message.trigger[1]), status_of(message, mapping)
    if status is None or status is by_trigger:
        return by_trigger
    if status is not Fate.BOOKED:
        return status
    if by_trigger in (Fate.CANCELLED, Fate.MISSED):
        raise NotUsable("SCH-25: states a booking in effect, and MSH-9 its end; find out which is true", Fault.TABLE)
    return by_trigger


class Type(StrEnum):
    """What the mapping has of the types that an appointment states."""

    STAGE = "stage"
    MISSING = "missing"
    IGNORED = "ignored"
    UNLISTED = "unlisted"


def booked_as(message: Message, feed: Feed, mapping: SiteMapping) -> tuple[Type, str | None]:
    """What the mapping has of the appointment's types, and the stage that one of them stands for.

    Raises:
        NotUsable: they stand for different stages.
    """
    stated = next((values for path in feed.appointment_type if (values := message.values(path))), ())
    listed = [known for kind in stated if (known := mapping.appointment(kind)) is not None]
    stages = {known.stage.value for known in listed if known.stage is not None}
    if len(stages) > 1:
        raise NotUsable(
            f"{feed.appointment_type[0]}: types of several stages; send an appointment for each", Fault.TABLE
        )
    if stages:
        return Type.STAGE, stages.pop()
    if not stated:
        return Type.MISSING, None
    return (Type.IGNORED if len(listed) == len(stated) else Type.UNLISTED), None


def place(message: Message, feed: Feed, mapping: SiteMapping) -> Location:
    """The listed place of the appointment. Of the whole hospital, too, an appointment of a listed type is a patient's here.

    Raises:
        NotUsable: there is none, none that is listed, or several of different facilities or settings.
    """
    stated = next((values for path in feed.location if (values := message.values(path))), ())
    if not stated:
        raise NotUsable(f"{' or '.join(feed.location)}: the location is missing", Fault.MISSING)
    return state_the_same(filter(None, map(mapping.location, stated)), feed.location[0])


def state_the_same(listed: Iterable[Location], path: str) -> Location:
    """The one place of several resources."""
    found = list(listed)
    if not found:
        raise NotUsable(f"{path}: {UNLISTED}", Fault.TABLE)
    if len({(one.facility, one.setting) for one in found}) > 1:
        raise NotUsable(f"{path}: places of different facilities or settings; send the one that counts", Fault.TABLE)
    return found[0]


def starts(message: Message, feed: Feed) -> datetime:
    """When it begins: of several resources or parts, the first.

    Raises:
        NotUsable: it is missing, or no time stamp with its hour.
    """
    for path in feed.starts_at:
        if values := message.values(path):
            return min(moment(value, feed.zone, path) for value in values)
    raise NotUsable(f"{' or '.join(feed.starts_at)}: the start of the appointment is missing", Fault.MISSING)
