"""Converts rows to the events of each encounter, or lists their errors by row and field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from domain.events import CATALOGUE, EventData, InvalidEvent, parse_data
from domain.events.base import Stage
from domain.events.cutover import EncounterImported
from intake.spreadsheets.cells import CellError, schema_of, typed
from intake.spreadsheets.rows import Row, read_rows

SOURCE = "urn:cart-encounter:import"
"""The source of every imported event: what happened by the cutover is attested."""

CUTOVER, REFERRAL = "cutover", "referral"
RECORDS: Mapping[str, str] = {
    CUTOVER: "cart.encounter.imported",
    REFERRAL: "cart.referral.received",
    "evidence": "cart.evidence.added",
    "authorization_request": "cart.authorization.submitted",
    "authorization": "cart.authorization.decided",
    "booking": "cart.appointment.booked",
    "collection": "cart.apheresis.completed",
    "hand_over": "cart.custody.recorded",
    "failure": "cart.manufacturing.failed",
    "delay": "cart.manufacturing.delayed",
    "release": "cart.product.released",
    "disposition": "cart.disposition.signed",
    "dose": "cart.lymphodepletion.administered",
    "admission": "cart.admission.started",
    "discharge": "cart.admission.ended",
    "infusion": "cart.infusion.completed",
    "infusion_stopped": "cart.infusion.stopped",
    "assessment": "cart.toxicity.assessed",
    "medication": "cart.medication.administered",
    "coding": "cart.coding.completed",
    "charge": "cart.charge.posted",
    "plan": "cart.plan.changed",
}
"""Event type of each kind of record, by the name of a row or sheet."""

PARTS: Mapping[str, tuple[str, str]] = {"billed": (CUTOVER, "billed"), "therapy": (REFERRAL, "prior_therapies")}
"""Records that are part of another one of the same order, with its name and list."""

EXPECTED: Mapping[Stage, tuple[str, ...]] = {
    Stage.MANUFACTURING: ("collection",),
    Stage.LYMPHODEPLETION: ("collection", "release"),
    Stage.INFUSION: ("collection", "release", "dose"),
    Stage.MONITORING: ("infusion",),
}
"""Records expected at a stage: their absence is only a warning, but then nothing can be compared or counted."""


@dataclass(frozen=True)
class Trouble:
    """An error of a row, or a row missing from an order."""

    where: str
    field: str
    message: str


@dataclass(frozen=True)
class Import:
    """The events of one encounter, the cutover first. With `troubles`, none of them may be sent."""

    order: str
    where: str
    events: tuple[dict[str, Any], ...]
    rows: Mapping[str, str]
    troubles: tuple[Trouble, ...]
    warnings: tuple[Trouble, ...] = ()


@dataclass
class _Draft:
    """One event in the making."""

    row: Row
    data: dict[str, Any] = field(default_factory=dict)


def read_import(paths: Iterable[Path], zone: tzinfo | None) -> list[Import]:
    """Every encounter of some files, in the order of its first row.

    Args:
        zone: of moments without an offset.

    Raises:
        ImportFileError: a file as a whole cannot be read.
    """
    by_order: dict[str, list[Row]] = {}
    for path in paths:
        for row in read_rows(path):
            by_order.setdefault(row.order, []).append(row)
    return [_encounter(order, rows, zone) for order, rows in by_order.items()]


def _encounter(order: str, rows: list[Row], zone: tzinfo | None) -> Import:
    troubles: list[Trouble] = []
    if not order:
        return Import("", rows[0].where, (), {}, tuple(Trouble(row.where, "order", "names no order") for row in rows))
    drafts = [draft for row in rows if (draft := _draft(row, zone, troubles)) is not None]
    whole = _joined(drafts, troubles)
    cutover = _only(whole, CUTOVER, rows[0], troubles)
    _only(whole, REFERRAL, rows[0], troubles)
    at = cutover.data.get("at") if cutover else None
    events, where = [], {}
    for number, draft in _numbered(whole):
        event = _event(order, draft, number, at, zone, troubles)
        if event is not None:
            events.append(event)
            where[event["id"]] = draft.row.where
    events.sort(key=lambda event: (event["type"] != RECORDS[CUTOVER], event["type"] != RECORDS[REFERRAL]))
    warnings = _missing_records(whole, cutover) if not troubles and cutover else ()
    return Import(order, rows[0].where, tuple(events), where, tuple(troubles), tuple(warnings))


def _draft(row: Row, zone: tzinfo | None, troubles: list[Trouble]) -> _Draft | None:
    if row.record not in RECORDS and row.record not in PARTS:
        names = ", ".join(sorted((*RECORDS, *PARTS)))
        troubles.append(Trouble(row.where, "record", f"must be one of: {names}"))
        return None
    home, inside = PARTS.get(row.record, (row.record, ""))
    root = schema_of(RECORDS[home])
    draft = _Draft(row)
    for path, value in row.cells.items():
        try:
            _put(draft.data, path.split("."), typed(_inside(root, inside), path, value, zone))
        except CellError as error:
            troubles.append(Trouble(row.where, path, str(error)))
    return draft


def _inside(root: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema of a list's items, with the definitions of the whole."""
    if not name:
        return root
    items = root["properties"][name]["items"]
    return {**items, "$defs": root["$defs"]}


