"""What a payer has of a claim, as the files that went out and the responses to them show; in whatever order they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.billing.submission.model import AT_PAYER, REPLACEMENT, VOID, State
from domain.billing.submission.payer_order import of_first
from domain.billing.submission.remittance import Remittance, remittance_of
from domain.billing.submission.response_codes import is_receipt
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.versions import ClaimVersion
from domain.rulebook import Rulebook

ACKNOWLEDGEMENTS = frozenset({"999", "277CA"})
INTERCHANGE = "TA1"


@dataclass(frozen=True, slots=True)
class Reported:
    """A version with what its payer reported on it.

    Attributes:
        responses: those to this version, in the order of their own time.
        state: what file and responses make of it, whether or not another version took its place since.
    """

    version: ClaimVersion
    responses: tuple[PayerResponse, ...]
    paid: Remittance
    state: State

    @property
    def unanswered_in_shadow(self) -> bool:
        """A test file without a response: the hospital's current process bills, so the payer has no claim of ours."""
        sent = self.version.sent
        return sent is not None and sent.shadow and not answered(self.responses)

    @property
    def payer_number(self) -> str | None:
        """The payer claim control number that a replacement or void of this version names."""
        named = self.numbered_by
        return named.payer_number if named else None

    @property
    def numbered_by(self) -> PayerResponse | None:
        """The newest response that gives the number; a secondary payer's is not the one to refer to."""
        return next((one for one in reversed(of_first(self.responses)) if one.payer_number), None)


def answered(responses: Sequence[PayerResponse]) -> bool:
    """True when something was stated of the claim: a TA1 states that its interchange arrived, and nothing of a claim."""
    return any(response.kind != INTERCHANGE for response in responses)


def reported(
    versions: Sequence[ClaimVersion], responses: Sequence[PayerResponse], rules: Rulebook
) -> tuple[Reported, ...]:
    """Each version with the responses to it. A response counts once, however often and in whatever order it comes.

    Args:
        responses: to any claim.
    """
    once = {response.event: response for response in responses}
    ordered = sorted(once.values(), key=lambda response: response.order)
    found = []
    for version in versions:
        mine = tuple(one for one in ordered if version.control_number and one.control == version.control_number)
        paid = remittance_of(mine, rules, version.claim.statement_through)
        found.append(Reported(version, mine, paid, _state(version, mine, paid, rules)))
    return tuple(found)


def _state(version: ClaimVersion, responses: Sequence[PayerResponse], paid: Remittance, rules: Rulebook) -> State:
    """The responses in the order of their own time; a later kind of response outweighs an earlier one.

    A receipt (277CA A0 or A1) cancels no verdict. Of verdicts of one moment a rejection counts.
    """
    if version.emitted_at is None:
        return State.HELD
    acknowledgements = [one for one in responses if one.kind in ACKNOWLEDGEMENTS]
    verdicts = [one for one in acknowledgements if not is_receipt(one, rules, version.claim.statement_through)]
    newest = max(verdicts, key=lambda one: (one.kind == "277CA", one.at, not one.accepted, one.order), default=None)
    rejected = newest is not None and not newest.accepted
    if version.frequency == VOID and (version.sent or responses):
        return State.REJECTED if rejected and not paid.count else State.VOIDED
    if paid.count:
        return _adjudicated(paid)
    if acknowledgements:
        return State.REJECTED if rejected else State.ACKNOWLEDGED
    return State.TRANSMITTED if version.sent else State.EMITTED


def _adjudicated(paid: Remittance) -> State:
    """A recoupment from another transfer reduces what is paid."""
    if paid.kept > 0 and not paid.denied:
        return State.PARTLY_PAID if paid.refused else State.PAID
    return State.PAID if paid.settled else State.DENIED


def live(reports: Sequence[Reported]) -> tuple[Reported, ...]:
    """The versions that the payer has, the oldest first; more than one where it accepted an earlier one after all.

    A rejected version never was there. A replacement takes the place of what it refers to, a void takes it back; one that
    is rejected does neither. An unanswered file in shadow is not there, and its change is a new original.
    """
    found: list[Reported] = []
    for one in reports:
        at_payer = one.state in AT_PAYER and not one.unanswered_in_shadow
        if one.state is State.VOIDED or (at_payer and one.version.frequency == REPLACEMENT):
            of = _referred(one, reports, found)
            found = [other for other in found if other is not of]
        if at_payer:
            found.append(one)
    return tuple(found)


def refers_to(one: Reported, reports: Sequence[Reported]) -> Reported | None:
    """The version that a replacement or void changes: for a sent one what its file names, else the newest that the payer has."""
    if one.version.frequency not in (REPLACEMENT, VOID):
        return None
    earlier = [other for other in reports if other.version.number < one.version.number]
    return _referred(one, reports, live(earlier))


def _referred(one: Reported, reports: Sequence[Reported], at_payer: Sequence[Reported]) -> Reported | None:
    sent = one.version.sent
    if sent is not None and sent.number_from is not None:
        named = next((r for r in reports if any(a.event == sent.number_from for a in r.responses)), None)
        if named is not None:
            return named
    return at_payer[-1] if at_payer else None


def named_number(one: Reported, reports: Sequence[Reported]) -> str | None:
    """The payer claim control number that the file of a version names."""
    sent = one.version.sent
    if sent is None or sent.number_from is None:
        return None
    every = (response for other in reports for response in other.responses)
    return next((response.payer_number for response in every if response.event == sent.number_from), None)
