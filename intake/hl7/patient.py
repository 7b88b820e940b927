"""Who a message is about: the record number of PID-3 among the identifiers of a patient, and the one that MRG-1 gives up."""

from __future__ import annotations

from collections.abc import Iterable

from domain.events.characters import forbidden
from intake.faults import Fault, NotUsable
from intake.hl7.message import Message, Segment
from intake.site_mapping import Feed
from store.identifiers import Hint

AUTHORITY, TYPE = 4, 5
"""Components of CX."""


def record_number(message: Message, feed: Feed) -> Hint:
    """The record number of PID-3 and the facility that assigned it.

    Raises:
        NotUsable: there is none, or several that differ.
    """
    return _own(_record_numbers(message, feed, message.all("PID"), 3), feed)


def _own(found: list[Hint], feed: Feed) -> Hint:
    if not found:
        raise NotUsable("PID-3: no record number of the type and authority the mapping names", Fault.MISSING)
    # Numbers of several facilities are one patient's; the feed's own facility is asked first.
    own = [hint for hint in found if hint.facility == feed.record_facility]
    chosen = own or found
    if len({hint for hint in chosen if hint.facility == chosen[0].facility}) > 1:
        raise NotUsable("PID-3: several record numbers of one facility; send the one in effect")
    return chosen[0]


def merged(message: Message, feed: Feed) -> list[tuple[Hint, Hint]]:
    """The record numbers that go (MRG-1) and the one that stays (PID-3) of each group of a merge, of one facility.

    Raises:
        NotUsable: one of them is missing, or they are numbers of different facilities; no group counts then.
    """
    pairs: list[tuple[Hint, Hint]] = []
    for patient, going in _groups(message):
        new = _own(_record_numbers(message, feed, [patient], 3), feed)
        every = [hint for segment in going for hint in _record_numbers(message, feed, [segment], 1)]
        old = [hint for hint in dict.fromkeys(every) if hint.facility == new.facility]
        if not old:
            raise NotUsable("MRG-1: a merge names the record number that goes, of the facility of PID-3", Fault.MISSING)
        pairs += [(hint, new) for hint in old]
    if not pairs:
        raise NotUsable("PID: a merge names the patient that stays", Fault.MISSING)
    return pairs


def record_numbers(message: Message, feed: Feed) -> tuple[Hint, ...]:
    """Every record number that a message names, those that go, too; for finding out whose it may be."""
    found = [_record_numbers(message, feed, [segment], 3) for segment in message.all("PID")]
    found += [_record_numbers(message, feed, [segment], 1, every=True) for segment in message.all("MRG")]
    return tuple(dict.fromkeys(hint for hints in found for hint in hints))


def _groups(message: Message) -> list[tuple[Segment, list[Segment]]]:
    """Each PID with the MRG segments that follow it."""
    groups: list[tuple[Segment, list[Segment]]] = []
    for segment in message.segments:
        if segment[0] == "PID":
            groups.append((segment, []))
        elif segment[0] == "MRG" and groups:
            groups[-1][1].append(segment)
    return groups


def _record_numbers(
    message: Message, feed: Feed, segments: Iterable[Segment], field: int, *, every: bool = False
) -> list[Hint]:
    """Identifiers of the mapped type; where none has a type, the only one of its facility (`every`: all of them)."""
    values = [v for one in segments for v in message.repetitions(one, field) if message.part(v, 1)]
    typed = [value for value in values if message.part(value, TYPE) == feed.record_number_type]
    plain = [value for value in values if message.part(value, TYPE) is None]
    chosen = typed or (plain if len(plain) == len(values) else [])
    found = [hint for value in chosen if (hint := _hint(message, value, feed)) is not None]
    ambiguous = not typed and len(found) > 1 and not every
    return [] if ambiguous else list(dict.fromkeys(found))


def _hint(message: Message, value: str, feed: Feed) -> Hint | None:
    number = message.part(value, 1)
    if number is None:
        return None
    if forbidden(number):
        raise NotUsable("PID-3 or MRG-1: a record number with a control character or a mark of writing direction")
    if not feed.record_authorities:
        return Hint(number, feed.record_facility)
    names = (message.part(value, AUTHORITY, 1), message.part(value, AUTHORITY, 2))
    facility = next((feed.record_authorities[name] for name in names if name in feed.record_authorities), None)
    return Hint(number, facility) if facility else None
