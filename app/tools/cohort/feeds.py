"""Telling a journey: the parts of its feed that it needs, with its person, payer, grades and days, as CloudEvents."""

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
"""The guide's grade from which the drug is given and, after an outpatient infusion, the patient admitted (G156, G497)."""


@dataclass(frozen=True)
class Teller:
    """Tells journeys by one rulebook: which payer asks for an authorization, which code is which grade."""

    rules: Rulebook

    def feed(self, journey: Journey) -> Feed:
        """The journey as a feed, before days become dates."""
        first = self._template(journey, 1)
        events = list(self._chosen(first, journey))
        if journey.replacement_days is not None:
            again = [event for event in self._template(journey, 2).events if event.part == COLLECTION]
            events = [_earlier(event, journey.replacement_days) for event in events] + list(map(_again, again))
        events = [_collected(event, journey) for event in events]
        told = [changed for event in events for changed in self._changed(event, journey)]
        return first.model_copy(update={"events": tuple(told)})

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
        """The events of the parts this journey has, up to a withdrawal."""
        authorized = self.rules.one(Payer, journey.anchor, key=journey.payer).authorization_required
        treated = max(journey.crs.grade, journey.icans.grade) >= TREATED_FROM
        wanted = {
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
            if wanted.get(event.part, True) and not late:
                yield event

    def _changed(self, event: FeedEvent, journey: Journey) -> Iterator[FeedEvent]:
        if event.type == ToxicityAssessed.event_type and event.part == "assessment":
            grades = {"crs_grade": journey.crs.on(event.day), "icans_grade": journey.icans.on(event.day)}
            yield _with(event, grades)
        elif event.type == CodingCompleted.event_type:
            yield self._coded(event, journey)
        elif event.part == "bookings" and journey.moved_days is not None:
            yield _with(event, {"starts_at": _moved(event.data["starts_at"], -journey.moved_days)})
        elif event.part == "referral" and journey.missing_paper is not None:
            yield from _without_a_paper(event, journey)
        else:
            yield event

    def _coded(self, event: FeedEvent, journey: Journey) -> FeedEvent:
        """The grades that were documented, as the rulebook codes them for the day; no complication where there was none."""
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


def tell(teller: Teller, journey: Journey, until: date) -> list[dict[str, Any]]:
    """The CloudEvents of a journey in order of time, as far as they happened by the end of the day `until`."""
    feed = teller.feed(journey)
    happened = tuple(event for event in feed.events if journey.anchor + timedelta(days=event.day) <= until)
    if not happened:
        return []
    return expand(feed.model_copy(update={"events": happened}), journey.anchor, suffix=journey.run)


def _filled(value: Any, values: Mapping[str, str | int]) -> Any:
    """A text that is wholly `{name}` becomes the value itself, one that contains it gets its text."""
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
    """What lies before a replaced collection lies earlier by the days of the replacement."""
    return _shifted(event, -days) if event.part in BEFORE_REPLACEMENT else event


def _again(event: FeedEvent) -> FeedEvent:
    return event.model_copy(update={"id": f"{event.id}-again"})


def _collected(event: FeedEvent, journey: Journey) -> FeedEvent:
    """The collection, and what goes with the cells until manufacture starts, on the drawn day."""
    return _shifted(event, journey.collected - TEMPLATE_COLLECTION) if event.part in (COLLECTION, "coi") else event


def _shifted(event: FeedEvent, days: int) -> FeedEvent:
    """The whole event, with every relative day in it, some days earlier or later."""
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


def _without_a_paper(event: FeedEvent, journey: Journey) -> Iterator[FeedEvent]:
    """The referral without one of its papers, and the paper by itself when it comes later."""
    papers = list(event.data["evidence"])
    assert journey.missing_paper is not None
    paper = papers.pop(int(journey.missing_paper * len(papers)))
    yield _with(event, {"evidence": papers})
    if journey.paper_delay is not None:
        yield event.model_copy(
            update={
                "id": "late-paper",
                "type": EvidenceAdded.event_type,
                "day": event.day + journey.paper_delay,
                "part": "late_paper",
                "data": paper,
            }
        )
