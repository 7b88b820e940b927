"""Claim edits: what is wrong with a claim, or may be, each with its fix and the denial it prevents (G429-443).

Belongs here: findings on a finished claim, one module per kind. Does not belong here: changing the claim, or the text of
a finding (the rulebook has it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from domain.billing.edits import charges, coding, cutover, gates, lines, product, regimen
from domain.billing.edits.review import ClaimReview
from domain.billing.edits.sign_off import signed_off
from domain.billing.model import Edit, EditSeverity
from domain.rulebook import AmbiguousRule, NoRule

_CHECKS: tuple[Callable[[ClaimReview], Iterable[Edit]], ...] = (
    *gates.CHECKS,
    *regimen.CHECKS,
    *coding.CHECKS,
    *product.CHECKS,
    *lines.CHECKS,
    *charges.CHECKS,
    *cutover.CHECKS,
)


def find_edits(review: ClaimReview) -> tuple[Edit, ...]:
    """Return every finding, errors first; findings of one kind are one edit."""
    found: list[Edit] = []
    for check in _CHECKS:
        try:
            found += check(review)
        except (NoRule, AmbiguousRule) as error:
            found.append(review.found("no_rule", "claim", str(error)))
    merged = [signed_off(review, edit) for edit in _merged(found)]
    return tuple(sorted(merged, key=lambda edit: (edit.severity is not EditSeverity.ERROR, edit.id)))


def _merged(found: Iterable[Edit]) -> list[Edit]:
    by_id: dict[str, Edit] = {}
    for edit in found:
        known = by_id.get(edit.id)
        if known is None:
            by_id[edit.id] = edit
        elif edit.message not in known.message:
            detail = edit.message.partition(": ")[2] or edit.message
            by_id[edit.id] = known.model_copy(update={"message": f"{known.message}; {detail}"})
    return list(by_id.values())


__all__ = ["ClaimReview", "find_edits"]
