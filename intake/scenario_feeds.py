"""Feeds: files of events with day offsets from an anchor date, for scenarios, the demonstration and simulations.

Day 0 is the anchor: the day of the planned infusion. A feed is one JSON object:

    {"name": "a_mcl", "title": "…", "payer": "medicare", "admission_day": -1,
     "subject": "ORD-A{run}", "zone": "America/New_York", "source": "urn:feed:st_mary",
     "events": [{"day": -40, "at": "09:00", "id": "referral", "type": "cart.referral.received", "data": {…}}]}

Inside `data` two notations are relative. A text that is wholly `@<days>` becomes a date and `@<days>T<HH:MM>` a moment
in the feed's zone (`@-35`, `@0`, `@3T08:30`); `@day` and `@time` are the day and moment of the event itself. `{run}`
anywhere in a text becomes the suffix of the run, so that one feed can be played for many patients.
An event may name its own `source`, `subject` (holder events) and `part`; a feed can be posted without some parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from domain.events import InvalidEvent, parse

RUN = "{run}"
RELATIVE = re.compile(r"^@(?:(?P<days>[+-]?\d{1,5})(?:T(?P<clock>\d{2}:\d{2}))?|(?P<word>day|time))$")
EPOCH = date(2000, 1, 1)
"""An arbitrary anchor to check a feed before it is played."""


class FeedError(ValueError):
    """A feed cannot be used; the message names file, event and field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeedEvent(_Part):
    """One event of a feed. `at` is wall time in the feed's zone; `part` groups events that may be held back."""

    day: Annotated[int, Field(ge=-20000, le=20000)]
    at: time
    id: Annotated[str, Field(min_length=1, max_length=120)]
    type: str
    source: str | None = None
    subject: str | None = None
    part: str = "main"
    data: dict[str, Any]


class Feed(_Part):
    """A whole encounter as a feed, with its payer and day of admission."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,79}$")]
    title: str
    payer: str
    admission_day: int | None
    subject: str
    zone: str
    source: str
    events: Annotated[tuple[FeedEvent, ...], Field(min_length=1)]
    origin: str = Field(default="feed", exclude=True)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("not a zone of the IANA database, for example America/New_York") from None
        return value

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Feed:
        ids = [event.id for event in self.events]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"repeated event ids: {', '.join(twice)}")
        return self

    @property
    def first_day(self) -> int:
        """The offset of the earliest event, in days from the anchor."""
        return min(event.day for event in self.events)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts, in order of their first event."""
        return tuple(dict.fromkeys(event.part for event in self.in_order))

    @property
    def in_order(self) -> tuple[FeedEvent, ...]:
        """The events in order of time; those of one minute stay as the file has them."""
        return tuple(sorted(self.events, key=lambda event: (event.day, event.at)))


@dataclass(frozen=True, slots=True)
class _Moment:
    """Anchor, zone, day and time of an event, from which its relative texts are counted."""

    anchor: date
    zone: ZoneInfo
    day: int
    at: time
    suffix: str

    def on(self, day: int) -> date:
        return self.anchor + timedelta(days=day)

    def moment(self, day: int, at: time) -> str:
        return datetime.combine(self.on(day), at, self.zone).isoformat()


def load_feed(path: Path) -> Feed:
    """Read a feed and check its form, its relative texts and every event against the catalog.

    Raises:
        FeedError: the file is not JSON or does not fit; names file, event and field.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FeedError(f"{path.name}: line {error.lineno}: not JSON: {error.msg}") from error
    feed = _checked(path.name, body)
    for event, expanded in zip(feed.in_order, expand(feed, EPOCH), strict=True):
        try:
            parse(expanded)
        except InvalidEvent as error:
            raise FeedError(f"{path.name}: event {event.id}: {error}") from error
    return feed


def expand(
    feed: Feed, anchor: date, subject: str | None = None, suffix: str = "", parts: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The feed's CloudEvents in order of time, counted from `anchor` (day 0).

    Event ids are made of feed, event, anchor and suffix: the same call gives the same events, another anchor others.

    Args:
        subject: replaces the subject of the feed's own events; holder events keep theirs.
        suffix: replaces `{run}` in every text and makes the ids of several runs different.
        parts: only the events of these parts; all when None.

    Raises:
        FeedError: a relative text that is not one; names event and field.
    """
    zone = ZoneInfo(feed.zone)
    chosen = [event for event in feed.in_order if parts is None or event.part in parts]
    own = subject if subject is not None else feed.subject.replace(RUN, suffix)
    return [_cloud_event(feed, event, _Moment(anchor, zone, event.day, event.at, suffix), own) for event in chosen]


def _checked(name: str, body: object) -> Feed:
    if not isinstance(body, Mapping) or "origin" in body:
        raise FeedError(f"{name}: not a feed: expected one JSON object without `origin`")
    try:
        return Feed.model_validate({**body, "origin": name})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, rest = _where(body, first["loc"])
        raise FeedError(f"{name}: {where}{rest}: {str(first['msg']).removeprefix('Value error, ')}") from error


def _where(body: Mapping[str, Any], location: tuple[int | str, ...]) -> tuple[str, str]:
    """The event by its id when it has one, and the field below it."""
    if len(location) >= 2 and location[0] == "events" and isinstance(location[1], int):
        entry = body["events"][location[1]]
        known = entry.get("id") if isinstance(entry, Mapping) else None
        return f"event {known or location[1]}: ", ".".join(map(str, location[2:])) or "(event)"
    return "", ".".join(map(str, location)) or "(feed)"


def _cloud_event(feed: Feed, event: FeedEvent, when: _Moment, subject: str) -> dict[str, Any]:
    stem = f"{feed.name}{when.suffix}"
    return {
        "specversion": "1.0",
        "id": f"{stem}/{when.anchor.isoformat()}/{event.id}",
        "source": event.source or feed.source,
        "type": event.type,
        "subject": event.subject.replace(RUN, when.suffix) if event.subject else subject,
        "time": when.moment(event.day, event.at),
        "datacontenttype": "application/json",
        "data": _resolved(event.data, when, f"{feed.origin}: event {event.id}: data"),
    }


def _resolved(value: Any, when: _Moment, path: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(item, when, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, when, f"{path}.{index}") for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, when, path)
    return value


def _text(value: str, when: _Moment, path: str) -> str:
    if not value.startswith("@"):
        return value.replace(RUN, when.suffix)
    found = RELATIVE.match(value)
    if found is None:
        raise FeedError(f"{path}: {value!r} is not a relative date; write @-5, @-5T09:00, @day or @time")
    if found["word"]:
        return when.on(when.day).isoformat() if found["word"] == "day" else when.moment(when.day, when.at)
    days = int(found["days"])
    if not found["clock"]:
        return when.on(days).isoformat()
    try:
        return when.moment(days, time.fromisoformat(found["clock"]))
    except ValueError:
        raise FeedError(f"{path}: {value!r} has no such time of day") from None
