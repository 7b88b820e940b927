"""The claims of the packet: each with its lines and rules, and the payer responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.billing.model import Claim
from domain.billing.prior_system_claims import Numbered
from domain.billing.submission.responses import PayerResponse
from domain.packet.model import Adjusted, BilledClaim, ClaimResponse


@dataclass(frozen=True)
class Version:
    """One version of a claim as stored."""

    document: Claim
    version: int
    state: str
    frequency: str
    control_number: str | None


def billed(version: Version, responses: Iterable[PayerResponse]) -> BilledClaim:
    """A version with its document and the payer responses to its control number."""
    claim = version.document
    return BilledClaim(
        key=claim.key,
        version=version.version,
        state=version.state,
        frequency=version.frequency,
        control_number=version.control_number,
        form=claim.form.value,
        type_of_bill=claim.type_of_bill,
        facility=claim.facility,
        statement_from=claim.statement_from,
        statement_through=claim.statement_through,
        total=claim.total,
        drg=claim.drg,
        lines=claim.lines,
        diagnoses=claim.diagnoses,
        procedures=claim.procedures,
        codes=claim.codes,
        attachments=claim.attachments,
        folded=claim.folded,
        advisories=claim.advisories,
        edits=claim.edits,
        answers=tuple(answered(response) for response in responses_to(version, responses)),
    )


def billed_in_prior_system(numbered: Numbered, named: bool) -> BilledClaim:
    """A claim that another system sent before the cutover; its number identifies a person."""
    ordinal, one = numbered
    return BilledClaim(
        key=f"{one.letter}/{ordinal}",
        version=1,
        state=f"{one.state} elsewhere",
        frequency="1",
        control_number=one.number if named else None,
        form="form not known here",
        type_of_bill=None,
        facility=one.facility,
        statement_from=one.statement_from,
        statement_through=one.statement_through,
        total=one.total,
        drg=None,
        elsewhere=True,
    )


def responses_to(version: Version, responses: Iterable[PayerResponse]) -> Sequence[PayerResponse]:
    """The payer responses to a version, in the order of their own time."""
    if version.control_number is None:
        return ()
    return sorted((r for r in responses if r.control == version.control_number), key=lambda r: r.order)


def answered(response: PayerResponse) -> ClaimResponse:
    return ClaimResponse(
        kind=response.kind,
        at=response.at,
        accepted=response.accepted,
        status=response.status,
        codes=response.codes,
        paid=response.paid,
        patient=response.patient,
        adjustments=tuple(Adjusted(group=a.group, carc=a.carc, amount=a.amount) for a in response.adjustments),
        remarks=response.remarks,
        payer_number=response.payer_number,
        event=response.event,
    )
