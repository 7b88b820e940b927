"""The one notion of "the same claim": what of a version's file differs from what a file of a claim would contain now."""

from __future__ import annotations

from enum import StrEnum

from domain.billing.model import Claim
from domain.billing.submission.model import VOID, State
from domain.billing.submission.versions import ClaimVersion, Parties
from domain.billing.x12.bill_segments import same_bill
from domain.site import Site


class Difference(StrEnum):
    """A part in which two files of a claim differ.

    DOCUMENT: any part of the document, including explanations. BILL: the 837 segments of both, rendered by today's code and
    site, without patient and numbers, or as it was sent before a restore. INSURED and OTHER_PARTIES: who the file names.
    PAYER_NUMBER: the payer claim control number that a void names.
    """

    DOCUMENT = "document"
    BILL = "bill"
    INSURED = "insured"
    OTHER_PARTIES = "other_parties"
    PAYER_NUMBER = "payer_number"


_UNSENT = frozenset({Difference.BILL})
_SENT = _UNSENT | {Difference.INSURED}
_REJECTED = _SENT | {Difference.OTHER_PARTIES, Difference.PAYER_NUMBER}
_HELD = frozenset({Difference.DOCUMENT})


def differences(
    version: ClaimVersion,
    claim: Claim,
    parties: Parties,
    site: Site,
    named: str | None = None,
    number: str | None = None,
) -> frozenset[Difference]:
    """In which parts a file of the claim, written now, would differ from the version's. What is not known differs in nothing.

    Args:
        parties: who the file would name now.
        named: the payer claim control number that the version's file names.
        number: the one that a file would name now.
    """
    found = set()
    if version.claim is not claim and version.claim.content_hash != claim.content_hash:
        found.add(Difference.DOCUMENT)
        if not same_bill(version.claim, claim, site):
            found.add(Difference.BILL)
    if version.sent is not None:
        if version.sent.other_content:
            found.add(Difference.BILL)
        before = version.sent.parties
        if _differ(before.insured, parties.insured):
            found.add(Difference.INSURED)
        if _differ(before.others, parties.others):
            found.add(Difference.OTHER_PARTIES)
        if number is not None and number != named:
            found.add(Difference.PAYER_NUMBER)
    return frozenset(found)


def counted(version: ClaimVersion, state: State) -> frozenset[Difference]:
    """The differences that make a version another claim.

    A claim that the payer has is not replaced because the patient moved; after a rejection that may be the correction. A
    void names the insured that the payer has on file.
    """
    if version.state is State.HELD:
        return _HELD
    if state is State.REJECTED:
        return _REJECTED - {Difference.INSURED} if version.frequency == VOID else _REJECTED
    return _SENT if version.sent is not None else _UNSENT


def _differ(before: str | None, now: str | None) -> bool:
    return before is not None and now is not None and before != now
