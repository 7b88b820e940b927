"""The checklist of the authorization request as preflight shows it (G369-381)."""

from __future__ import annotations

from domain.encounter.context import EncounterContext
from domain.encounter.gates.checklist import checklist
from domain.encounter.model import Gate
from domain.preflight.answer import RequestDocument


def request_documents(context: EncounterContext, gate: Gate) -> tuple[RequestDocument, ...]:
    """Every document that the indication requires, judged with the gate of the collection."""
    return tuple(
        RequestDocument(
            number=entry.row.number,
            title=entry.row.title,
            present=not entry.missing,
            lacking=entry.missing,
            at_hand=tuple(dict.fromkeys(source for source in entry.sources.values() if source is not None)),
            citation=entry.row.citation,
        )
        for entry in checklist(context, gate.on, gate.requirements)
    )
