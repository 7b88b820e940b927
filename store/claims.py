"""Claim versions in the database: versions, lines and control numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import Session, col, select

from domain.billing.model import Claim
from store.engine import insert_once
from store.tables import ClaimLine, ClaimVersion, Counter


def versions_of(session: Session, encounter: str, letter: str, ordinal: int) -> list[ClaimVersion]:
    """Every version of a claim, the first one first."""
    return list(
        session.exec(
            select(ClaimVersion)
            .where(
                ClaimVersion.encounter_id == encounter,
                ClaimVersion.letter == letter,
                ClaimVersion.ordinal == ordinal,
            )
            .order_by(col(ClaimVersion.version))
        )
    )


def claim_lines(session: Session, row: ClaimVersion) -> Sequence[ClaimLine]:
    """The service lines of a version, in their order."""
    return session.exec(
        select(ClaimLine)
        .where(
            ClaimLine.encounter_id == row.encounter_id,
            ClaimLine.letter == row.letter,
            ClaimLine.ordinal == row.ordinal,
            ClaimLine.version == row.version,
        )
        .order_by(col(ClaimLine.number))
    ).all()


def next_number(session: Session, name: str) -> str:
    """The next gap-free number of a counter, as text of at most 20 characters (CLM01)."""
    return f"CE{next_count(session, name):010d}"


def next_count(session: Session, name: str) -> int:
    """The next value of a counter, taken in the transaction: without it committed, it is not taken."""
    one_more = update(Counter).where(col(Counter.name) == name).values(value=Counter.value + 1)
    if session.exec(one_more).rowcount == 0:
        insert_once(session, Counter, name=name, value=0)
        session.exec(one_more)
    return int(session.exec(select(Counter.value).where(Counter.name == name)).one())


def standing_claims(session: Session, encounter: str) -> list[tuple[str, int]]:
    """Letter and ordinal of every claim whose current version bills something: neither withdrawn nor voided."""
    rows = session.exec(
        select(ClaimVersion).where(ClaimVersion.encounter_id == encounter).order_by(col(ClaimVersion.version))
    ).all()
    latest = {(row.letter, row.ordinal): row for row in rows}
    return sorted(
        key for key, row in latest.items() if row.state not in ("withdrawn", "voided") and row.frequency != "8"
    )


def claim_of(row: ClaimVersion) -> Claim:
    """The document of a version."""
    return Claim.model_validate(row.document)
