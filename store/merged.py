"""Merged record numbers of one patient (ADT A40). The merge may be received before either number is known."""

from __future__ import annotations

from sqlmodel import Session, col, or_, select

from store.tables import RecordMerge


def same_patient(session: Session, key: str) -> set[str]:
    """The keys of every record number merged with this one, itself included."""
    found, pending = {key}, {key}
    while pending:
        linked = session.exec(
            select(RecordMerge.old_key, RecordMerge.new_key).where(
                or_(col(RecordMerge.old_key).in_(pending), col(RecordMerge.new_key).in_(pending))
            )
        ).all()
        pending = {one for pair in linked for one in pair} - found
        found |= pending
    return found
