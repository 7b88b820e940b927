"""Read-only listings of claims."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from store.tables import ClaimVersion, Transmission

OUTDATED = ("superseded", "withdrawn")


def claim_keys(session: Session, encounter: str) -> dict[str, str]:
    """The claim of each control number of an encounter, as `C/1`."""
    rows = session.exec(
        select(ClaimVersion.control_number, ClaimVersion.letter, ClaimVersion.ordinal).where(
            ClaimVersion.encounter_id == encounter
        )
    )
    return {number: f"{letter}/{ordinal}" for number, letter, ordinal in rows if number}


def current_claims(
    session: Session, encounter: str, letter: str | None = None, ordinal: int | None = None
) -> list[ClaimVersion]:
    """The current version of each claim, by letter and ordinal. A void that was sent is current until a claim follows."""
    rows = _versions(session, encounter, letter, ordinal, col(ClaimVersion.state).not_in(OUTDATED))
    return list({(row.letter, row.ordinal): row for row in rows}.values())


def claim_history(
    session: Session, encounter: str, letter: str | None = None, ordinal: int | None = None
) -> list[ClaimVersion]:
    """Every version of the claims of an encounter, in order of letter, ordinal and version."""
    return _versions(session, encounter, letter, ordinal)


def _versions(
    session: Session, encounter: str, letter: str | None, ordinal: int | None, *which: ColumnElement[bool]
) -> list[ClaimVersion]:
    query = select(ClaimVersion).where(ClaimVersion.encounter_id == encounter, *which)
    if letter is not None:
        query = query.where(ClaimVersion.letter == letter)
    if ordinal is not None:
        query = query.where(ClaimVersion.ordinal == ordinal)
    order = (col(ClaimVersion.letter), col(ClaimVersion.ordinal), col(ClaimVersion.version))
    return list(session.exec(query.order_by(*order)))


def claims_in(session: Session, states: Collection[str]) -> Sequence[ClaimVersion]:
    """The versions in one of the states, of every encounter."""
    return session.exec(select(ClaimVersion).where(col(ClaimVersion.state).in_(list(states)))).all()


def encounters_with_claims(session: Session, states: Collection[str]) -> set[str]:
    """Encounters with a version in one of the states."""
    return set(session.exec(select(ClaimVersion.encounter_id).where(col(ClaimVersion.state).in_(list(states)))))


def sent_in(session: Session, receivers: Collection[str], interchange: int | None, mode: str) -> list[Transmission]:
    """What was sent in an interchange to a trading partner, under any of its receiver ids."""
    query = select(Transmission).where(
        col(Transmission.receiver_id).in_(receivers),
        Transmission.interchange == interchange,
        Transmission.mode == mode,
    )
    return list(session.exec(query))
