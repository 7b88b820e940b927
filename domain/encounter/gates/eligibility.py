"""Eligibility: the documents that the payer's reading of the label requires (G277, G335-336, G371-381).

The latest dated document of a kind decides, so contrary evidence closes the gate again. A performed service is judged by the
documents of its day or before; a later document counts only if there is no earlier one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.days import age_on
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.requirements import strictest
from domain.encounter.model import Enforcement, Requirement
from domain.events import access
from domain.events.base import Setting
from domain.rulebook.rows import Eligibility

COLUMNS = ("product", "indication", "payer", "payer_class", "setting")
Document = tuple[access.EvidenceAdded, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the documents satisfy a row, what is missing, and which events were read."""

    met: bool
    missing: str = ""
    events: tuple[str, ...] = ()


def eligibility(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return every document that the rulebook requires of this stage, for the day of the service."""
    if context.record.referral is None:
        return []
    return [_requirement(context, service, row) for row in asked(context, service)]


def asked(context: EncounterContext, service: Service) -> tuple[Eligibility, ...]:
    """Return the rows that apply to the stage, one per requirement."""
    rows = context.rules.find(
        Eligibility,
        service.on,
        product=context.product,
        indication=context.indication,
        payer=context.payer,
        payer_class=context.payer_class,
        setting=_setting(context, service),
    )
    return strictest([row for row in rows if service.stage.value in row.stages], COLUMNS, lambda row: row.requirement)


def judge(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    """Return the requirement of one row, judged against the record on the day of the service."""
    special = SPECIAL.get(row.requirement)
    if special is not None:
        return special(context, service, row)
    kinds = ALSO.get(row.requirement, (row.requirement,))
    latest = _latest(context, service, row, kinds)
    if latest is None:
        return Finding(False, row.title, _events(context, kinds))
    met = _speaks_for(latest[0], row)
    return Finding(met, "" if met else f"{row.title}; the latest document does not support it", _events(context, kinds))


def last_day(context: EncounterContext, service: Service, row: Eligibility) -> date | None:
    """Return the last day on which the document that satisfies a row is recent enough; None if age does not matter."""
    if row.max_age_days is None:
        return None
    latest = _latest(context, service, row, ALSO.get(row.requirement, (row.requirement,)))
    return latest[0].dated + timedelta(days=row.max_age_days) if latest else None


def _setting(context: EncounterContext, service: Service) -> str:
    """The setting of the infusion, which some documents are required for."""
    if service.stage.value == "infusion" and service.setting:
        return service.setting.value
    return (context.record.planned_setting or Setting.INPATIENT).value


def _requirement(context: EncounterContext, service: Service, row: Eligibility) -> Requirement:
    found = judge(context, service, row)
    return Requirement(
        key=f"eligibility.{row.requirement}",
        kind="eligibility",
        met=found.met,
        enforcement=Enforcement(row.enforcement),
        owner=row.owner,
        title=row.title,
        missing=found.missing,
        fix=row.fix,
        rule=row.id,
        citation=row.citation,
        denial=row.denial,
        releases_on=("cart.evidence.added", "cart.referral.received", "cart.correction.made"),
        overridable=row.overridable,
        evidence=found.events,
        alert="evidence_missing",
    )


def _events(context: EncounterContext, kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event for _, event in context.record.documents(*kinds)))


def _latest(context: EncounterContext, service: Service, row: Eligibility, kinds: tuple[str, ...]) -> Document | None:
    """Return the document that decides; with a window, only one within the window on the day."""
    documents = context.record.documents(*kinds)
    before = [document for document in documents if document[0].dated <= service.on]
    if row.max_age_days is not None:
        oldest = service.on - timedelta(days=row.max_age_days)
        before = [document for document in before if document[0].dated >= oldest]
        return before[-1] if before else None
    if before:
        return before[-1]
    return documents[-1] if documents else None


def _speaks_for(document: access.EvidenceAdded, row: Eligibility) -> bool:
    """Whether the values of a document satisfy the row; a document without values counts if it exists."""
    match document:
        case access.BtkInhibitorEvidence():
            agents, reasons = row.agents, row.reasons
            return (not agents or document.values.agent in agents) and (
                not reasons or document.values.reason in reasons
            )
        case access.FlowEvidence():
            return document.values.cd19_positive
        case access.PathologyEvidence():
            return document.values.cd19_positive
        case access.EcogEvidence():
            return _within(Decimal(document.values.score), row)
        case access.CnsEvidence():
            return _within(Decimal(document.values.status), row)
        case access.LvefEvidence():
            return _within(document.values.percent, row)
        case access.OrganEvidence():
            return document.values.adequate
        case access.AutoimmuneEvidence():
            return not document.values.active
        case access.BurdenEvidence():
            return row.requirement == "imaging" or document.values.level == "low"
        case access.RiskEvidence():
            return document.values.outpatient_acceptable
    return True


def _within(value: Decimal, row: Eligibility) -> bool:
    return (row.minimum is None or value >= row.minimum) and (row.maximum is None or value <= row.maximum)


def _btk_inhibitor(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    """Judge the latest document; without one, a log entry with agent, both dates and the reason (G277, G433)."""
    referral = context.record.referral
    assert referral is not None
    document = _latest(context, service, row, ("btk_inhibitor",))
    if document is not None:
        met = _speaks_for(document[0], row)
        said = "" if met else f"{row.title}; the latest document does not support it"
        return Finding(met, said, _events(context, ("btk_inhibitor",)))
    met = any(
        therapy.agent in row.agents
        and therapy.started is not None
        and therapy.stopped is not None
        and therapy.stop_reason in row.reasons
        for therapy in referral.data.prior_therapies
    )
    return Finding(met, "" if met else row.title, (referral.event_id,))


def _adult_age(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    referral = context.record.referral
    assert referral is not None
    met = _within(Decimal(age_on(referral.data.patient.birth_date, service.on)), row)
    return Finding(met, "" if met else row.title, (referral.event_id,))


def _cd19_flow(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    """Judge the latest flow cytometry, unless the latest pathology excludes a B-precursor disease (G277)."""
    flow = _latest(context, service, row, ("cd19_flow",))
    seen = _latest(context, service, row, ("pathology",))
    events = _events(context, ("cd19_flow", "pathology"))
    if seen is not None and isinstance(seen[0], access.PathologyEvidence) and seen[0].values.b_precursor is False:
        return Finding(False, f"{row.title}; pathology does not support it", events)
    if flow is None:
        return Finding(False, row.title, events)
    met = _speaks_for(flow[0], row)
    return Finding(met, "" if met else f"{row.title}; the latest document does not support it", events)


def _prior_therapy(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    """Judge the lines of the log; a filed log counts if one line is enough."""
    referral = context.record.referral
    assert referral is not None
    lines = len({therapy.line for therapy in referral.data.prior_therapies})
    documents = _events(context, ("prior_therapy_log",))
    minimum = row.minimum or Decimal(1)
    met = lines >= minimum or (bool(documents) and minimum <= 1)
    return Finding(met, "" if met else row.title, (referral.event_id, *documents))


def _relapsed(context: EncounterContext, service: Service, row: Eligibility) -> Finding:
    """Judge pathology if it states the status; else therapy on record and a diagnosis that is not in remission."""
    referral = context.record.referral
    assert referral is not None
    said = [
        (document.values.relapsed_or_refractory, event)
        for document, event in context.record.documents("pathology")
        if isinstance(document, access.PathologyEvidence) and document.values.relapsed_or_refractory is not None
    ]
    events = (referral.event_id, *(event for _, event in said))
    if said:
        return Finding(bool(said[-1][0]), "" if said[-1][0] else f"{row.title}; pathology does not support it", events)
    label = context.indication_row(service.on)
    remission = label is not None and referral.data.diagnosis in label.remission_codes
    treated = bool(referral.data.prior_therapies or context.record.documents("btk_inhibitor", "prior_therapy_log"))
    met = treated and not remission
    return Finding(met, "" if met else row.title, events)


ALSO: dict[str, tuple[str, ...]] = {"imaging": ("imaging", "tumour_burden")}
"""Kinds of evidence that satisfy a requirement of another name (G378: imaging or disease burden)."""

SPECIAL: dict[str, Callable[[EncounterContext, Service, Eligibility], Finding]] = {
    "adult_age": _adult_age,
    "btk_inhibitor": _btk_inhibitor,
    "cd19_flow": _cd19_flow,
    "prior_therapy": _prior_therapy,
    "relapsed_refractory": _relapsed,
}
