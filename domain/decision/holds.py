"""Requirements become gates and holds, with the overrides in effect.

An override is in effect until it expires or a newer fact about the requirement arrives. For a performed service, both are judged
at the moment of the service. Where the rulebook forbids an override, it has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from domain.billing.model import Claim, Edit
from domain.encounter.context import EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.model import Enforcement, Gate, Hold, Override, Requirement
from domain.encounter.stages.stage_module import StageModule
from domain.events.base import Stage
from domain.events.governance import HoldOverridden

FUTURE_DATED: Final = "the record for this is future dated and counts from its date"


def hold_id(stage: Stage, requirement: Requirement) -> str:
    """Return the stable id that an override names."""
    return f"{stage.value}.{requirement.key}"


def judge(context: EncounterContext, module: StageModule, service: Service) -> Gate:
    """Return a stage's gate for the day of a service, judged at the time of the service."""
    asked = tuple(module.gate_requirements(context.as_of(service), service))
    if context.future_records and not service.performed:
        asked = tuple(_by_now(asked, module.gate_requirements(context.by_now, service)))
    overridden = frozenset(r.key for r in asked if not r.met and override_of(context, service, r) is not None)
    return Gate(module.STAGE, service.on, asked, overridden)


def _by_now(asked: Iterable[Requirement], now: Iterable[Requirement]) -> Iterator[Requirement]:
    """Yield requirements without future dated records: these open nothing yet, but evidence against the service counts."""
    today = {requirement.key: requirement for requirement in now}
    for requirement in asked:
        without = today.pop(requirement.key, requirement)
        if requirement.met and not without.met:
            evidence = tuple(dict.fromkeys((*without.evidence, *requirement.evidence)))
            yield replace(without, missing=f"{without.missing}; {FUTURE_DATED}", evidence=evidence)
        else:
            yield requirement
    yield from today.values()


def override_of(context: EncounterContext, service: Service, requirement: Requirement) -> Override | None:
    """Return the override in effect for a requirement; None if there is none, it expired, or the rulebook forbids it."""
    signed = signed_for(context, service.stage, requirement)
    if signed is None or not requirement.overridable or override_expired(context, service, requirement, signed):
        return None
    return Override(signed.data.role, signed.event_id, signed.data.expires)


def signed_for(context: EncounterContext, stage: Stage, requirement: Requirement) -> Fact[HoldOverridden] | None:
    """Return the last override that names the hold."""
    mine = [fact for fact in context.record.overrides if fact.data.hold == hold_id(stage, requirement)]
    return mine[-1] if mine else None


def override_expired(
    context: EncounterContext, service: Service, requirement: Requirement, signed: Fact[HoldOverridden]
) -> bool:
    """Whether the override has passed its end, or a newer fact about the requirement arrived after it."""
    moment = service.moment if service.performed and service.moment else context.now
    if signed.data.expires <= moment:
        return True
    until: datetime | None = moment if service.performed else None
    newer = [
        context.by_event[event].time
        for event in requirement.evidence
        if event in context.by_event and event not in service.events
    ]
    return any(time > signed.time and (until is None or time <= until) for time in newer)


def holds(context: EncounterContext, gates: Iterable[tuple[Gate, Service]], current: Stage) -> Iterator[Hold]:
    """Yield one hold for each unmet requirement that holds.

    A requirement missing for several services is reported once. Cells and doses that come later as planned are no hold of a
    stage that is only booked.
    """
    reported: set[str] = set()
    for gate, service in gates:
        here = service.performed or gate.stage is current
        for requirement in gate.unmet:
            if requirement.enforcement is not Enforcement.HOLD or (requirement.kind == "product" and not here):
                continue
            if requirement.key in reported and not service.performed:
                continue
            reported.add(requirement.key)
            yield _hold(context, gate, service, requirement)


def claim_holds(claims: Iterable[Claim]) -> Iterator[Hold]:
    """Yield one hold for each error edit of a claim that is ready."""
    for claim in claims:
        for edit in {edit.id: edit for edit in claim.errors}.values() if claim.ready else ():
            required = _of_edit(f"{claim.letter}.{claim.ordinal}.{edit.id}", edit)
            yield Hold(f"claim.{required.key}", "claim", f"claim:{claim.key}", required)


def _of_edit(key: str, edit: Edit) -> Requirement:
    """Return the requirement of an edit of a claim."""
    return Requirement(
        key=key,
        kind="claim",
        met=False,
        enforcement=Enforcement.HOLD,
        owner=edit.owner,
        title=edit.message,
        missing=edit.field,
        fix=edit.fix,
        rule=edit.id,
        citation=edit.citation,
        denial=edit.denial,
        releases_on=edit.releases_on,
        overridable=False,
    )


def reports(alert_key: str, hold: str) -> bool:
    """Whether the alert reports the hold: both keys name the requirement."""
    return bool(key := hold.partition(".")[2]) and alert_key.partition(":")[2] == key


def _hold(context: EncounterContext, gate: Gate, service: Service, requirement: Requirement) -> Hold:
    override = override_of(context, service, requirement)
    return Hold(hold_id(gate.stage, requirement), gate.stage.value, "encounter", requirement, override)
