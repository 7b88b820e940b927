"""Edits on requirements before the service: clearance, authorization, documents, site of care (denials 1-6, 11)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.billing.build.forms import service_day
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Edit, EditSeverity
from domain.events.base import Stage
from domain.events.cells import CustodyStep
from domain.rulebook.rows import SiteOfCare

_LABELS = {"tumour_burden": "tumor burden"}
_TIMELINE = (
    CustodyStep.COURIER_PICKUP,
    CustodyStep.MANUFACTURING_START,
    CustodyStep.SHIPPED,
    CustodyStep.SITE_RECEIPT,
)
"""The steps that the payer's timeline requires between collection and infusion (G437)."""


def performed_uncleared(review: ClaimReview) -> Iterator[Edit]:
    """A service of this claim was given without clearance."""
    services = review.services
    events = [fact.event_id for fact in (*services.collections, *services.doses)]
    events += [event for infusion in services.infusions for event in infusion.events]
    unmet = [requirement for event in events for requirement in review.uncleared.get(event, ())]
    if unmet:
        titles = "not met: " + "; ".join(dict.fromkeys(requirement.title for requirement in unmet))
        denial = next((requirement.denial for requirement in unmet if requirement.denial), None)
        yield review.found("performed_uncleared", "claim", titles, denial=denial)


def authorization(review: ClaimReview) -> Iterator[Edit]:
    """The payer requires an authorization and no approved one covers the date of service (G314, corrections C6)."""
    day = service_day(review.draft)
    if review.context.payer_row(day).authorization_required and review.context.authorization(day) is None:
        field = review.draft.location("authorization", day).field
        yield review.found("authorization_missing", field, f"service of {day.isoformat()}")


def documents(review: ClaimReview) -> Iterator[Edit]:
    """Documents of the checklist that are not on file; each prevents its own denial."""
    for document in review.claim.attachments:
        if document.event is None:
            named = f"paper_{document.kind}"
            yield _as_imported(
                review, review.found(named if review.rule(named) else "paper", "attachment", document.title)
            )


def timeline(review: ClaimReview) -> Iterator[Edit]:
    """Transfers between collection and infusion that are not recorded; held for payers that approve on documents (denial 6)."""
    if review.claim.letter != "C" or not review.services.given:
        return
    seen = {fact.data.step for fact in review.context.record.custody}
    missing = [step.value.replace("_", " ") for step in _TIMELINE if step not in seen]
    if missing:
        asked = review.context.payer_row(review.services.first).authorization_required and not _made_before(review)
        yield review.found(
            "timeline_undocumented" if asked else "timeline_incomplete", "attachment", ", ".join(missing)
        )


def _as_imported(review: ClaimReview, edit: Edit) -> Edit:
    """Make requirements of stages before a cutover warnings."""
    if review.context.record.cutover is None or review.context.record.cutover.data.stage is Stage.APHERESIS:
        return edit
    return edit.model_copy(update={"severity": EditSeverity.WARNING})


def _made_before(review: ClaimReview) -> bool:
    """True when the encounter was imported during or after manufacturing: the prior system recorded its transfers."""
    cutover = review.context.record.cutover
    return cutover is not None and cutover.data.stage is not Stage.APHERESIS


def site_of_care(review: ClaimReview) -> Iterator[Edit]:
    """An outpatient infusion that the payer does not cover, or covers only with documents (denial 11)."""
    services = review.services
    if review.claim.letter != "C" or services.inpatient:
        return
    row = review.context.rules.one(
        SiteOfCare,
        services.first,
        product=review.context.product,
        indication=review.context.indication,
        payer=review.claim.payer,
        setting=services.setting,
    )
    if row.policy == "held":
        yield review.found("outpatient_not_permitted", "claim", row.fix)
    missing = [
        _LABELS.get(kind, kind.replace("_", " ")) for kind in row.documents if not review.context.record.documents(kind)
    ]
    if row.policy == "with_document" and missing:
        yield review.found(
            "paper", "attachment", f"{', '.join(missing)} for the outpatient infusion", denial=row.denial
        )


def setting(review: ClaimReview) -> Iterator[Edit]:
    """The infusion is charted as outpatient but was given during an inpatient stay."""
    stay = review.services.stay
    if stay and any(i.setting.value != "inpatient" and stay.covers(i.started_at) for i in review.services.infusions):
        yield review.found("setting_mismatch", "type of bill")


def known_payer(review: ClaimReview) -> Iterator[Edit]:
    """The payer has no identifiers in the site file, so no claim can be sent."""
    if review.context.site.payer(review.claim.payer) is None:
        yield review.found("unknown_payer", "payer", "payer has no identifiers in the site file")


CHECKS = (performed_uncleared, authorization, documents, timeline, site_of_care, setting, known_payer)
