"""Cutover: what lay before it is attested, not judged; nothing of it is asked for again.

Attested are the events that came under the source of `cart.encounter.imported` and happened by its moment. A stage is
behind the cutover when the import names a later one and no attempt has failed since: a fresh collection after the cutover
is judged like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.encounter.model import Enforcement, Gate, Requirement
from domain.events.base import Stage
from domain.events.cutover import EncounterImported

if TYPE_CHECKING:
    from domain.alerts.model import Finding
    from domain.encounter.context import Case, Service

ORDER = tuple(Stage)
PRESENT = frozenset(
    {"readmission", "readmission_elsewhere", "quarantined_bag", "manufacturing_failed", "product_delayed"}
)
"""Findings that speak of how things stand, so that they count although their events came with the import."""
AGE = "eligibility.adult_age"
"""No paper that may be lacking: the referral itself says it."""


def behind(case: Case, stage: Stage) -> bool:
    """The stage was over when the encounter was taken over, and still is."""
    cutover = case.record.cutover
    if cutover is None or ORDER.index(stage) >= ORDER.index(cutover.data.stage):
        return False
    return case.attempt.since <= cutover.data.at


def attested(case: Case, event: str) -> bool:
    """The event came with the import and happened before it."""
    cutover, fact = case.record.cutover, case.by_event.get(event)
    return cutover is not None and fact is not None and fact.event_id in case.record.attested


def before(case: Case, service: Service) -> bool:
    """The service was performed before the cutover, or its stage was over by then."""
    cutover = case.record.cutover
    if cutover is None:
        return False
    if service.moment is not None:
        return service.moment <= cutover.data.at
    return behind(case, service.stage)


def announced(case: Case) -> bool:
    """The takeover is known and its referral is still on the way: nothing is asked for until its grace is over."""
    cutover = case.record.cutover
    return cutover is not None and case.record.referral is None and case.now < cutover.received_at + case.grace


def judged(case: Case, gate: Gate, service: Service) -> Gate:
    """The gate of a service before the cutover asks for nothing; one after it asks for nothing that belongs before."""
    if before(case, service):
        return Gate(gate.stage, gate.on, (_attested_requirement(case),))
    if case.record.cutover is None:
        return gate
    return replace(gate, requirements=tuple(_softened(case, asked) for asked in gate.requirements))


def findings(case: Case, found: Iterable[Finding]) -> Iterator[Finding]:
    """Without those that rest on attested events alone and speak of the past."""
    for finding in found:
        past = finding.events and all(attested(case, event) for event in finding.events)
        if not past or finding.kind in PRESENT:
            yield finding


def _softened(case: Case, asked: Requirement) -> Requirement:
    """A paper, certificate or hand-over of a stage behind the cutover that nobody imported is not asked for again.

    What was imported and speaks against the service still does.
    """
    referral = case.record.referral
    said = set(asked.evidence) - ({referral.event_id} if referral else set())
    if not asked.met and not said and _belongs_before(case, asked):
        return replace(asked, enforcement=Enforcement.OFF)
    return asked


def _belongs_before(case: Case, asked: Requirement) -> bool:
    paper = asked.rule.startswith("eligibility.") and asked.key != AGE
    if paper or asked.key.endswith(".apheresis_facility") or asked.key == "product.collected":
        return behind(case, Stage.APHERESIS)
    if asked.key in ("product.lymphodepletion", "product.on_site"):
        return behind(case, Stage.LYMPHODEPLETION)
    return False


def _attested_requirement(case: Case) -> Requirement:
    cutover = case.record.cutover
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
