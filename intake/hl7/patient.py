"""Who a message is about: the record number of PID-3 among the identifiers of a patient, and the one that MRG-1 gives up."""

from __future__ import annotations

from typing import Any

from intake.faults import Fault, NotUsable
from intake.hl7.message import Message
from intake.site_mapping import Feed
from store.identifiers import Hint

AUTHORITY, TYPE = 4, 5
"""Components of CX."""


def record_number(message: Message, feed: Feed) -> Hint:
    """The record number of PID-3 and the facility that assigned it.

    Raises:
        NotUsable: there is none, or several that differ.
    """
    found = _record_numbers(message, feed, "PID", 3)
    if not found:
        raise NotUsable("PID-3: no record number of the type and authority the mapping names", Fault.MISSING)
    # Numbers of several facilities are one patient's; the feed's own facility is asked first.
    own = [hint for hint in found if hint.facility == feed.record_facility]
    chosen = own or found
    if len({hint for hint in chosen if hint.facility == chosen[0].facility}) > 1:
        raise NotUsable("PID-3: several record numbers of one facility; send the one that stands")
    return chosen[0]


def merged(message: Message, feed: Feed) -> tuple[Hint, Hint]:
    """The record number that goes (MRG-1) and the one that stays (PID-3), of one facility.

    Raises:
        NotUsable: one of them is missing, or they are numbers of different facilities.
    """
    new = record_number(message, feed)
    old = [hint for hint in _record_numbers(message, feed, "MRG", 1) if hint.facility == new.facility]
    if len(old) != 1:
        raise NotUsable("MRG-1: a merge names the one record number that goes, of the facility of PID-3", Fault.MISSING)
    return old[0], new


def _record_numbers(message: Message, feed: Feed, segment: str, field: int) -> list[Hint]:
    """Identifiers of the mapped type; where none has a type, the only one of its facility."""
    values = [v for one in message.all(segment) for v in message.repetitions(one, field) if message.part(v, 1)]
    typed = [value for value in values if message.part(value, TYPE) == feed.record_number_type]
    plain = [value for value in values if message.part(value, TYPE) is None]
    chosen = typed or (plain if len(plain) == len(values) else [])
    found = [hint for value in chosen if (hint := _hint(message, value, feed)) is not None]
    ambiguous = not typed and len(found) > 1
    return [] if ambiguous else list(dict.fromkeys(found))


def _hint(message: Message, value: Any, feed: Feed) -> Hint | None:
    number = message.part(value, 1)
    if number is None:
        return None
    if not feed.record_authorities:
        return Hint(number, feed.record_facility)
    names = (message.part(value, AUTHORITY, 1), message.part(value, AUTHORITY, 2))
    facility = next((feed.record_authorities[name] for name in names if name in feed.record_authorities), None)
    return Hint(number, facility) if facility else None
