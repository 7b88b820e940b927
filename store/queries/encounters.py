"""Read-only listings of encounters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from domain.events.base import Stage
from store.tables import Encounter

AT_ONCE = 400
"""Encounters named in one query of views."""


class EncounterRow(NamedTuple):
    """An encounter in a list, without its view, which is large."""

    encounter_id: str
    created_at: datetime
    status: str
    next_sequence: int
    stage: str
    product: str
    payer: str
    facilities: list[str]
    decided_sequence: int
    decided_at: datetime | None
    rulebook_digest: str
    holds_open: int


def encounters(
    session: Session, stage: str | None = None, held: bool = False, after: str | None = None, limit: int | None = None
) -> list[Encounter]:
    """Encounters in the order of their ids: of a stage, with open holds, after an id."""
    query = select(Encounter).order_by(Encounter.encounter_id)
    if stage:
        query = query.where(Encounter.stage == stage)
    if held:
        query = query.where(col(Encounter.holds_open) > 0)
    if after:
        query = query.where(Encounter.encounter_id > after)
    return list(session.exec(query if limit is None else query.limit(limit)))


def open_encounters(session: Session) -> Iterator[EncounterRow]:
    """Encounters that are not closed, the oldest first."""
    return _rows(session, _oldest_first().where(col(Encounter.stage) != Stage.CLOSED.value))


def all_encounters(session: Session) -> Iterator[EncounterRow]:
    """Every encounter, the oldest first."""
    return _rows(session, _oldest_first())


def closed_encounters(session: Session) -> Iterator[EncounterRow]:
    """Closed encounters, the one decided last first."""
    query = _listed().where(col(Encounter.stage) == Stage.CLOSED.value)
    return _rows(session, query.order_by(col(Encounter.decided_at).desc(), col(Encounter.encounter_id)))


def views(session: Session, encounters: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the last decision showed of each encounter."""
    for start in range(0, len(encounters), AT_ONCE):
        some = encounters[start : start + AT_ONCE]
        yield from session.exec(
            select(Encounter.encounter_id, Encounter.view).where(col(Encounter.encounter_id).in_(some))
        )


def _listed() -> Select[Any]:
    return columns(*(col(getattr(Encounter, name)) for name in EncounterRow._fields))


def _oldest_first() -> Select[Any]:
    return _listed().order_by(col(Encounter.created_at), col(Encounter.encounter_id))


def _rows(session: Session, query: Select[Any]) -> Iterator[EncounterRow]:
    return (EncounterRow(*row) for row in session.connection().execute(query))
