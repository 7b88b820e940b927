"""Why a claim is adjusted or canceled, as Medicare requires it (Claims Processing Manual, chapter 1, section 130.1.2.1).

One condition code in each file of frequency 7 or 8, the one that describes it best; without it the contractor rejects the
file. The code depends on earlier files, so it is not part of the content of the claim.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.billing.model import Claim, CodedValue, Form, Reason
from domain.billing.submission.model import ORIGINAL, VOID
from domain.rulebook import Rulebook
from domain.rulebook.rows import Code, FormLocation, Payer, Policy


def with_change_reason(claim: Claim, before: Claim | None, frequency: str, rules: Rulebook) -> Claim:
    """The claim as its file reports it: with the condition code of its change where the payer requires one.

    Args:
        before: what the payer has; None where that is not known.

    Raises:
        NoRule: the rulebook has no row for the payer or the day.
    """
    if frequency == ORIGINAL or before is None or claim.form is not Form.UB04:
        return claim
    on = claim.statement_through
    known = rules.maybe(Payer, on, key=claim.payer)
    asked = {"payer": claim.payer, "payer_class": known.payer_class if known else "", "mac": ""}
    if rules.one(Policy, on, key="claim_change_reason", **asked).value != "report":
        return claim
    changes = list(_changes(claim, before))
    role = "cancel" if frequency == VOID else changes[0] if len(changes) == 1 else "change_other"
    row = rules.one(Code, on, role=role)
    field = rules.one(FormLocation, on, form=claim.form.value, value="condition_code").field
    reason = Reason(rule=row.id, citation=row.citation, events=(), text=row.title)
    code = CodedValue(kind="condition", code=row.code, field=field, reason=reason)
    note = f"{row.code} changed {', '.join(_WORDS[one] for one in changes) or 'insured'}"
    remarks = ", ".join(filter(None, (note, claim.remarks))) if role == "change_other" else claim.remarks
    return claim.model_copy(update={"codes": (*claim.codes, code), "remarks": remarks})


_WORDS = {
    "change_dates": "dates",
    "change_status": "discharge status",
    "change_clinical": "diagnoses or procedures",
    "change_services": "services",
    "change_charges": "charges",
}


def _changes(claim: Claim, before: Claim) -> Iterator[str]:
    """What differs, by the role of its code. Charges count only alone, since other changes also change charges."""
    found = []
    if (claim.statement_from, claim.statement_through) != (before.statement_from, before.statement_through):
        found.append("change_dates")
    if _status(claim) != _status(before):
        found.append("change_status")
    if _clinical(claim) != _clinical(before):
        found.append("change_clinical")
    if _services(claim) != _services(before):
        found.append("change_services")
    if not found and claim.total != before.total:
        found.append("change_charges")
    yield from found


def _status(claim: Claim) -> str | None:
    return next((one.value for one in claim.fields if one.reason.rule.endswith(".discharge_status")), None)


def _clinical(claim: Claim) -> object:
    diagnoses = [(one.role, one.code, one.poa) for one in claim.diagnoses]
    return diagnoses, [(one.role, one.code, one.date) for one in claim.procedures]


def _services(claim: Claim) -> object:
    return sorted(
        (one.date_of_service, one.revenue_code or "", one.hcpcs or "", one.modifiers, one.units) for one in claim.lines
    )
