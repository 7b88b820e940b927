"""Gathering the records of an evidence packet. Who the patient is comes from the vault, and only where it may be shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlmodel import Session, col, select

from domain.billing.submission.model import State
from domain.billing.submission.responses import PayerResponse, replies
from domain.encounter.facts import fold
from domain.packet import Packet, Sources, build
from domain.packet.billing import Version, mine
from domain.packet.exhibits import Kept
from domain.packet.model import Identity, Person
from domain.rulebook import Rulebook
from domain.site import Site
from store import chain
from store.claims import claim_of
from store.facts import identity_of, load_facts_in
from store.keys import Keyring
from store.tables import ClaimVersion, CustodyRecord, Encounter

OUTDATED = (State.SUPERSEDED, State.WITHDRAWN)


class NoPacket(ValueError):
    """There is no packet of this; the message says why and names no value."""


def packet_of(
    session: Session,
    keys: Keyring,
    rules: Rulebook,
    site: Site,
    encounter: Encounter,
    named: bool,
    claim: tuple[str, int] | None = None,
) -> Packet:
    """The packet of an encounter, or of the denial of one of its claims.

    Args:
        named: the reader may see who the patient is.
        claim: letter and ordinal of the denied claim; None for the whole encounter.

    An encounter that was not decided yet has its records and no judgement on them.

    Raises:
        NoPacket: the encounter has no record yet, or no such claim.
        NotDenied: the payer refused nothing of the claim.
    """
    upto = encounter.decided_sequence if encounter.decided_at else encounter.next_sequence - 1
    own, holders = load_facts_in(session, keys, encounter.encounter_id, upto)
    if not own:
        raise NoPacket("this encounter has no record yet")
    facts = fold(own)
    heard = replies(facts)
    rows = _versions(session, encounter.encounter_id)
    identity, patient = _patient(session, keys, encounter.encounter_id, named)
    return build(
        Sources(
            encounter_id=encounter.encounter_id,
            sequence=upto,
            as_of=encounter.decided_at or max(fact.received_at for fact in own),
            facts=facts,
            holders=holders,
            site=site,
            rules=rules,
            view=encounter.view,
            chain=_chain(session, encounter.encounter_id),
            versions=[_version(row) for row in rows if row.state not in OUTDATED],
            replies=heard,
            identity=identity,
            patient=patient,
            denied=_denied(rows, heard, claim) if claim else None,
        )
    )


def _versions(session: Session, encounter_id: str) -> Sequence[ClaimVersion]:
    order = (col(ClaimVersion.letter), col(ClaimVersion.ordinal), col(ClaimVersion.version))
    return session.exec(select(ClaimVersion).where(ClaimVersion.encounter_id == encounter_id).order_by(*order)).all()


def _version(row: ClaimVersion) -> Version:
    return Version(claim_of(row), row.version, row.state, row.frequency, row.control_number)


def _denied(rows: Sequence[ClaimVersion], heard: Sequence[PayerResponse], claim: tuple[str, int]) -> Version:
    """The newest version that was remitted: the denial may be of one that a replacement took the place of since."""
    versions = [_version(row) for row in rows if (row.letter, row.ordinal) == claim]
    if not versions:
        raise NoPacket("this encounter has no such claim")
    remitted = [v for v in versions if any(reply.kind == "835" for reply in mine(v, heard))]
    return (remitted or versions)[-1]


def _chain(session: Session, encounter_id: str) -> Kept:
    query = select(CustodyRecord).where(CustodyRecord.encounter_id == encounter_id)
    records = list(session.exec(query.order_by(col(CustodyRecord.position))))
    standing: list[tuple[CustodyRecord, dict[str, Any]]] = [
        (record, json.loads(record.content)) for record in chain.standing_records(records)
    ]
    broken = chain.first_break(session, encounter_id, records)
    return Kept(standing, len(records), records[-1].hash if records else None, broken.position if broken else None)


def _patient(session: Session, keys: Keyring, encounter_id: str, named: bool) -> tuple[Identity, Person | None]:
    if not named:
        return "withheld", None
    who = identity_of(session, keys, encounter_id)
    if who is None:
        return "unknown", None
    if who["erased"]:
        return "erased", None
    patient = who["patient"]
    address = patient["address"]
    return "shown", Person(
        family=patient["name"]["family"],
        given=patient["name"]["given"],
        birth_date=date.fromisoformat(patient["birth_date"]),
        sex=patient["sex"],
        mrn=patient["mrn"],
        member_id=who["member_id"],
        address=f"{address['line']}, {address['city']}, {address['state']} {address['postal_code']}",
    )
