"""Edits on what had to be there before the service: clearance, authorization, papers, site of care (denials 1-6, 11)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.claims.edits.case import Case
from domain.claims.forms import service_day
from domain.claims.model import Edit, EditSeverity
from domain.events.base import Stage
from domain.events.cells import CustodyStep
from domain.rulebook.rows import SiteOfCare

_TIMELINE = (
    CustodyStep.COURIER_PICKUP,
    CustodyStep.MANUFACTURING_START,
    CustodyStep.SHIPPED,
    CustodyStep.SITE_RECEIPT,
)
"""What the payer's timeline asks for between collection and infusion (G437)."""


def performed_uncleared(case: Case) -> Iterator[Edit]:
    """A service of this claim was given while its gate was closed."""
    bundle = case.bundle
    events = [fact.event_id for fact in (*bundle.collections, *bundle.doses)]
    events += [event for infusion in bundle.infusions for event in infusion.events]
    unmet = [requirement for event in events for requirement in case.uncleared.get(event, ())]
    if unmet:
        titles = "not met: " + "; ".join(dict.fromkeys(requirement.title for requirement in unmet))
        denial = next((requirement.denial for requirement in unmet if requirement.denial), None)
        yield case.found("performed_uncleared", "claim", titles, denial=denial)


def authorization(case: Case) -> Iterator[Edit]:
    """The payer asks for an authorization and none that is approved covers the day of service (G314, corrections C6)."""
    day = service_day(case.draft)
    if case.desk.payer_row(day).authorization_required and case.desk.authorization(day) is None:
        field = case.draft.location("authorization", day).field
        yield case.found("authorization_missing", field, f"service of {day.isoformat()}")


def papers(case: Case) -> Iterator[Edit]:
    """Papers of the checklist that are not on file; each prevents its own denial."""
    for paper in case.claim.attachments:
        if paper.event is None:
            named = f"paper_{paper.kind}"
            yield _as_imported(case, case.found(named if case.rule(named) else "paper", "attachment", paper.title))


def timeline(case: Case) -> Iterator[Edit]:
    """Hand-overs between collection and infusion that nobody recorded: held for payers that approve on papers (denial 6)."""
    if case.claim.letter != "C" or not case.bundle.given:
        return
    seen = {fact.data.step for fact in case.desk.record.custody}
    missing = [step.value.replace("_", " ") for step in _TIMELINE if step not in seen]
    if missing:
        asked = case.desk.payer_row(case.bundle.first).authorization_required and not _made_before(case)
        yield case.found("timeline_undocumented" if asked else "timeline_incomplete", "attachment", ", ".join(missing))


def _as_imported(case: Case, edit: Edit) -> Edit:
    """What belonged to a stage before a cutover is not demanded: it shows, and holds nothing."""
    if case.desk.record.cutover is None or case.desk.record.cutover.data.stage is Stage.APHERESIS:
        return edit
    return edit.model_copy(update={"severity": EditSeverity.WARNING})


def _made_before(case: Case) -> bool:
    """The encounter was taken over when the manufacture had begun or was done: its hand-overs are the former system's."""
    cutover = case.desk.record.cutover
    return cutover is not None and cutover.data.stage is not Stage.APHERESIS


def site_of_care(case: Case) -> Iterator[Edit]:
    """An outpatient infusion the payer does not take, or takes only with papers (denial 11)."""
    bundle = case.bundle
    if case.claim.letter != "C" or bundle.inpatient:
        return
    row = case.desk.rules.one(
        SiteOfCare,
        bundle.first,
        product=case.desk.product,
        indication=case.desk.indication,
        payer=case.claim.payer,
        setting=bundle.setting,
    )
    if row.policy == "held":
        yield case.found("outpatient_not_permitted", "claim", row.fix)
    missing = [
        kind.replace("_", " ").replace("tumour", "tumor") for kind in row.documents if not case.desk.record.papers(kind)
    ]
    if row.policy == "with_document" and missing:
        yield case.found("paper", "attachment", f"{', '.join(missing)} for the outpatient infusion", denial=row.denial)


def setting(case: Case) -> Iterator[Edit]:
    """The infusion is charted as outpatient but was given during an inpatient stay."""
    stay = case.bundle.stay
    if stay and any(i.setting.value != "inpatient" and stay.covers(i.started_at) for i in case.bundle.infusions):
        yield case.found("setting_mismatch", "type of bill")


def known_payer(case: Case) -> Iterator[Edit]:
    """The site cannot send to a payer it has no identifiers of."""
    if case.desk.site.payer(case.claim.payer) is None:
        yield case.found("unknown_payer", "payer", "payer has no identifiers in the site file")


CHECKS = (performed_uncleared, authorization, papers, timeline, site_of_care, setting, known_payer)
