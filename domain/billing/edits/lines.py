"""Edits on lines, amounts and identifiers: guide requirements and errors that a file validator does not find."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from stdnum.us import ein

from domain.billing.build.forms import attending_npi
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Claim, Edit, Form, Line
from domain.billing.ndc import eleven
from domain.rulebook.rows import DrugCode
from domain.site import npi_is_valid


def unanswered(review: ClaimReview) -> Iterator[Edit]:
    """Look-ups without a rulebook row while the claim was built."""
    for problem in review.draft.problems:
        yield review.found("no_rule", "claim", problem)


def unconfirmed(review: ClaimReview) -> Iterator[Edit]:
    """Codes whose row is not confirmed, each with its doubt."""
    for row in review.draft.doubts:
        yield review.found("unconfirmed_code", "service code", f"{row.doubt or row.id} [{row.id}]")


def prices(review: ClaimReview) -> Iterator[Edit]:
    """Lines without a posted charge and without a price."""
    for line in review.draft.lines:
        if line.charge is None:
            yield review.found("no_charge", "charge", f"{line.service} of {line.on.isoformat()}")


def total(review: ClaimReview) -> Iterator[Edit]:
    if review.claim.total != sum((line.charge for line in review.claim.lines), Decimal(0)):
        yield review.found("total_mismatch", "total")


def amount_cap(review: ClaimReview) -> Iterator[Edit]:
    """A professional claim above the amount that the payer system accepts (corrections C12)."""
    if review.claim.form is not Form.CMS1500:
        return
    cap = Decimal(
        review.context.policy("professional_amount_cap", review.claim.statement_from, review.claim.facility).value
    )
    if review.claim.total > cap:
        yield review.found("amount_cap", "28", f"more than {cap}")


def drug_units(review: ClaimReview) -> Iterator[Edit]:
    """Units times basis, given and discarded together, must cover what was drawn and exceed it by less than one unit."""
    by_event: dict[tuple[str, str], list[Line]] = {}
    for line in review.claim.lines:
        if line.documented_mg is not None or line.wasted_mg is not None:
            by_event.setdefault((line.reason.rule, line.reason.events[0]), []).append(line)
    for (rule, _), lines in by_event.items():
        row = review.context.rules.by_id(rule)
        if isinstance(row, DrugCode) and not _covers(lines, row.mg_per_unit):
            yield review.found("units_mismatch", "units", f"{row.drug} of {lines[0].date_of_service.isoformat()}")


def _covers(lines: list[Line], mg_per_unit: Decimal) -> bool:
    drawn = sum((line.documented_mg or Decimal(0)) + (line.wasted_mg or Decimal(0)) for line in lines)
    billed = sum(line.units for line in lines) * mg_per_unit
    return drawn <= billed < drawn + mg_per_unit


def ndc(review: ClaimReview) -> Iterator[Edit]:
    """A charted NDC that cannot be written with eleven digits."""
    charted = [fact.data.ndc for fact in review.services.doses] + [
        fact.data.ndc for fact in review.services.medications
    ]
    charted += [infusion.last.data.label.ndc for infusion in review.services.given]
    if any(eleven(value) is None for value in charted):
        yield review.found("ndc_format", review.draft.location("ndc", review.services.first).field)


def period(review: ClaimReview) -> Iterator[Edit]:
    claim = review.claim
    for line in claim.lines:
        if not claim.statement_from <= line.date_of_service <= claim.statement_through:
            yield review.found("line_outside_period", f"line {line.number}", line.date_of_service.isoformat())


def provider_numbers(review: ClaimReview) -> Iterator[Edit]:
    """Check digits of NPI and tax number, which a file validator does not check."""
    facility = review.context.facility(review.claim.facility)
    if facility is None:
        yield review.found("unknown_facility", "billing provider", review.claim.facility)
        return
    stay = review.services.stay
    charted = stay.attending_npi if stay else None
    for npi, field in ((facility.npi, "billing provider"), (charted or facility.attending_npi, "attending provider")):
        if not npi_is_valid(npi):
            yield review.found("npi_check_digit", field)
    if charted and attending_npi(review.draft) is None:
        yield review.found("attending_unknown", "attending provider")
    if not ein.is_valid(facility.tax_id):
        yield review.found("tax_id", "federal tax number")


def duplicates(review: ClaimReview) -> Iterator[Edit]:
    """The same documented service billed on two claims."""
    for other in review.siblings:
        if other.key == review.claim.key:
            continue
        if shared := _services(review.claim) & _services(other):
            days = ", ".join(sorted({f"{service} of {day}" for service, day, _ in shared}))
            yield review.found("duplicate_line", "service date", f"{days} also on Claim {other.letter} {other.ordinal}")


def _services(claim: Claim) -> set[tuple[str, str, str]]:
    return {
        (line.service, line.date_of_service.isoformat(), claim.facility)
        for line in claim.lines
        if line.service not in ("posted", "room_and_board")
    }


def overlaps(review: ClaimReview) -> Iterator[Edit]:
    """Two inpatient claims over the same days; discharge and admission on one day do not overlap."""
    mine = review.claim
    if not review.services.inpatient:
        return
    for other in review.siblings:
        if other.key == mine.key or other.setting != "inpatient":
            continue
        if max(mine.statement_from, other.statement_from) < min(mine.statement_through, other.statement_through):
            yield review.found("overlapping_claims", "statement period", f"with Claim {other.letter} {other.ordinal}")


CHECKS = (
    unanswered,
    unconfirmed,
    prices,
    total,
    amount_cap,
    drug_units,
    ndc,
    period,
    provider_numbers,
    duplicates,
    overlaps,
)
