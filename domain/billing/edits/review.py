"""The input of an edit, and how a finding becomes an edit of the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.billing.build.draft import Draft
from domain.billing.context import BillingContext
from domain.billing.model import Claim, Edit, EditSeverity
from domain.billing.services import ClaimServices
from domain.encounter.model import Requirement
from domain.rulebook.rows import EditRule


@dataclass(frozen=True)
class ClaimReview:
    """A finished claim with what it was built from.

    Attributes:
        siblings: every claim of the encounter, this one included.
        used: events of the posted charges that are on a claim.
        uncleared: by event, the unmet requirements of services performed without clearance.
    """

    draft: Draft
    claim: Claim
    siblings: tuple[Claim, ...]
    used: frozenset[str]
    uncleared: Mapping[str, tuple[Requirement, ...]]

    @property
    def context(self) -> BillingContext:
        return self.draft.context

    @property
    def services(self) -> ClaimServices:
        return self.draft.services

    def rule(self, edit: str) -> EditRule | None:
        """The row of the edit for the day of the claim; on a day before the first row, that first row."""
        rows = [row for row in self.context.rules.table(EditRule) if row.edit == edit]
        holding = [row for row in rows if row.holds_on(self.claim.statement_from)]
        return min(holding or rows, key=lambda row: row.effective_from, default=None)

    def found(self, edit: str, field: str, detail: str = "", *, denial: int | None = None) -> Edit:
        """Return the finding in the words of the rulebook. `detail` names rows, codes or days, never a person.

        Raises:
            KeyError: the rulebook has no such edit, a defect of the rulebook.
        """
        rule = self.rule(edit)
        if rule is None:
            raise KeyError(edit)
        return Edit(
            id=edit,
            severity=EditSeverity(rule.severity),
            field=field,
            message=f"{rule.title}: {detail}" if detail else rule.title,
            fix=rule.fix,
            citation=rule.citation,
            denial=denial or rule.denial,
            owner=rule.owner,
            releases_on=rule.releases_on,
        )