def _put(data: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        data = data.setdefault(step, {})
    data[steps[-1]] = value


def _joined(drafts: list[_Draft], troubles: list[Trouble]) -> list[_Draft]:
    """The records with their parts in them."""
    whole = [draft for draft in drafts if draft.row.record in RECORDS]
    for part in drafts:
        if part.row.record not in PARTS:
            continue
        home, name = PARTS[part.row.record]
        owner = next((one for one in whole if one.row.record == home), None)
        if owner is None:
            troubles.append(Trouble(part.row.where, "order", f"no row {home} of this order to belong to"))
        else:
            owner.data.setdefault(name, []).append(part.data)
    return whole


def _only(whole: list[_Draft], record: str, first: Row, troubles: list[Trouble]) -> _Draft | None:
    found = [draft for draft in whole if draft.row.record == record]
    if not found:
        troubles.append(Trouble(first.where, "order", f"this order has no row {record}"))
    for other in found[1:]:
        troubles.append(Trouble(other.row.where, "record", f"this order has another row {record}"))
    return found[0] if found else None


def _numbered(whole: list[_Draft]) -> Iterator[tuple[str, _Draft]]:
    """Each record with its own id, else its place among those of its kind: the same file gives the same events."""
    count: dict[str, int] = {}
    for draft in whole:
        kind = draft.row.record
        count[kind] = count.get(kind, 0) + 1
        yield draft.row.id or str(count[kind]), draft


def _event(
    order: str, draft: _Draft, number: str, at: Any, zone: tzinfo | None, troubles: list[Trouble]
) -> dict[str, Any] | None:
    row, kind = draft.row, RECORDS[draft.row.record]
    try:
        data = parse_data(kind, draft.data)
    except InvalidEvent as error:
        known = {trouble.field for trouble in troubles if trouble.where == row.where}
        for problem in error.problems:
            path = problem.path.removeprefix("data").removeprefix(".") or "kind"
            if path not in known:
                troubles.append(Trouble(row.where, path, problem.message))
        return None
    try:
        time = _time(row, data, at, zone)
    except CellError as error:
        troubles.append(Trouble(row.where, "time", str(error)))
        return None
    if time is None:
        return None
    if isinstance(at, str) and data.occurred(time) > datetime.fromisoformat(at):
        troubles.append(
            Trouble(row.where, "time", "lies after the cutover; send it as an ordinary event when it happens")
        )
        return None
    return {
        "specversion": "1.0",
        "id": "import-" + hashlib.sha256("|".join((order, row.record, number)).encode()).hexdigest()[:24],
        "source": SOURCE,
        "type": kind,
        "subject": order,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "data": draft.data,
    }


def _time(row: Row, data: EventData, at: Any, zone: tzinfo | None) -> datetime | None:
    """The row's own time, else the clinical one, else the cutover: the moment it was attested."""
    if row.time is not None:
        shape = {"properties": {"time": {"type": "string", "format": "date-time"}}}
        return datetime.fromisoformat(str(typed(shape, "time", str(row.time), zone)))
    if not isinstance(at, str):
        return None
    return data.occurred(datetime.fromisoformat(at))


def _missing_records(whole: list[_Draft], cutover: _Draft) -> Iterator[Trouble]:
    taken = parse_data(RECORDS[CUTOVER], cutover.data)
    assert isinstance(taken, EncounterImported)
    have = {draft.row.record for draft in whole}
    for record in EXPECTED.get(taken.stage, ()):
        if record not in have and not (record == "infusion" and "infusion_stopped" in have):
            yield Trouble(cutover.row.where, "stage", f"in stage {taken.stage.value} without any row {record}")


assert set(RECORDS.values()) <= set(CATALOGUE)
