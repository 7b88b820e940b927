"""The one question the workflow asks of the domain: given the facts, the rules and the moment, what should be?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain

from domain.alerts.model import Finding
from domain.billing import build_claims
from domain.billing.model import Claim
from domain.custody.entries import custody
from domain.decision import closure
from domain.decision.findings import Judged, alerts, deadlines, of_claims, of_gates, performed_uncleared
from domain.decision.holds import claim_holds, holds, judge
from domain.decision.model import Decision
from domain.encounter import cutover
from domain.encounter.checks.body_measures import implausible
from domain.encounter.checks.toxicity import documented
from domain.encounter.context import Case, Service
from domain.encounter.expiring_before_infusion import outlook
from domain.encounter.facts import Fact, Facts
from domain.encounter.gates.product import overlap
from domain.encounter.model import Outcome, Requirement
from domain.encounter.record import Record
from domain.encounter.stages import apheresis, infusion, lymphodepletion, manufacturing, monitoring
from domain.encounter.stages.stage_module import StageModule, Wait
from domain.encounter.timeline import in_order, vein_to_vein_days
from domain.encounter.validity_timers import lapses
from domain.events import EventData
from domain.events.base import Stage
from domain.rulebook import Rulebook
from domain.site import Site

STAGES: tuple[StageModule, ...] = (apheresis, manufacturing, lymphodepletion, infusion, monitoring)


def decide(
    facts: Facts,
    site: Site,
    rules: Rulebook,
    now: datetime,
    holders: Sequence[Fact[EventData]] = (),
    shared: frozenset[tuple[str, str]] = frozenset(),
) -> Decision:
    """What should be: stage, gates, holds, alerts, deadlines, claims, custody chain, milestones, outcome.

    Args:
        facts: the encounter's facts, folded.
        site: the installation.
        rules: one edition of the rulebook.
        now: the workflow's time, zoned; the only clock there is.
        holders: changes of certificates and readiness of any holder, besides those of the site file.
        shared: cell identifiers, by kind and value, that another patient's encounter carries, too.

    Raises:
        NoRule: the rulebook lacks a window or an alert kind that the stages need.
    """
    case = Case(Record(facts), site, rules, now, tuple(holders), shared)
    judged = tuple(
        (cutover.judged(case, judge(case, module, service), service), service) for module, service in services(case)
    )
    stage = stage_of(case)
    done = tuple(performed(case))
    claims = build_claims(case.record, site, rules, uncleared(case, done))
    outcome = closure.outcome(case, claims)
    relevant = [(gate, service) for gate, service in judged if _matters(case, stage, gate.stage, service)]
    if cutover.announced(case):
        relevant = []
    ahead, overdue = deadlines(case, _waits(case, claims))
    found = (*of_gates(case, relevant), *performed_uncleared(done), *_findings(case, claims), *overdue)
    return Decision(
        stage=Stage.CLOSED if outcome else stage,
        gates=tuple(gate for gate, _ in judged),
        holds=(*holds(case, relevant, stage), *claim_holds(claims)),
        alerts=alerts(case, (finding for finding in found if not (outcome and finding.kind in closure.ENDS))),
        deadlines=() if outcome else ahead,
        claims=claims,
        custody=custody(facts),
        milestones=in_order(chain.from_iterable(module.milestones(case) for module in STAGES)),
        product=case.product,
        payer=case.payer,
        payer_class=case.payer_class,
        outcome=outcome,
        rulebook_digest=rules.digest,
        edition=rules.edition,
        advisories=(*overlap(case, apheresis.service(case).on), *_documented_ahead(case)),
        vein_to_vein_days=vein_to_vein_days(case.record, site),
        toxicity=documented(case) if case.record.infusions else None,
    )


def services(case: Case) -> Iterator[tuple[StageModule, Service]]:
    """Each stage with the service its gate is judged for."""
    for module in STAGES:
        yield module, module.service(case)


def stage_of(case: Case) -> Stage:
    """The first stage that has not happened; what was performed behind a closed gate has happened all the same."""
    if case.record.given or cutover.behind(case, Stage.INFUSION):
        return Stage.MONITORING
    if case.record.infusions:
        return Stage.INFUSION
    for module in (apheresis, manufacturing, lymphodepletion):
        if not module.happened(case) and not cutover.behind(case, module.STAGE):
            return Stage(module.STAGE)
    return Stage.INFUSION


def performed(case: Case) -> Iterator[Judged]:
    """Every service that was performed, of every attempt and course, with its gate."""
    for service in apheresis.collections(case):
        yield cutover.judged(case, judge(case, apheresis, service), service), service
    for course in case.all_courses:
        first = course[0]
        service = case.performed(Stage.LYMPHODEPLETION, first, first.data.facility, first.data.setting)
        yield cutover.judged(case, judge(case, lymphodepletion, service), service), service
    if case.record.infusions:
        service = infusion.service(case)
        yield cutover.judged(case, judge(case, infusion, service), service), service


def uncleared(case: Case, done: Sequence[Judged]) -> dict[str, tuple[Requirement, ...]]:
    """By event, what held when a service was performed behind a closed gate: its claim is held (G47)."""
    return {event: gate.holding for gate, service in done if not gate.open for event in _events_of(case, service)}


def _events_of(case: Case, service: Service) -> tuple[str, ...]:
    """All events of a service: the collection, every dose of the course, every event of the infusions."""
    if service.stage is Stage.LYMPHODEPLETION:
        course = next(found for found in case.all_courses if found[0].event_id in service.events)
        return tuple(dose.event_id for dose in course)
    if service.stage is Stage.INFUSION:
        return tuple(event for infusion in case.record.infusions for event in infusion.events)
    return service.events


def _matters(case: Case, stage: Stage, of: Stage, service: Service) -> bool:
    """A gate speaks when its stage is the current one, its service is booked, or it was performed."""
    if of is Stage.MONITORING:
        return False
    if case.record.withdrawal is not None:
        return service.performed
    return service.performed or service.booked or of is stage


def _waits(case: Case, claims: Sequence[Claim]) -> Iterator[Wait]:
    """Every wait of every stage; after a withdrawal only stays and money are waited for."""
    if case.record.withdrawal is None:
        yield from chain.from_iterable(module.waits(case) for module in _ahead(case))
        yield from lapses(case, [service for _, service in services(case)])
    else:
        yield from monitoring.waits(case)
    yield from closure.waits(case, claims)


def _documented_ahead(case: Case) -> Iterator[str]:
    """Services that are written down for a time to come: taken as they are, and asked about until then."""
    for event in case.performed_ahead:
        what = case.by_event[event].type.removeprefix("cart.").replace(".", " ")
        yield f"{what} ({event}) is documented for a time that has not come yet; compare its date with the record"


def _ahead(case: Case) -> Iterator[StageModule]:
    """The stages that are not behind a cutover."""
    return (module for module in STAGES if not cutover.behind(case, module.STAGE))


def _findings(case: Case, claims: Sequence[Claim]) -> Iterator[Finding]:
    """What every stage, the claims and the end of the encounter find; after a withdrawal only what was done matters."""
    if case.record.withdrawal is None:
        yield from outlook(case)
        yield from implausible(case)
        own = chain.from_iterable(module.findings(case) for module in _ahead(case))
        yield from cutover.findings(case, own)
    else:
        yield from monitoring.findings(case)
        yield from lymphodepletion.doses(case)
    yield from of_claims(case, claims)
    yield from closure.findings(case, claims)
    yield from (Finding("broken_correction", event, (event,)) for event in case.record.facts.broken)
    yield from (Finding("change_without_beginning", event, (event,)) for event in case.record.unbegun)
    yield from (
        Finding("coverage_differs", stay.id, stay.events)
        for stay in case.record.stays
        if case.record.payer is not None and stay.payer not in (None, case.record.payer)
    )


__all__ = ["STAGES", "Outcome", "decide", "performed", "services", "stage_of", "uncleared"]
