"""Read-only listings of the certification watch: certificates, open encounters, alerted layers, claims to act on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from domain.alerts.watch import PREFIX
from store.tables import AlertRecord, CertificationRow, ClaimVersion, Encounter


def certificates(session: Session) -> Sequence[CertificationRow]:
    """Every change of a certificate, the oldest first."""
    return session.exec(select(CertificationRow).order_by(col(CertificationRow.time))).all()


def open_encounters(session: Session) -> Sequence[Encounter]:
    return session.exec(select(Encounter).where(Encounter.status == "open").order_by(Encounter.encounter_id)).all()


def layers_alerted(session: Session, kinds: Collection[str]) -> dict[str, set[str]]:
    """By encounter the certificate layers of its unresolved alerts of some kinds."""
    query = select(AlertRecord.encounter_id, AlertRecord.layer).where(
        AlertRecord.state != "resolved", col(AlertRecord.kind).in_(kinds)
    )
    found: dict[str, set[str]] = {}
    for encounter_id, layer in session.exec(query):
        if encounter_id and layer:
            found.setdefault(encounter_id, set()).add(layer)
    return found


def encounters_watched(session: Session) -> set[str]:
    """The encounters with an unresolved alert of the watch."""
    query = select(AlertRecord.encounter_id).where(
        AlertRecord.state != "resolved",
        col(AlertRecord.key).startswith(PREFIX),
        col(AlertRecord.encounter_id).is_not(None),
    )
    return {name for name in session.exec(query) if name}


def claims_in(session: Session, states: Collection[str]) -> Sequence[ClaimVersion]:
    """The claim versions in some states, by encounter."""
    query = select(ClaimVersion).where(col(ClaimVersion.state).in_(sorted(states)))
    return session.exec(query.order_by(ClaimVersion.encounter_id)).all()
