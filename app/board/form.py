"""A form of the board: the event it posts, the required right and its hints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.board.rights import BoardRight
from domain.events import EventData


@dataclass(frozen=True, slots=True)
class Form:
    """One form.

    Attributes:
        model: the event it posts.
        who: event field for the person who enters, if it has one; `why` is the field for the reason.
        subject: event field with the holder of the event; None for events about an encounter.
        found_by: field that identifies the encounter, so that no encounter has to be chosen first.
        scans: fields for a barcode scanner.
        folded: rarely used fields, collapsed at first, by the first part of their path.
        hints: hints of fields, by path.
        opens: the form opens an encounter with an order number.
        left_out: fields that another form has.
        past, ahead: fields that must not be in the future, or in the past.
    """

    key: str
    title: str
    lead: str
    model: type[EventData]
    right: BoardRight
    who: str | None = None
    why: str | None = None
    subject: str | None = None
    found_by: str | None = None
    scans: frozenset[str] = frozenset()
    folded: frozenset[str] = frozenset()
    hints: Mapping[str, str] | None = None
    opens: bool = False
    left_out: frozenset[str] = frozenset()
    past: frozenset[str] = frozenset()
    ahead: frozenset[str] = frozenset()

    @property
    def event_type(self) -> str:
        return self.model.event_type
