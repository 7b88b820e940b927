"""Preflight as a whole: one referral, judged as if it had just arrived, by the gates of the stages themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from domain.decision.holds import judge
from domain.encounter.checks.body_measures import questions
from domain.encounter.context import EncounterContext, Service
from domain.encounter.facts import Fact, fold
from domain.encounter.gates.authorization import required
from domain.encounter.gates.product import overlap
from domain.encounter.model import Gate, Requirement
from domain.encounter.record import Record
from domain.encounter.stages import apheresis, infusion, lymphodepletion
from domain.encounter.stages.stage_module import StageModule
from domain.events import EventData
from domain.events.access import ReferralReceived
from domain.events.base import Stage
from domain.preflight.answer import JudgedGate, Missing, Preflight
from domain.preflight.assistance import assistance
from domain.preflight.costs import costs
from domain.preflight.denials import denials
from domain.preflight.documents import request_documents
from domain.preflight.schedule import Schedule, schedule
from domain.rulebook import Rulebook
from domain.site import Site

PREFLIGHT_EVENT = "preflight"
NOT_YET = frozenset({"product", "identity"})
"""Kinds of requirement that come with the cells in the ordinary course: no one can meet them before a collection."""


def preflight(
    referral: ReferralReceived,
    site: Site,
    rules: Rulebook,
    now: datetime,
    holders: Sequence[Fact[EventData]] = (),
) -> Preflight:
    """Judge a referral. The unbooked collection is judged for the day of `now`, later gates for planned days.

    Args:
        holders: changes of certificates and readiness on record, besides those of the site file.

    Raises:
        NoRule: the rulebook has no row for a window or an alert kind that the stages need.
    """
    fact: Fact[EventData] = Fact(PREFLIGHT_EVENT, PREFLIGHT_EVENT, PREFLIGHT_EVENT, now, now, referral)
    context = EncounterContext(Record(fold([fact])), site, rules, now, tuple(holders))
    plan = schedule(context)
    gates = tuple(_gates(context, plan))
    on, unmet = gates[0].on, tuple(_unmet(gates))
    listed = request_documents(context, gates[0])
    return Preflight(
        cleared=gates[0].open,
        product=context.product,
        indication=context.indication,
        payer=context.payer,
        payer_class=context.payer_class,
        authorization_required=required(context),
        judged_for=on,
        gates=tuple(JudgedGate(gate=gate.stage.value, on=gate.on, open=gate.open) for gate in gates),
        missing=tuple(_missing(gate, requirement) for gate, requirement in unmet),
        denials=denials(context, on, [requirement for _, requirement in unmet], listed),
        papers=listed,
        dates=plan.dates,
        assistance=assistance(context, on),
        costs=costs(context, plan.infusion or on, on),
        assumptions=tuple(_assumptions(context, plan)),
        advisories=(*overlap(context, on), *(f"{text}: verify which is correct" for text in questions(context))),
        edition=rules.edition,
        rulebook_digest=rules.digest,
    )


def _gates(context: EncounterContext, plan: Schedule) -> Iterator[Gate]:
    """The gate of the collection on the judged day, then the later ones on their planned days."""
    yield judge(context, apheresis, apheresis.service(context))
    if plan.lymphodepletion:
        yield _ahead(context, lymphodepletion, plan.lymphodepletion)
    if plan.infusion:
        yield _ahead(context, infusion, plan.infusion)


def _ahead(context: EncounterContext, module: StageModule, on: date) -> Gate:
    setting = context.record.planned_setting if module.STAGE is Stage.INFUSION else None
    service = Service(module.STAGE, on, False, False, context.infusion_facility, setting, None)
    gate = judge(context, module, service)
    return Gate(gate.stage, gate.on, tuple(r for r in gate.requirements if r.kind not in NOT_YET))


def _unmet(gates: Sequence[Gate]) -> Iterator[tuple[Gate, Requirement]]:
    seen: set[str] = set()
    for gate in gates:
        for requirement in gate.unmet:
            if requirement.key not in seen:
                seen.add(requirement.key)
                yield gate, requirement


def _missing(gate: Gate, requirement: Requirement) -> Missing:
    return Missing(
        requirement=requirement.key,
        gate=gate.stage.value,
        on=gate.on,
        enforcement=requirement.enforcement.value,
        owner=requirement.owner,
        missing=requirement.missing,
        fix=requirement.fix,
        rule=requirement.rule,
        citation=requirement.citation,
        denial=requirement.denial,
    )


def _assumptions(context: EncounterContext, plan: Schedule) -> Iterator[str]:
    """The assumptions of the whole result; parts list their own."""
    yield "nothing is booked: the collection is judged for today, later stages for their planned days"
    if context.payer_row is None:
        yield "the rulebook has no row for this payer: authorization and assistance are not judged"
    elif required(context):
        yield "an authorization is required; it must cover the day of the infusion"
    else:
        yield "this payer requires no authorization; the documents stay in the chart and support the claim"
    if context.payer_class != "medicare_ffs":
        yield "amounts are those of fee-for-service Medicare; the contract with this payer decides"
    if plan.infusion is None:
        yield "no day after the collection is planned: the rulebook has no row for this product"
