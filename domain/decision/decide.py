"""The decision for a workflow: what should exist, by the facts, the rules and the moment."""

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
from domain.encounter.context import EncounterContext, Service
from domain.encounter.expiring_before_infusion import outlook
from domain.encounter.facts import Fact, Facts
from domain.encounter.gates.product import overlap
from domain.encounter.model import Gate, Outcome, Requirement
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
    """Return stage, gates, holds, alerts, deadlines, claims, custody chain, milestones and outcome.

    Args:
        facts: the encounter's facts, folded.
        site: the installation.
        rules: one edition of the rulebook.
        now: the workflow's time, zoned; no other clock is read.
        holders: changes of certificates and readiness of any holder, besides those of the site file.
        shared: cell identifiers, by kind and value, that also appear in another patient's encounter.

    Raises:
        NoRule: the rulebook has no row for a window or an alert kind that the stages need.
    """
    context = EncounterContext(Record(facts), site, rules, now, tuple(holders), shared)
    gates = Gates(context)
    judged = tuple((gates.of(module, service), service) for module, service in services(context))
    stage = stage_of(context)
    done = tuple((gates.of(module, service), service) for module, service in performed(context))
    claims = build_claims(context.record, site, rules, uncleared(context, done))
    outcome = closure.outcome(context, claims)
    relevant = [(gate, service) for gate, service in judged if _matters(context, stage, gate.stage, service)]
    if cutover.announced(context):
        relevant = []
    pending, overdue = deadlines(context, _waits(context, claims))
    found = (*of_gates(context, relevant), *performed_uncleared(done), *_findings(context, claims), *overdue)
    return Decision(
        stage=Stage.CLOSED if outcome else stage,
        gates=tuple(gate for gate, _ in judged),
        holds=(*holds(context, relevant, stage), *claim_holds(claims)),
        alerts=alerts(context, (finding for finding in found if not (outcome and finding.kind in closure.ENDS))),
        deadlines=() if outcome else pending,
        claims=claims,
        custody=custody(facts),
        milestones=in_order(chain.from_iterable(module.milestones(context) for module in STAGES)),
        product=context.product,
        payer=context.payer,
        payer_class=context.payer_class,
        outcome=outcome,
        rulebook_digest=rules.digest,
        edition=rules.edition,
        advisories=(*overlap(context, apheresis.service(context).on), *_future_services(context)),
        vein_to_vein_days=vein_to_vein_days(context.record, site),
        toxicity=documented(context) if context.record.infusions else None,
    )


def services(context: EncounterContext) -> Iterator[tuple[StageModule, Service]]:
    """Each stage with the service its gate is judged for."""
    for module in STAGES:
        yield module, module.service(context)


def stage_of(context: EncounterContext) -> Stage:
    """The first stage that has not happened; a service performed without clearance has happened."""
    if context.record.given or cutover.stage_over(context, Stage.INFUSION):
        return Stage.MONITORING
    if context.record.infusions:
        return Stage.INFUSION
    for module in (apheresis, manufacturing, lymphodepletion):
        if not module.happened(context) and not cutover.stage_over(context, module.STAGE):
            return Stage(module.STAGE)
    return Stage.INFUSION


def performed(context: EncounterContext) -> Iterator[tuple[StageModule, Service]]:
    """Every service that was performed, of every attempt and course, with its stage."""
    for service in apheresis.collections(context):
        yield apheresis, service
    for course in context.all_courses:
        first = course[0]
        yield (
            lymphodepletion,
            context.performed(Stage.LYMPHODEPLETION, first, first.data.facility, first.data.setting),
        )
    if context.record.infusions:
        yield infusion, infusion.service(context)


class Gates:
    """The gates of one decision: each service of a stage is judged once, however many parts need it."""

    def __init__(self, context: EncounterContext) -> None:
        self._context = context
        self._judged: dict[tuple[Stage, Service], Gate] = {}

    def of(self, module: StageModule, service: Service) -> Gate:
        """Return the gate of a stage for a service, at the time of the service; before the cutover nothing is required."""
        key = (module.STAGE, service)
        if key not in self._judged:
            gate = judge(self._context, module, service)
            self._judged[key] = cutover.judged(self._context, gate, service)
        return self._judged[key]


def uncleared(context: EncounterContext, done: Sequence[Judged]) -> dict[str, tuple[Requirement, ...]]:
    """By event, the unmet requirements of a service performed without clearance: its claim is held (G47)."""
    return {event: gate.holding for gate, service in done if not gate.open for event in _events_of(context, service)}


def _events_of(context: EncounterContext, service: Service) -> tuple[str, ...]:
    """All events of a service: the collection, every dose of the course, every event of the infusions."""
    if service.stage is Stage.LYMPHODEPLETION:
        course = next(found for found in context.all_courses if found[0].event_id in service.events)
        return tuple(dose.event_id for dose in course)
    if service.stage is Stage.INFUSION:
        return tuple(event for infusion in context.record.infusions for event in infusion.events)
    return service.events


def _matters(context: EncounterContext, stage: Stage, of: Stage, service: Service) -> bool:
    """Whether the gate matters: its stage is the current one, its service is booked, or it was performed."""
    if of is Stage.MONITORING:
        return False
    if context.record.withdrawal is not None:
        return service.performed
    return service.performed or service.booked or of is stage


def _waits(context: EncounterContext, claims: Sequence[Claim]) -> Iterator[Wait]:
    """Yield every wait of every stage; after a withdrawal only waits for stays and payments."""
    if context.record.withdrawal is None:
        yield from chain.from_iterable(module.waits(context) for module in _remaining_stages(context))
        yield from lapses(context, [service for _, service in services(context)])
    else:
        yield from monitoring.waits(context)
    yield from closure.waits(context, claims)


def _future_services(context: EncounterContext) -> Iterator[str]:
    """Yield advice about services documented for a future time, until that time."""
    for event in context.future_services:
        what = context.by_event[event].type.removeprefix("cart.").replace(".", " ")
        yield f"{what} ({event}) is documented for a time that has not come yet; compare its date with the record"


def _remaining_stages(context: EncounterContext) -> Iterator[StageModule]:
    """The stages that were not over before the cutover."""
    return (module for module in STAGES if not cutover.stage_over(context, module.STAGE))


def _findings(context: EncounterContext, claims: Sequence[Claim]) -> Iterator[Finding]:
    """Yield the findings of stages, claims and closure; after a withdrawal only those about performed services."""
    if context.record.withdrawal is None:
        yield from outlook(context)
        yield from implausible(context)
        own = chain.from_iterable(module.findings(context) for module in _remaining_stages(context))
        yield from cutover.findings(context, own)
    else:
        yield from monitoring.findings(context)
        yield from lymphodepletion.doses(context)
    yield from of_claims(context, claims)
    yield from closure.findings(context, claims)
    yield from (Finding("broken_correction", event, (event,)) for event in context.record.facts.broken)
    yield from (Finding("change_without_beginning", event, (event,)) for event in context.record.unbegun)
    yield from (
        Finding("coverage_differs", stay.id, stay.events)
        for stay in context.record.stays
        if context.record.payer is not None and stay.payer not in (None, context.record.payer)
    )


__all__ = ["STAGES", "Outcome", "decide", "performed", "services", "stage_of", "uncleared"]
