"""Site of care: whether the payer allows infusion for this indication in this setting (G302, G354-363, G442)."""

from __future__ import annotations

from dataclasses import replace

from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.requirements import from_alert
from domain.encounter.model import Enforcement, Requirement
from domain.events import access
from domain.events.base import Setting, Stage
from domain.rulebook.rows import SiteOfCare

RELEASES = ("cart.evidence.added", "cart.plan.changed", "cart.appointment.rescheduled", "cart.correction.made")
LABELS = {"tumour_burden": "tumor burden"}


def site_of_care(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return the payer's rule for the setting of the infusion: of the service, else of the plan."""
    setting = service.setting if service.stage is Stage.INFUSION else None
    setting = setting or context.record.planned_setting
    if context.record.referral is None or setting is None:
        return []
    row = context.rules.maybe(
        SiteOfCare,
        service.on,
        product=context.product,
        indication=context.indication,
        payer=context.payer,
        setting=setting.value,
    )
    return [_unknown(context) if row is None else _judged(context, row, setting)]


def _unknown(context: EncounterContext) -> Requirement:
    return from_alert(
        context,
        "site_of_care_unknown",
        "site_of_care.setting",
        "site_of_care",
        False,
        "rulebook row for this setting",
        enforcement=Enforcement.WARN,
        releases_on=RELEASES,
    )


def _judged(context: EncounterContext, row: SiteOfCare, setting: Setting) -> Requirement:
    missing = _missing(context, row)
    events = tuple(event for _, event in context.record.documents(*row.documents)) if row.documents else ()
    met = row.policy == "allowed" or (row.policy == "with_document" and not missing)
    text = "inpatient setting" if row.policy == "held" else " and ".join(missing)
    asked = from_alert(
        context,
        "site_of_care",
        "site_of_care.setting",
        "site_of_care",
        met,
        "" if met else text,
        releases_on=RELEASES,
        evidence=events,
        denial=row.denial,
        fix=row.fix,
    )
    return replace(asked, owner=row.owner, rule=row.id, citation=row.citation)


def _missing(context: EncounterContext, row: SiteOfCare) -> list[str]:
    """The documents that are missing, or whose latest does not support the setting."""
    return [LABELS.get(kind, kind.replace("_", " ")) for kind in row.documents if not _supports(context, kind)]


def _supports(context: EncounterContext, kind: str) -> bool:
    documents = context.record.documents(kind)
    if not documents:
        return False
    match documents[-1][0]:
        case access.RiskEvidence() as document:
            return document.values.outpatient_acceptable
        case access.BurdenEvidence() as document:
            return document.values.level == "low"
    return True
