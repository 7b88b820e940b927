"""Gathers the records of an evidence packet. Identity is read from the vault only where it may be shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlmodel import Session

from domain.billing.submission.model import State
from domain.billing.submission.responses import PayerResponse
from domain.packet import Packet, Sources, build
from domain.packet.billing import Version, responses_to
from domain.packet.exhibits import StoredChain
from domain.packet.model import Identity, Person
from domain.rulebook import Rulebook
from domain.site import Site
from store import chain
from store.claims import claim_of
from store.facts import EncounterFacts, holder_facts, load_own
from store.keys import Keyring
from store.queries.claims import claim_history
from store.queries.custody import chain_links
from store.tables import ClaimVersion, CustodyRecord, Encounter

OUTDATED = (State.SUPERSEDED, State.WITHDRAWN)


class NoPacket(ValueError):
    """There is no packet; the message states the reason without a value."""


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

    An encounter without a decision has its records and no assessment of them.

    Raises:
        NoPacket: the encounter has no record yet, or no such claim.
        NotDenied: the payer refused nothing of the claim.
    """
    upto = encounter.decided_sequence if encounter.decided_at else encounter.next_sequence - 1
    every = load_own(session, keys, encounter.encounter_id)
    own = every.up_to(upto)
    if not own.own:
        raise NoPacket("this encounter has no record yet")
    received = own.responses
    rows = claim_history(session, encounter.encounter_id)
    identity, patient = _patient(every, named)
    return build(
        Sources(
            encounter_id=encounter.encounter_id,
            sequence=upto,
            as_of=encounter.decided_at or max(fact.received_at for fact in own.own),
            facts=own.folded,
            holders=holder_facts(session, keys),
            site=site,
            rules=rules,
            view=encounter.view,
            chain=_chain(session, encounter.encounter_id),
            versions=[_version(row) for row in rows if row.state not in OUTDATED],
            responses=received,
            identity=identity,
            patient=patient,
            denied=_denied(rows, received, claim) if claim else None,
        )
    )


def _version(row: ClaimVersion) -> Version:
    return Version(claim_of(row), row.version, row.state, row.frequency, row.control_number)


def _denied(rows: Sequence[ClaimVersion], received: Sequence[PayerResponse], claim: tuple[str, int]) -> Version:
    """The newest version that was remitted: the denied one may have been replaced since."""
    versions = [_version(row) for row in rows if (row.letter, row.ordinal) == claim]
    if not versions:
        raise NoPacket("this encounter has no such claim")
    remitted = [v for v in versions if any(response.kind == "835" for response in responses_to(v, received))]
    return (remitted or versions)[-1]


def _chain(session: Session, encounter_id: str) -> StoredChain:
    records = chain_links(session, encounter_id)
    in_effect: list[tuple[CustodyRecord, dict[str, Any]]] = [
        (record, json.loads(record.content)) for record in chain.records_in_effect(records)
    ]
    broken = chain.first_break(session, encounter_id, records)
    return StoredChain(
        in_effect, len(records), records[-1].hash if records else None, broken.position if broken else None
    )


def _patient(own: EncounterFacts, named: bool) -> tuple[Identity, Person | None]:
    if not named:
        return "withheld", None
    who = own.identity
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
