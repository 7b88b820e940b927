"""The documents that go with Claim C or support it (G333-336, G369-381)."""

from __future__ import annotations

from domain.billing.build.draft import Draft
from domain.billing.model import Attachment, Reason
from domain.events.access import CertificateEvidence
from domain.rulebook import ANY, NoRule
from domain.rulebook.rows import Checklist

_LOG = "prior_therapy_log"


def attachments(draft: Draft) -> tuple[Attachment, ...]:
    """One entry per document of the authorization checklist; `event` is None while it is missing."""
    if draft.services.letter != "C":
        return ()
    try:
        if not draft.context.payer_row(draft.services.first).authorization_required:
            return ()
    except NoRule:
        return ()
    found: dict[str, Attachment] = {}
    for row in sorted(draft.context.rules.find(Checklist, draft.services.first), key=lambda r: r.number):
        if row.indication not in (ANY, draft.context.indication):
            continue
        for kind in row.evidence:
            event = _event(draft, kind)
            reason = Reason(rule=row.id, citation=row.citation, events=(event,) if event else (), text=row.title)
            found.setdefault(kind, Attachment(kind=kind, title=row.title, event=event, reason=reason))
    return tuple(found.values())


def _event(draft: Draft, kind: str) -> str | None:
    """The latest document of the kind; a certificate of another product does not count, a filed therapy log does."""
    fitting = [event for document, event in draft.context.record.documents(kind) if _fits(draft, document)]
    if fitting:
        return fitting[-1]
    referral = draft.context.referral
    return referral.event_id if kind == _LOG and referral.data.prior_therapies else None


def _fits(draft: Draft, document: object) -> bool:
    return not isinstance(document, CertificateEvidence) or document.values.product in (None, draft.context.product)
