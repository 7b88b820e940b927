"""Corrects or retracts an entry: shows an event of an encounter in its form again.

The original stays on record; chain of identity and audit show both. Who and why become the correction's signer and reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.parts import Parts
from app.api.problems import Refusal
from app.board.event_entry import Original, Sheet, encounter_for, enter, names_of, sheet_of, show
from app.board.fields import Field
from app.board.form import Form
from app.board.forms import DOCUMENT_NAMES, FORMS
from app.board.names import Names
from app.board.rights import may_on_board
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, SignedIn, headed, page, with_board_right
from domain.encounter.facts import Fact
from domain.events import EventData
from domain.events.governance import CorrectionMade
from store.facts import load_own

BY_TYPE: Final[Mapping[str, Form]] = {
    form.event_type: form for form in FORMS.values() if form.subject is None and not form.opens
}

DISTINGUISHING: Final = ("coi_id", "bag_id", "document", "number", "hold", "disposition", "claim")
"""Fields that distinguish entries of one form."""

router = APIRouter(route_class=BoardRoute, include_in_schema=False)


@dataclass(frozen=True)
class Entry:
    """One event in the list."""

    event_id: str
    form: Form
    about: str
    occurred: datetime
    received: datetime
    corrected: bool
    retracted: bool


@router.get("/encounters/{encounter_id}/entries")
def list_entries(encounter_id: str, request: Request, parts: PartsHere, session: SignedIn) -> Response:
    """Returns the events of an encounter that the caller may correct, the last received first."""
    encounter = encounter_for(parts, session.actor, encounter_id)
    names = names_of(parts)
    entries = [
        _entry(fact, gone, names)
        for fact, gone in _facts(parts, encounter.encounter_id)
        if fact.type in BY_TYPE and may_on_board(session.actor, BY_TYPE[fact.type].right)
    ]
    parts.record(session.actor.name, "board entries", encounter.encounter_id, "read")
    entries.sort(key=lambda one: (one.received, one.occurred, one.event_id), reverse=True)
    return page(request, "entries.html", encounter=encounter, entries=entries, names=names)


@router.get("/encounters/{encounter_id}/entries/{event_id}")
def show_entry(encounter_id: str, event_id: str, request: Request, parts: PartsHere, session: SignedIn) -> Response:
    """Returns the form of an event with its current values."""
    sheet = _sheet(request, parts, session, encounter_id, event_id)
    parts.record(session.actor.name, "board entry", event_id, "read")
    return show(request, sheet, names_of(parts))


@router.post("/encounters/{encounter_id}/entries/{event_id}")
def post_entry(
    encounter_id: str, event_id: str, request: Request, parts: PartsHere, session: SignedIn, given: Posted
) -> Response:
    """Corrects or retracts an event."""
    return enter(request, parts, session, _sheet(request, parts, session, encounter_id, event_id), given)


def _sheet(request: Request, parts: Parts, session: Session, encounter_id: str, event_id: str) -> Sheet:
    encounter = encounter_for(parts, session.actor, encounter_id)
    facts = (fact for fact, _ in _facts(parts, encounter.encounter_id) if fact.event_id == event_id)
    fact = next(facts, None)
    form = BY_TYPE.get(fact.type) if fact else None
    if fact is None or form is None:
        raise Refusal(404, "this encounter has no such entry that can be corrected here")
    with_board_right(request, session, form.right)
    data = fact.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    sheet = sheet_of(parts, session.actor, form, encounter, str(data.get("kind", "")))
    sheet.original = Original(fact.event_id, fact.source, fact.id, data)
    sheet.inputs = [_offering(one, data) for one in sheet.inputs]
    sheet.given = dict(_given(sheet.inputs, data, sheet.zone))
    return sheet


def _facts(parts: Parts, encounter_id: str) -> Iterator[tuple[Fact[EventData], bool]]:
    """Yields every event as corrected, and whether it was retracted."""
    with parts.db.read() as store:
        folded = load_own(store, parts.keys, encounter_id).folded
    yield from ((fact, False) for fact in folded.all if not isinstance(fact.data, CorrectionMade))
    yield from ((fact, True) for fact in folded.retracted)


def _entry(fact: Fact[EventData], gone: bool, names: Names) -> Entry:
    data = fact.data.model_dump(mode="json", exclude_none=True)
    kind = str(data.get("kind", ""))
    step = names.step(data["step"]) if "step" in data else ""
    document = DOCUMENT_NAMES.get(kind) or headed(kind) if kind else ""
    grades = (f"{grade[:-6].upper()} {data[grade]}" for grade in ("crs_grade", "icans_grade") if grade in data)
    parts = (step, document, *grades, *(str(data.get(name, "")) for name in DISTINGUISHING))
    about = " · ".join(part for part in parts if part)
    return Entry(
        fact.event_id, BY_TYPE[fact.type], about, fact.occurred, fact.received_at, bool(fact.corrected_by), gone
    )


def _offering(one: Field, data: Mapping[str, Any]) -> Field:
    """Adds the current value to the options of a choice that no longer has it, such as a hold that ended."""
    value = _at(data, one.path)
    if one.kind != "choice" or value is None or str(value) in {key for key, _ in one.options}:
        return one
    options = (*one.options, (str(value), str(value)))
    return Field(one.path, one.label, one.kind, one.required, options, hint=one.hint)


def _given(inputs: Sequence[Field], data: Mapping[str, Any], zone: str) -> Iterator[tuple[str, str]]:
    for one in inputs:
        value = _at(data, one.path)
        if value is not None:
            yield one.name, _text(one, value, zone)


def _at(data: Mapping[str, Any], path: str) -> Any:
    value: Any = data
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(one: Field, value: Any, zone: str) -> str:
    """Returns a value as a person would type it."""
    if one.kind == "boolean":
        return "yes" if value else "no"
    if one.kind == "moment":
        return datetime.fromisoformat(value).astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()
    if one.kind == "lines":
        return "\n".join(_line(one, row) for row in value)
    return str(value)


def _line(one: Field, row: Any) -> str:
    if not one.columns:
        return str(row)
    return " ".join(str(row[column.path]) for column in one.columns if row.get(column.path) is not None)
