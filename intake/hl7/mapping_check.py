"""The checker: a file of messages and a mapping in, what each message would become out. Nothing is stored.

Messages of one file follow each other as they would on the feed: what an earlier one books or begins is known to a later one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from intake.faults import NotHl7, NotUsable, Unsupported
from intake.hl7.batch import messages_of
from intake.hl7.departures import departures_in
from intake.hl7.message import Message, read
from intake.hl7.translate import Translation, translate
from intake.hl7.unmatched_patients import named_in, traces_of
from intake.site_mapping import Feed, Known, SiteMapping
from store.identifiers import Hint


@dataclass(frozen=True, slots=True)
class Finding:
    """What one message would become. `outcome` is an event type, merge, ignored, retained, refused or quarantined."""

    number: int
    trigger: str
    outcome: str
    detail: str = ""
    departures: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """True where it would be refused or need a person's work."""
        return self.outcome in ("refused", "quarantined")


@dataclass
class Seen:
    """What the messages before this one made known, instead of a store."""

    orders: set[str] = field(default_factory=set)
    appointments: set[str] = field(default_factory=set)
    placers: dict[str, str] = field(default_factory=dict)
    visits: set[str] = field(default_factory=set)
    records: set[Hint] = field(default_factory=set)

    def known(self, message: Message, feed: Feed) -> Known:
        named = named_in(message, feed)
        own = next((number for number in named.appointments if number in self.appointments), None)
        own = own or next((self.placers[number] for number in named.placers if self.placers.get(number)), None)
        return Known(frozenset(named.orders) & self.orders, own, frozenset(named.visits) & self.visits)

    def note(self, translated: Translation) -> None:
        if translated.retain_for is not None and translated.hint not in self.records:
            return
        self.records |= {translated.hint} if translated.hint else set()
        for event in translated.events:
            data = event["data"]
            self.orders.add(str(event["subject"]))
            if number := data.get("appointment_id"):
                self.appointments.add(number)
                for other in translated.also:
                    self.placers[other] = number if self.placers.get(other, number) == number else ""
            if visit := data.get("admission_id"):
                self.visits.add(visit)


def check(data: bytes, mapping: SiteMapping, seen: Seen | None = None) -> Iterator[Finding]:
    """How each message of a file would map. Details name fields and mapping keys, never a value.

    Args:
        seen: what files before it made known.
    """
    seen = Seen() if seen is None else seen
    for number, message in enumerate(messages_of(data), start=1):
        yield _finding(number, message, mapping, seen)


def _finding(number: int, data: bytes, mapping: SiteMapping, seen: Seen) -> Finding:
    try:
        message = read(data)
    except NotHl7 as error:
        return Finding(number, "?", "refused", str(error))
    trigger = "^".join(message.trigger)
    feed = mapping.feed_of(*message.sender)
    if feed is None:
        return Finding(number, trigger, "refused", "MSH-3 and MSH-4: this sender is not in the mapping file")
    departures = tuple(sorted(message.departures | departures_in(message, feed, mapping)))
    if not message.control_id:
        return Finding(number, trigger, "refused", "MSH-10: the control id is missing", departures)
    outcome, detail = _outcome(message, feed, mapping, seen)
    return Finding(number, trigger, outcome, detail, departures)


def _outcome(message: Message, feed: Feed, mapping: SiteMapping, seen: Seen) -> tuple[str, str]:
    try:
        translated = translate(message, feed, mapping, seen.known(message, feed))
    except Unsupported as error:
        return "refused", str(error)
    except NotUsable as error:
        return _unusable(message, feed, mapping, error)
    seen.note(translated)
    if translated.merges:
        return "merge", feed.name
    if not translated.events:
        return "ignored", feed.name
    outcome = " + ".join(event["type"] for event in translated.events)
    known = _known(translated.events[0]["data"])
    quiet = [_retained(translated.retain_for)] if translated.retain_for else []
    return outcome, "; ".join([known, *quiet] if known else quiet)


def _unusable(message: Message, feed: Feed, mapping: SiteMapping, error: NotUsable) -> tuple[str, str]:
    traces = traces_of(message, feed, mapping, error)
    if traces is None:
        return "quarantined", str(error)
    if traces.keep is None:
        return "ignored", f"{error}; quarantined if its visit is known here"
    return "retained", f"{error}; quarantined if it is about a known patient"


def _retained(time: timedelta) -> str:
    return f"retained for {time.days} days if it matches no encounter"


def _known(data: dict[str, Any]) -> str:
    payer = {"payer": data["coverage"]["payer"]} if "coverage" in data else {}
    known = {key: data[key] for key in ("stage", "setting", "class", "what") if key in data} | payer
    return ", ".join(f"{key}={value}" for key, value in known.items())
