"""The checker: a file of messages and a mapping in, what each message would become out. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from intake.faults import NotHl7, NotUsable, Unsupported
from intake.hl7.batch import messages_of
from intake.hl7.message import Message, read
from intake.hl7.translate import translate
from intake.hl7.unmatched_patients import traces_of
from intake.site_mapping import Feed, SiteMapping


@dataclass(frozen=True, slots=True)
class Finding:
    """What one message would become. `outcome` is an event type, merge, ignored, set aside, refused or quarantined."""

    number: int
    trigger: str
    outcome: str
    detail: str = ""


def check(data: bytes, mapping: SiteMapping) -> Iterator[Finding]:
    """How each message of a file would map. Details name fields and mapping keys, never a value."""
    for number, message in enumerate(messages_of(data), start=1):
        yield _finding(number, message, mapping)


def _finding(number: int, data: bytes, mapping: SiteMapping) -> Finding:
    try:
        message = read(data)
    except NotHl7 as error:
        return Finding(number, "?", "refused", str(error))
    trigger = "^".join(message.trigger)
    feed = mapping.feed_of(*message.sender)
    if feed is None:
        return Finding(number, trigger, "refused", "MSH-3 and MSH-4: this sender is not in the mapping file")
    try:
        translated = translate(message, feed, mapping)
    except Unsupported as error:
        return Finding(number, trigger, "refused", str(error))
    except NotUsable as error:
        return _unusable(number, message, trigger, feed, mapping, error)
    if translated.merges:
        return Finding(number, trigger, "merge", feed.name)
    if not translated.events:
        return Finding(number, trigger, "ignored", feed.name)
    outcome = " + ".join(event["type"] for event in translated.events)
    known = _known(translated.events[0]["data"])
    quiet = [_aside(translated.aside)] if translated.aside else []
    return Finding(number, trigger, outcome, "; ".join([known, *quiet] if known else quiet))


def _unusable(
    number: int, message: Message, trigger: str, feed: Feed, mapping: SiteMapping, error: NotUsable
) -> Finding:
    traces = traces_of(message, feed, mapping, error)
    if traces is None:
        return Finding(number, trigger, "quarantined", str(error))
    if traces.keep is None:
        return Finding(number, trigger, "ignored", f"{error}; quarantined if its visit is known here")
    return Finding(number, trigger, "set aside", f"{error}; quarantined if it is about a known patient")


def _aside(time: timedelta) -> str:
    return f"set aside for {time.days} days if nobody is known by it"


def _known(data: dict[str, Any]) -> str:
    payer = {"payer": data["coverage"]["payer"]} if "coverage" in data else {}
    known = {key: data[key] for key in ("stage", "setting", "class", "what") if key in data} | payer
    return ", ".join(f"{key}={value}" for key, value in known.items())
