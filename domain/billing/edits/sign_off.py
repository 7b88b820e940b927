"""A signature for services as charted: it turns an error that the rulebook lets be overridden into a warning."""

from __future__ import annotations

from datetime import datetime

from domain.billing.edits.review import ClaimReview
from domain.billing.model import Edit, EditSeverity
from domain.encounter.facts import Fact
from domain.events.governance import HoldOverridden


def hold_of(review: ClaimReview, edit: Edit) -> str:
    """The id of the hold that the edit raises, as an override names it."""
    return f"claim.{review.claim.letter}.{review.claim.ordinal}.{edit.id}"


def signed_off(review: ClaimReview, edit: Edit) -> Edit:
    """Return the edit after the last signature. A service charted or corrected later makes it an error again."""
    rule = review.rule(edit.id)
    if edit.severity is not EditSeverity.ERROR or rule is None or not rule.overridable:
        return edit
    signed = [fact for fact in review.context.record.overrides if fact.data.hold == hold_of(review, edit)]
    if not signed or not _in_effect(review, signed[-1]):
        return edit
    message = f"{edit.message}; signed off by {signed[-1].data.role}"
    return edit.model_copy(update={"severity": EditSeverity.WARNING, "message": message})


def _in_effect(review: ClaimReview, signed: Fact[HoldOverridden]) -> bool:
    """True when the signature is later than the chart of every service and had not expired when it was given."""
    charted = max(_known(review), default=signed.time)
    return charted <= signed.time < signed.data.expires


def _known(review: ClaimReview) -> list[datetime]:
    """When each service of the claim was charted; of a corrected one, when it was corrected."""
    facts = [*review.services.doses, *review.services.collections, *review.services.medications]
    times = {fact.event_id: fact.time for fact in review.context.record.facts.all}
    return [max((fact.time, *(times.get(event, fact.time) for event in fact.corrected_by))) for fact in facts]
