"""Builds the packet as one pure function of the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.billing.prior_system_claims import billed_elsewhere
from domain.billing.submission.responses import PayerResponse
from domain.encounter.context import EncounterContext
from domain.encounter.facts import Fact, Facts
from domain.encounter.record import Record
from domain.events import EventData
from domain.packet import denial, exhibits
from domain.packet.billing import Version, billed, billed_in_prior_system
from domain.packet.model import Denied, Identity, Packet, Person
from domain.packet.model import PacketSubject as About
from domain.packet.narrative import narrative
from domain.packet.wording import Words
from domain.rulebook import Rulebook
from domain.site import Site


@dataclass(frozen=True)
class Sources:
    """The records a packet is built from.

    Attributes:
        view: gates and outcome of the last decision on the encounter.
        versions: the current version of each claim, in order.
        patient: the identity, from the vault; None where identity is not shown.
        denied: the denied version that the packet is for; None for the packet of the encounter.
    """

    encounter_id: str
    sequence: int
    as_of: datetime
    facts: Facts
    holders: Sequence[Fact[EventData]]
    site: Site
    rules: Rulebook
    view: Mapping[str, Any]
    chain: exhibits.StoredChain
    versions: Sequence[Version]
    responses: Sequence[PayerResponse]
    identity: Identity
    patient: Person | None
    denied: Version | None = None


class NotDenied(ValueError):
    """The payer refused nothing of the claim."""


def build(sources: Sources) -> Packet:
    """The packet of an encounter, or of a denial.

    Raises:
        NotDenied: a denial packet is requested and no remittance refuses anything of the claim.
        NoRule: the rulebook has no row for a window that the stages need.
    """
    context = EncounterContext(
        Record(sources.facts), sources.site, sources.rules, sources.as_of, tuple(sources.holders)
    )
    words, named = Words(sources.site, sources.rules), sources.identity == "shown"
    log = exhibits.therapies(context, words, named)
    documents = exhibits.documents(context, words, named)
    gates = exhibits.judged_stages(sources.view)
    certificates = exhibits.certificates(context, words, named)
    chain = exhibits.chain(sources.chain, words)
    answer = None
    if sources.denied is not None:
        among = denial.Exhibits(context, sources.denied.document, log, documents, gates, certificates, chain)
        answer = _denied(context, sources, sources.denied, among)
    return Packet(
        kind="denial" if answer else "encounter",
        encounter_id=sources.encounter_id,
        records_through=sources.sequence,
        as_of=sources.as_of,
        edition=sources.rules.edition,
        rulebook_digest=sources.rules.digest,
        identity=sources.identity,
        patient=sources.patient if named else None,
        case=_about(context, words, sources.view),
        denied=answer,
        narrative=narrative(context, words, named),
        therapies=log,
        papers=documents,
        eligibility=gates,
        certificates=certificates,
        authorizations=exhibits.approvals(context, named),
        custody=chain,
        claims=(
            *(billed_in_prior_system(one, named) for one in billed_elsewhere(context.record)),
            *(billed(version, sources.responses) for version in _claims(sources)),
        ),
    )


def _claims(sources: Sources) -> Sequence[Version]:
    """The current claims, and the denied version where a later one is current."""
    denied = sources.denied
    if denied is None or denied in sources.versions:
        return sources.versions
    return (denied, *sources.versions)


def _denied(context: EncounterContext, sources: Sources, version: Version, among: denial.Exhibits) -> Denied:
    paid = denial.refused(context, version, sources.responses)
    if paid is None:
        raise NotDenied(f"no remittance refuses anything of Claim {version.document.key}")
    return denial.denied(context, version, sources.responses, paid, among)


def _about(context: EncounterContext, words: Words, view: Mapping[str, Any]) -> About:
    referral, places = context.record.referral, context.record.facilities
    return About(
        product=words.product(context.product),
        generic=words.generic(context.product),
        indication=words.indication(context.product, context.indication, context.today),
        diagnosis=referral.data.diagnosis if referral else None,
        payer=words.payer(context.payer),
        plan=referral.data.coverage.plan if referral else None,
        collection_facility=words.facility(places.apheresis) if places else None,
        infusion_facility=words.facility(places.infusion) if places else None,
        prescriber_npi=referral.data.prescriber_npi if referral else None,
        vein_to_vein_days=view.get("vein_to_vein_days"),
        outcome=view.get("outcome"),
    )
