"""Cutover: what lay before it is attested, not judged; nothing of it is asked for again.

Attested are the events that came under the source of `cart.encounter.imported` and happened by its moment. A stage is
behind the cutover when the import names a later one and no attempt has failed since: a fresh collection after the cutover
is judged like any other.
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
"""Findings that speak of how things stand, so that they count although their events came with the import."""
AGE = "eligibility.adult_age"
"""No paper that may be lacking: the referral itself says it."""


def stage_over(context: EncounterContext, stage: Stage) -> bool:
    """The stage was over when the encounter was taken over, and still is."""
    cutover = context.record.cutover
    if cutover is None or ORDER.index(stage) >= ORDER.index(cutover.data.stage):
        return False
    return context.attempt.since <= cutover.data.at


def attested(context: EncounterContext, event: str) -> bool:
    """The event came with the import and happened before it."""
    cutover, fact = context.record.cutover, context.by_event.get(event)
    return cutover is not None and fact is not None and fact.event_id in context.record.attested


def before(context: EncounterContext, service: Service) -> bool:
    """The service was performed before the cutover, or its stage was over by then."""
    cutover = context.record.cutover
    if cutover is None:
        return False
    if service.moment is not None:
        return service.moment <= cutover.data.at
    return stage_over(context, service.stage)


def announced(context: EncounterContext) -> bool:
    """The takeover is known and its referral is still on the way: nothing is asked for until its grace is over."""
    cutover = context.record.cutover
    return cutover is not None and context.record.referral is None and context.now < cutover.received_at + context.grace


def judged(context: EncounterContext, gate: Gate, service: Service) -> Gate:
    """The gate of a service before the cutover asks for nothing; one after it asks for nothing that belongs before."""
    if before(context, service):
        return Gate(gate.stage, gate.on, (_attested_requirement(context),))
    if context.record.cutover is None:
        return gate
    return replace(gate, requirements=tuple(_softened(context, asked) for asked in gate.requirements))


def findings(context: EncounterContext, found: Iterable[Finding]) -> Iterator[Finding]:
    """Without those that rest on attested events alone and speak of the past."""
    for finding in found:
        past = finding.events and all(attested(context, event) for event in finding.events)
        if not past or finding.kind in PRESENT:
            yield finding


def _softened(context: EncounterContext, asked: Requirement) -> Requirement:
    """A paper, certificate or hand-over of a stage behind the cutover that nobody imported is not asked for again.

    What was imported and speaks against the service still does.
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
