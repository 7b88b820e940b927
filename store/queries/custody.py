"""Read-only listings of the chains of identity."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, func
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from store.tables import CustodyIndex, CustodyRecord


def chain_links(session: Session, encounter: str | None = None) -> list[CustodyRecord]:
    """The links of one encounter's chain, or of all chains one after the other, in the order of positions."""
    query = select(CustodyRecord).order_by(col(CustodyRecord.encounter_id), col(CustodyRecord.position))
    return list(session.exec(query.where(CustodyRecord.encounter_id == encounter) if encounter else query))


def index_entries(session: Session, encounter: str | None = None) -> list[CustodyIndex]:
    """The entries of the index over the chains, or those of one encounter."""
    query = select(CustodyIndex).order_by(col(CustodyIndex.position))
    return list(session.exec(query.where(CustodyIndex.encounter_id == encounter) if encounter else query))


def has_chain(session: Session, encounter: str) -> bool:
    """True when links or entries of the index name the encounter."""
    return any(
        session.exec(select(table.encounter_id).where(table.encounter_id == encounter).limit(1)).first()
        for table in (CustodyRecord, CustodyIndex)
    )


class LastTransfer(NamedTuple):
    """The last documented transfer of an encounter, and how many links its chain has."""

    encounter_id: str
    step: str
    at: datetime
    links: int


def last_transfers(session: Session, encounters: Collection[str]) -> list[LastTransfer]:
    """The last documented transfer of each encounter that has one. Only the last link is read of each chain."""
    newest = (
        func.row_number()
        .over(
            partition_by=col(CustodyRecord.encounter_id),
            order_by=(col(CustodyRecord.occurred).desc(), col(CustodyRecord.position).desc()),
        )
        .label("newest")
    )
    links = func.count().over(partition_by=col(CustodyRecord.encounter_id)).label("links")
    ranked = (
        columns(col(CustodyRecord.encounter_id), col(CustodyRecord.position), newest, links)
        .where(col(CustodyRecord.encounter_id).in_(list(encounters)))
        .subquery()
    )
    query = (
        columns(
            col(CustodyRecord.encounter_id),
            col(CustodyRecord.kind),
            col(CustodyRecord.content),
            col(CustodyRecord.occurred),
            ranked.c.links,
        )
        .join(
            ranked,
            and_(
                col(CustodyRecord.encounter_id) == ranked.c.encounter_id,
                col(CustodyRecord.position) == ranked.c.position,
            ),
        )
        .where(ranked.c.newest == 1)
        .order_by(col(CustodyRecord.occurred).desc(), col(CustodyRecord.encounter_id))
    )
    return [
        LastTransfer(encounter, str(json.loads(content).get("step", kind)), occurred, count)
        for encounter, kind, content, occurred, count in session.connection().execute(query)
    ]
