"""Turns a journey into CloudEvents: the parts of its feed with its person, payer, grades and days."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

from app.tools.cohort.sampling import Journey
from domain.events.access import EvidenceAdded
from domain.events.care import ToxicityAssessed
from domain.events.revenue import CodingCompleted
from domain.rulebook import Rulebook
from domain.rulebook.rows import Code, Payer
from intake.scenario_feeds import RELATIVE, Feed, FeedEvent, expand

SYNDROMES = ("crs", "icans")
COLLECTION = "collection"
TEMPLATE_COLLECTION = -24
"""The day of the collection in the feeds."""
BEFORE_REPLACEMENT = frozenset({"referral", "authorization", "coi", COLLECTION})
COMPLICATION = "therapy_complication"
TREATED_FROM = 2
"""Grade from which the drug is given and an outpatient is admitted, by the guide (G156, G497)."""


@dataclass(frozen=True)
class FeedBuilder:
    """Builds feeds of journeys with one rulebook: payers that require authorization, codes of grades."""

    rules: Rulebook

    def feed(self, journey: Journey) -> Feed:
        """Returns the journey as a feed with relative days."""
        first = self._template(journey, 1)
        events = list(self._chosen(first, journey))
        if journey.replacement_days is not None:
            again = [event for event in self._template(journey, 2).events if event.part == COLLECTION]
            events = [_earlier(event, journey.replacement_days) for event in events] + list(map(_again, again))
        events = [_collected(event, journey) for event in events]
        changed = [each for event in events for each in self._changed(event, journey)]
        return first.model_copy(update={"events": tuple(changed)})

    def _template(self, journey: Journey, attempt: int) -> Feed:
        text = (files("app.tools.cohort") / f"{journey.template}.json").read_text(encoding="utf-8")
        values: dict[str, str | int] = {
            "attempt": attempt,
            "born": f"@{-journey.age_days}",
            "sex": journey.sex,
            "family": journey.family,
            "given": journey.given,
            "payer": journey.payer,
            "member": journey.member,
            "crs": journey.crs.grade,
            "icans": journey.icans.grade,
            "peak": journey.crs.peak,
            "withdrawn": journey.withdrawn or 0,
            "reason": journey.withdrawal_reason,
        }
        return Feed.model_validate(_filled(json.loads(text), values))

    def _chosen(self, feed: Feed, journey: Journey) -> Iterator[FeedEvent]:
        """Yields the events of the parts that this journey has, up to a withdrawal."""
        authorized = self.rules.one(Payer, journey.anchor, key=journey.payer).authorization_required
        treated = max(journey.crs.grade, journey.icans.grade) >= TREATED_FROM
        included = {
            "authorization": authorized,
            "replacement_authorization": authorized and journey.replacement_days is not None,
            "failure": journey.replacement_days is not None,
            "moved": journey.moved_days is not None,
            "anticytokine": journey.crs.grade >= TREATED_FROM,
            "readmission": treated,
            "coding": not journey.coding_late,
            "withdrawal": journey.withdrawn is not None,
        }
        for event in feed.events:
            late = journey.withdrawn is not None and event.day > journey.withdrawn
            if included.get(event.part, True) and not late:
                yield event

    def _changed(self, event: FeedEvent, journey: Journey) -> Iterator[FeedEvent]:
        if event.type == ToxicityAssessed.event_type and event.part == "assessment":
            grades = {"crs_grade": journey.crs.on(event.day), "icans_grade": journey.icans.on(event.day)}
            yield _with(event, grades)
        elif event.type == CodingCompleted.event_type:
            yield self._coded(event, journey)
        elif event.part == "bookings" and journey.moved_days is not None:
            yield _with(event, {"starts_at": _moved(event.data["starts_at"], -journey.moved_days)})
        elif event.part == "referral" and journey.missing_document is not None:
            yield from _without_document(event, journey)
        else:
            yield event

    def _coded(self, event: FeedEvent, journey: Journey) -> FeedEvent:
        """Returns the coding event with the rulebook's codes for the documented grades; no complication code without one."""
        courses = dict(zip(SYNDROMES, (journey.crs, journey.icans), strict=True))
        toxic = any(course.grade for course in courses.values())
        gone = SYNDROMES if toxic else (*SYNDROMES, COMPLICATION)
        codes = {row.code for row in self.rules.table(Code) if row.role in gone}
        others = [each for each in event.data["other_diagnoses"] if each["code"] not in codes]
        present = "Y" if event.part == "readmission" else "N"
        for syndrome, course in courses.items():
            if course.grade and "admission_id" in event.data:
                row = self.rules.one(Code, journey.anchor, role=syndrome, grade=str(course.grade))
                others.append({"code": row.code, "poa": present})
        return _with(event, {"other_diagnoses": others})


def events_of(builder: FeedBuilder, journey: Journey, until: date) -> list[dict[str, Any]]:
    """Returns the CloudEvents of a journey up to the end of the day `until`, in order of time."""
    feed = builder.feed(journey)
    happened = tuple(event for event in feed.events if journey.anchor + timedelta(days=event.day) <= until)
    if not happened:
        return []
    return expand(feed.model_copy(update={"events": happened}), journey.anchor, suffix=journey.run)


def _filled(value: Any, values: Mapping[str, str | int]) -> Any:
    """Fills in placeholders: text that is only `{name}` becomes the value itself, other text gets the value as text."""
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith("{") and value[1:-1] in values:
        return values[value[1:-1]]
    for name, text in values.items():
        value = value.replace(f"{{{name}}}", str(text))
    return value


def _with(event: FeedEvent, changes: Mapping[str, Any]) -> FeedEvent:
    return event.model_copy(update={"data": {**event.data, **changes}})


def _earlier(event: FeedEvent, days: int) -> FeedEvent:
    """Moves events before a replaced collection earlier by the days of the replacement."""
    return _shifted(event, -days) if event.part in BEFORE_REPLACEMENT else event


def _again(event: FeedEvent) -> FeedEvent:
    return event.model_copy(update={"id": f"{event.id}-again"})


def _collected(event: FeedEvent, journey: Journey) -> FeedEvent:
    """Moves the collection and its transfers up to manufacturing to the drawn day."""
    return _shifted(event, journey.collected - TEMPLATE_COLLECTION) if event.part in (COLLECTION, "coi") else event


def _shifted(event: FeedEvent, days: int) -> FeedEvent:
    """Moves an event with every relative day in it by some days."""
    return event.model_copy(update={"day": event.day + days, "data": _moved(event.data, days)})


def _moved(value: Any, days: int) -> Any:
    if isinstance(value, Mapping):
        return {key: (item if key == "birth_date" else _moved(item, days)) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_moved(item, days) for item in value]
    found = RELATIVE.match(value) if isinstance(value, str) else None
    if found is None or not found["days"]:
        return value
    clock = f"T{found['clock']}" if found["clock"] else ""
    return f"@{int(found['days']) + days}{clock}"


def _without_document(event: FeedEvent, journey: Journey) -> Iterator[FeedEvent]:
    """Yields the referral without one of its documents, and that document later if it arrives."""
    documents = list(event.data["evidence"])
    assert journey.missing_document is not None
    document = documents.pop(int(journey.missing_document * len(documents)))
    yield _with(event, {"evidence": documents})
    if journey.document_delay is not None:
        yield event.model_copy(
            update={
                "id": "late-document",
                "type": EvidenceAdded.event_type,
                "day": event.day + journey.document_delay,
                "part": "late_document",
                "data": document,
            }
        )
