"""Checking the chain of identity of a store, offline."""

from __future__ import annotations

from sqlmodel import col, select

from activities.store.chain import verify
from activities.store.engine import Database
from activities.store.tables import CustodyRecord
from app.settings import Settings


def verify_store(settings: Settings, encounter: str | None) -> int:
    """Print one line per encounter; 0 when every chain holds, 1 when one is broken or the encounter is unknown."""
    db = Database(settings.database)
    broken = 0
    with db.read() as session:
        query = select(CustodyRecord).order_by(col(CustodyRecord.encounter_id), col(CustodyRecord.position))
        if encounter:
            query = query.where(CustodyRecord.encounter_id == encounter)
        chains: dict[str, list[CustodyRecord]] = {}
        for record in session.exec(query):
            chains.setdefault(record.encounter_id, []).append(record)
    for name, records in chains.items():
        at = verify(records)
        broken += at is not None
        print(
            f"{name}: {len(records)} records, " + ("intact" if at is None else f"first broken record at position {at}")
        )
    if encounter and not chains:
        print(f"{encounter}: no custody records")
        return 1
    return 1 if broken else 0
