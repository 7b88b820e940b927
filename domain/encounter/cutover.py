"""Cutover: earlier care is attested, not judged, and requires nothing.

Attested events came under the source of `cart.encounter.imported` and happened by its moment. A stage was over before the
cutover when the import names a later stage and no attempt has failed since. A new collection after the cutover is judged like
any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext, Service
from domain.encounter.model import Enforcement, Gate, Requirement
from domain.events.base import Stage
from domain.events.cutover import EncounterImported

ORDER = tuple(Stage)
PRESENT = frozenset(
    {"readmission", "readmission_elsewhere", "quarantined_bag", "manufacturing_failed", "product_delayed"}
)
"""Findings about the current state, so that they count although their events were imported."""
AGE = "eligibility.adult_age"
"""Not a missing document: the referral itself states the age."""


def stage_over(context: EncounterContext, stage: Stage) -> bool:
    """Whether the stage was over when the encounter was imported, and still is."""
    cutover = context.record.cutover
    if cutover is None or ORDER.index(stage) >= ORDER.index(cutover.data.stage):
        return False
    return context.attempt.since <= cutover.data.at


def attested(context: EncounterContext, event: str) -> bool:
    """Whether the event was imported and happened before the cutover."""
    cutover, fact = context.record.cutover, context.by_event.get(event)
    return cutover is not None and fact is not None and fact.event_id in context.record.attested


def before(context: EncounterContext, service: Service) -> bool:
    """Whether the service was performed before the cutover, or its stage was over by then."""
    cutover = context.record.cutover
    if cutover is None:
        return False
    if service.moment is not None:
        return service.moment <= cutover.data.at
    return stage_over(context, service.stage)


def announced(context: EncounterContext) -> bool:
    """Whether the import arrived and its referral has not: nothing is required until its grace period ends."""
    cutover = context.record.cutover
    return cutover is not None and context.record.referral is None and context.now < cutover.received_at + context.grace


def judged(context: EncounterContext, gate: Gate, service: Service) -> Gate:
    """Return the requirements of a gate: none for a service before the cutover; after it, none from before."""
    if before(context, service):
        return Gate(gate.stage, gate.on, (_attested_requirement(context),))
    if context.record.cutover is None:
        return gate
    return replace(gate, requirements=tuple(_softened(context, asked) for asked in gate.requirements))


def findings(context: EncounterContext, found: Iterable[Finding]) -> Iterator[Finding]:
    """Return the findings without those about the past that rest on attested events alone."""
    for finding in found:
        past = finding.events and all(attested(context, event) for event in finding.events)
        if not past or finding.kind in PRESENT:
            yield finding


def _softened(context: EncounterContext, asked: Requirement) -> Requirement:
    """Whether a document, certificate or transfer from before the cutover was not imported and is not required.

    An imported record that argues against the service still counts.
    """
    referral = context.record.referral
    evidence = set(asked.evidence) - ({referral.event_id} if referral else set())
    if not asked.met and not evidence and _belongs_before(context, asked):
        return replace(asked, enforcement=Enforcement.OFF)
    return asked


def _belongs_before(context: EncounterContext, asked: Requirement) -> bool:
    document = asked.rule.startswith("eligibility.") and asked.key != AGE
    if document or asked.key.endswith(".apheresis_facility") or asked.key == "product.collected":
        return stage_over(context, Stage.APHERESIS)
    if asked.key in ("product.lymphodepletion", "product.on_site"):
        return stage_over(context, Stage.LYMPHODEPLETION)
    return False


def _attested_requirement(context: EncounterContext) -> Requirement:
    cutover = context.record.cutover
    assert cutover is not None
    return Requirement(
        key="cutover.attested",
        kind="data",
        met=True,
        enforcement=Enforcement.OFF,
        owner="coordinator",
        title="done before the cutover: attested, not judged here",
        missing="",
        fix="",
        rule=EncounterImported.event_type,
        citation="design section 4",
        overridable=False,
        evidence=(cutover.event_id,),
    )
