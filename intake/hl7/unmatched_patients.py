"""Unusable messages of a feed of the whole hospital: whose they may be, and how long that is worth keeping them.

A hospital sends thousands of messages a day about people who will never have CAR-T, many of them at fault by the rules of
this mapping. Answered with an error they would stop the sender's queue and bury what is somebody's work.
"""

from __future__ import annotations

import contextlib

from intake.faults import NotListed, NotUsable
from intake.hl7.message import Message
from intake.hl7.patient import record_number
from intake.hl7.translate import STAYS, place_of, stage_of
from intake.site_mapping import REORDERED, Feed, SiteMapping, Traces

CONVERSIONS = frozenset({("ADT", "A06"), ("ADT", "A07")})
"""They decide the class that is billed: one that comes before its stay is kept for it."""


def traces_of(message: Message, feed: Feed, mapping: SiteMapping, error: NotUsable) -> Traces | None:
    """The traces of a message that may be a stranger's; None where it is ours for sure, or the site asks for all of them.

    An appointment of a listed type is always ours. A place that is not listed says that the stay there is none of ours,
    unless its own number is known: a patient of ours has other visits, too.
    """
    if not mapping.whole_hospital:
        return None
    appointment = message.trigger[0] == "SIU"
    if appointment and stage_of(message, feed, mapping) is not None:
        return None
    own = feed.appointment_id if appointment else (*feed.visit, *feed.prior_visit)
    numbers = frozenset(value for path in (*feed.order, *own) if (value := message.get(path)))
    if isinstance(error, NotListed):
        return Traces(numbers, None, REORDERED if message.trigger in CONVERSIONS else None)
    listed = place_of(message, feed, mapping) is not None
    if message.trigger in STAYS and not listed:
        return Traces(numbers, None, REORDERED)
    record = None
    with contextlib.suppress(NotUsable):
        record = record_number(message, feed)
    return Traces(numbers, record, mapping.aside if listed else REORDERED)
