"""What a form of the board is: the event it posts, who may, and what its labels cannot say."""

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
        who: the field of the event that takes who is entering, if it has one; `why` the one that takes the reason.
        subject: the field that names the holder the event is about; None for events about an encounter.
        found_by: the field that finds the encounter, so that it may be filled in without choosing one.
        scans: fields read with a barcode reader.
        folded: fields that are seldom filled in and start folded away, by the first part of their path.
        hints: what a label cannot say, by path.
        opens: it opens an encounter, under an order number that is asked for.
        left_out: fields that it does not ask for, since another form does.
        past, ahead: what cannot lie in the future, or in the past.
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
