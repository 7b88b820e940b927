"""The narrative: each documented fact as one sentence, in clinical order. Nothing is inferred, nothing is left out."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from domain.days import age_on
from domain.encounter.context import EncounterContext
from domain.encounter.facts import Fact
from domain.events import EventData, access, care, cells, cutover, governance
from domain.packet.model import Sentence
from domain.packet.wording import Words


def narrative(context: EncounterContext, words: Words, named: bool) -> tuple[Sentence, ...]:
    """A sentence for every clinical fact. With identity withheld, an age is given relative to that of the indication."""
    sentences: list[Sentence] = []
    for fact in context.record.facts.all:
        text = describe(fact.data, FactContext(context, words, fact, named))
        if text:
            sentences.append(_sentence(context, fact, text))
    return tuple(sentences)


class FactContext:
    """The context of a sentence besides the data of its event."""

    def __init__(self, context: EncounterContext, words: Words, fact: Fact[Any], named: bool) -> None:
        self.context, self.words, self.fact, self.named = context, words, fact, named

    def day(self, moment: Any, facility: str | None = None) -> str:
        return self.context.day(moment, facility).isoformat()

    def clock(self, moment: Any, facility: str | None = None) -> str:
        return f"{moment.astimezone(self.context.zone(facility)):%Y-%m-%d %H:%M}"


def _sentence(context: EncounterContext, fact: Fact[EventData], text: str) -> Sentence:
    events = (fact.event_id, *fact.corrected_by)
    corrected = " The record was corrected; this is the corrected version." if fact.corrected_by else ""
    return Sentence(
        on=context.day(fact.occurred, _facility(fact)),
        text=text + corrected,
        events=events,
        imported=fact.event_id in context.record.attested,
    )


def _facility(fact: Fact[EventData]) -> str | None:
    found = getattr(fact.data, "facility", None)
    return found if isinstance(found, str) else None


@singledispatch
def describe(data: EventData, about: FactContext) -> str:
    """The sentence of an event; empty for events outside the clinical course (charges, coding, payer responses)."""
    return ""


@describe.register
def _(data: access.ReferralReceived, about: FactContext) -> str:
    words, on = about.words, about.context.day(about.fact.occurred)
    least = words.age_least(data.product, data.indication, on)
    aged = _age(age_on(data.patient.birth_date, on), least, about.named)
    return (
        f"Referred for {words.product(data.product)}: {words.indication(data.product, data.indication, on)}, diagnosis"
        f" {data.diagnosis}. {aged} {_lines(data)}"
    )


def _age(age: int, least: int | None, named: bool) -> str:
    """The age, and whether it reaches the least age of the indication; only the latter where identity is withheld."""
    grown = "" if least is None else f"{least} or older" if age >= least else f"under {least}"
    if named:
        return f"The patient was {age} years old at referral{f' ({grown})' if grown else ''}."
    return f"The patient was {grown} at referral." if grown else "The age at referral is documented."


def _lines(data: access.ReferralReceived) -> str:
    count = len({therapy.line for therapy in data.prior_therapies})
    return f"The referral documents {count} line{'' if count == 1 else 's'} of prior therapy."


@describe.register
def _(data: access.BtkInhibitorEvidence, about: FactContext) -> str:
    v = data.values
    line = f", line {v.line}" if v.line else ""
    return (
        f"BTK inhibitor {about.words.key(v.agent)}{line}: started {v.started}, stopped {v.stopped} for"
        f" {about.words.key(v.reason.value)} (document of {data.dated})."
    )


@describe.register
def _(data: access.EvidenceAdded, about: FactContext) -> str:
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.words.values(data).items())
    return f"Filed: {about.words.key(data.kind)}{f' ({shown})' if shown else ''}, dated {data.dated}."  # type: ignore[attr-defined]


@describe.register
def _(data: access.AuthorizationSubmitted, about: FactContext) -> str:
    number = f" {data.number}" if about.named else ""
    return f"Prior authorization{number} was requested{' in place of an earlier one' if data.replaces else ''}."


@describe.register
def _(data: access.AuthorizationDecided, about: FactContext) -> str:
    number = f" {data.number}" if about.named else ""
    valid = f", valid {data.valid_from} to {data.valid_to}" if data.valid_from and data.valid_to else ""
    return f"The payer's decision on prior authorization{number}: {data.decision.value}{valid}."


@describe.register
def _(data: cells.ApheresisCompleted, about: FactContext) -> str:
    return (
        f"Collection {data.collection_ordinal} by leukapheresis at {about.words.facility(data.facility)}"
        f" ({data.setting.value}), {about.clock(data.started_at, data.facility)} to"
        f" {about.clock(data.ended_at, data.facility)}, {data.access.value} access."
    )


@describe.register
def _(data: cells.CustodyRecorded, about: FactContext) -> str:
    accepted = {True: " Accepted.", False: " Not accepted.", None: ""}[data.accepted]
    return f"Chain of identity: {about.words.step(data.step.value)}, at {data.location}.{accepted}"


@describe.register
def _(data: cells.ManufacturingFailed, about: FactContext) -> str:
    how = "gave a product out of specification" if data.out_of_specification else "failed"
    return f"Manufacturing {how}: {data.reason}"


@describe.register
def _(data: cells.ManufacturingDelayed, about: FactContext) -> str:
    return f"The manufacturer moved the release to {data.new_release_date}."


@describe.register
def _(data: cells.ProductReleased, about: FactContext) -> str:
    return (
        f"The manufacturer released the product: lot {data.lot}, NDC {data.ndc}, {data.viable_car_cells:,} viable"
        f" CAR-positive T cells by certificate of analysis, expiring {data.expires_on}."
    )


@describe.register
def _(data: cells.DispositionSigned, about: FactContext) -> str:
    return (
        f"Disposition of the bag signed by the {data.role}: {data.disposition.replace('_', ' ')}. Reason: {data.reason}"
    )


@describe.register
def _(data: care.LymphodepletionAdministered, about: FactContext) -> str:
    wasted = f", {data.wasted_mg.normalize():f} mg discarded" if data.wasted_mg else ""
    return (
        f"Lymphodepletion: {about.words.key(data.drug)} {data.dose_mg.normalize():f} mg given{wasted},"
        f" {data.route.replace('iv_', 'intravenous ')}, {about.clock(data.started_at, data.facility)} to"
        f" {about.clock(data.ended_at, data.facility)} ({data.setting.value})."
    )


@describe.register
def _(data: care.AdmissionStarted, about: FactContext) -> str:
    return f"Stay began at {about.words.facility(data.facility)} as {data.admission_class.value}."


@describe.register
def _(data: care.AdmissionChanged, about: FactContext) -> str:
    changed = f" to {data.admission_class.value}" if data.admission_class else ""
    return f"The stay changed{changed}."


@describe.register
def _(data: care.AdmissionEnded, about: FactContext) -> str:
    return f"Discharge, status {data.discharge_status}."


@describe.register
def _(data: care.AdmissionCancelled, about: FactContext) -> str:
    return f"The {data.what} was canceled."


def _infused(data: Any, about: FactContext, what: str) -> str:
    seen = len(data.verified_by)
    count = f", {data.cells_infused:,} cells" if data.cells_infused is not None else ""
    return (
        f"{what} at {about.words.facility(data.facility)} ({data.setting.value}), {data.access.value} access{count}."
        f" Label of the bag: {data.label.hcpcs}, NDC {data.label.ndc}, lot {data.label.lot};"
        f" {seen} verifier{'' if seen == 1 else 's'} at the bedside."
    )


@describe.register
def _(data: care.InfusionStarted, about: FactContext) -> str:
    return _infused(data, about, "Infusion started")


@describe.register
def _(data: care.InfusionStopped, about: FactContext) -> str:
    return f"{_infused(data, about, 'Infusion stopped before its end')} Reason: {data.reason}"


@describe.register
def _(data: care.InfusionCompleted, about: FactContext) -> str:
    return _infused(data, about, "Infusion completed")


@describe.register
def _(data: care.ToxicityAssessed, about: FactContext) -> str:
    grades = [
        f"{name} grade {grade}" if grade else f"no {name}"
        for name, grade in (("CRS", data.crs_grade), ("ICANS", data.icans_grade))
        if grade is not None
    ]
    found = " and ".join(grades) or "no grade"
    return f"Documented by {data.assessor_role}: {found} ({about.words.scale(data.scale)})."


@describe.register
def _(data: care.MedicationAdministered, about: FactContext) -> str:
    return (
        f"{about.words.key(data.drug)} {data.dose_mg.normalize():f} mg given for {data.indication.upper()}"
        f" at {about.clock(data.at, data.facility)} ({data.setting.value})."
    )


@describe.register
def _(data: governance.PlanChanged, about: FactContext) -> str:
    return f"The plan changed: {data.reason}"


@describe.register
def _(data: governance.HoldOverridden, about: FactContext) -> str:
    return (
        f"The {data.role} overrode the hold {data.hold.replace('_', ' ')} until {data.expires:%Y-%m-%d}: {data.reason}"
    )


@describe.register
def _(data: cutover.EncounterImported, about: FactContext) -> str:
    billed = len([one for one in data.billed if one.state != "voided"])
    return (
        f"The encounter was imported from {data.system} in the stage {data.stage.value}; what happened before is attested by"
        f" the {data.role}. {billed} claim{'' if billed == 1 else 's'} had been billed elsewhere."
    )


@describe.register
def _(data: governance.EncounterWithdrawn, about: FactContext) -> str:
    return f"The encounter ended before its plan was done: {data.reason.replace('_', ' ')}."
