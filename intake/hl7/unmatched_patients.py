"""What a message names, and whose an unusable one may be: how long that is worth keeping it.

A hospital sends thousands of messages a day about people who will never have CAR-T, many of them at fault by the rules of
this mapping. Answered with an error they would stop the sender's queue and bury what is a person's work.
"""

from __future__ import annotations

import contextlib

from intake.faults import NotListed, NotUsable
from intake.hl7.appointment import Type, booked_as
from intake.hl7.message import Message
from intake.hl7.patient import record_number, record_numbers
from intake.hl7.translate import MERGE, STAYS, numbers_of, place_of
from intake.site_mapping import REORDERED, Feed, Named, SiteMapping, Traces

CONVERSIONS = frozenset({("ADT", "A06"), ("ADT", "A07")})
"""They decide the class that is billed: one that comes before its stay is kept for it."""

IDENTITY = frozenset(("ADT", f"A{number}") for number in (18, 24, 30, 34, 35, 36, 37, 39, *range(41, 52)))
"""Merges, links and moves of patients, accounts and visits beside A40: what they name by a record number concerns it."""

WITHOUT_EFFECT = frozenset(
    ("ADT", f"A{number:02}")
    for number in (5, 9, 10, 14, 15, 16, 19, 20, 25, 26, 27, 28, 31, 32, 33, 54, 55, 60, 61, 62)
)
"""They announce, track or describe: no booking or stay begins, moves or ends by them, and no number changes."""

ORDERS_OF_OTHERS = ("ORC-2.1", "ORC-3.1", "OBR-2.1", "OBR-3.1")
"""Where a message about something else than a booking or a stay would name an order of ours."""


def named_in(message: Message, feed: Feed) -> Named:
    """The numbers by which a message may be about something that is known here."""
    if message.trigger in WITHOUT_EFFECT:
        return Named()
    if message.trigger[0] not in ("SIU", "SRM", "SRR", "ADT"):
        return Named(orders=numbers_of(message, ORDERS_OF_OTHERS))
    own = numbers_of(message, feed.appointment_id[:1])
    placers = () if own else numbers_of(message, feed.appointment_id[1:])
    return Named(
        orders=numbers_of(message, feed.order),
        appointments=own or placers,
        visits=numbers_of(message, (*feed.visit, *feed.prior_visit)),
        placers=placers,
    )


def traces_by_name(message: Message, feed: Feed) -> Traces:
    """The traces of a message that means nothing here, unless what it names is known or retained."""
    joins = message.trigger in IDENTITY or message.trigger == MERGE
    records = record_numbers(message, feed) if joins else ()
    return Traces(named_in(message, feed).numbers, None, None, records)


def traces_of(message: Message, feed: Feed, mapping: SiteMapping, error: NotUsable) -> Traces | None:
    """The traces of a message that may be a stranger's; None where it is ours for sure, or the site asks for all of them.

    An appointment of a listed type is always ours. A place that is not listed says that the stay there is none of ours,
    unless its own number is known: a patient of ours has other visits, too.
    """
    if not mapping.whole_hospital:
        return None
    if message.trigger[0] == "SIU" and _of_listed_type(message, feed, mapping):
        return None
    numbers = named_in(message, feed).numbers
    if isinstance(error, NotListed):
        return Traces(numbers, None, REORDERED if message.trigger in CONVERSIONS else None)
    listed = place_of(message, feed, mapping) is not None
    if message.trigger in STAYS and not listed:
        return Traces(numbers, None, REORDERED)
    keep = mapping.retain_for if listed else REORDERED
    if message.trigger == MERGE:
        return Traces(numbers, None, keep, record_numbers(message, feed))
    record = None
    with contextlib.suppress(NotUsable):
        record = record_number(message, feed)
    return Traces(numbers, record, keep)


def _of_listed_type(message: Message, feed: Feed, mapping: SiteMapping) -> bool:
    try:
        return booked_as(message, feed, mapping)[0] is Type.STAGE
    except NotUsable:
        return True
