"""The input of one step: the versions of a claim, the responses to them, and the circumstances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.billing.model import Claim
from domain.billing.submission.model import AT_PAYER, ORIGINAL, OUT_OF_USE, REPLACEMENT, VOID, State
from domain.billing.submission.payer_view import Reported, live, named_number, refers_to, reported
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.same_claim import counted, differences
from domain.billing.submission.versions import ClaimVersion, Parties, current
from domain.rulebook import Rulebook
from domain.site import Site

PartiesNow = Callable[[Claim, int | None], Parties]
"""Who a file of the claim would name now; with a sequence, the patient as the facts up to it named them."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a step depends on beside versions and responses. `obstacle`: why the last try to send failed."""

    rules: Rulebook
    site: Site
    parties: PartiesNow
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a step is decided on.

    Attributes:
        at_payer: the versions that the payer has, the oldest first.
    """

    versions: tuple[ClaimVersion, ...]
    reports: tuple[Reported, ...]
    at_payer: tuple[Reported, ...]
    around: Around
    now: datetime

    @property
    def current(self) -> Reported | None:
        """The version that counts."""
        found = current(self.versions)
        return next((one for one in self.reports if one.version is found), None)

    @property
    def has(self) -> Reported | None:
        """The version that the payer has, and that a change must replace or void."""
        return self.at_payer[-1] if self.at_payer else None

    def same(self, one: Reported, claim: Claim) -> bool:
        """A file of the claim would be no other than that of the version, in what counts for the version's state."""
        return not self.differences(one, claim) & counted(one.version, one.state)

    def differences(self, one: Reported, claim: Claim) -> frozenset[str]:
        """In which parts a file of the claim, written now, would differ."""
        named = number = None
        as_of = None
        if one.version.frequency == VOID and (referred := refers_to(one, self.reports)) is not None:
            named, number = named_number(one, self.reports), referred.payer_number
            as_of = referred.version.sequence
        parties = self.around.parties(claim, as_of)
        return frozenset(differences(one.version, claim, parties, self.around.site, named, number))

    def frequency_of(self, claim: Claim) -> str:
        """How the claim goes out: as a replacement of what the payer has, where allowed, else as an original."""
        return REPLACEMENT if self.has and claim.can_replace(self.has.version.claim) else ORIGINAL

    def stays(self, one: Reported, claim: Claim) -> bool:
        """A version that the payer does not have is the claim already, and no other file of it is to go out.

        A rejected one goes out again where its frequency would be another, too.
        """
        if not self.pending(one) or one.version.state is State.HELD:
            return False
        if one.state is State.REJECTED and one.version.frequency != self.frequency_of(claim):
            return False
        return self.same(one, claim)

    def pending(self, one: Reported) -> bool:
        """A version that bills the claim and that the payer does not have: not sent, rejected, or unanswered in shadow."""
        if one.version.frequency == VOID or one.version.state in OUT_OF_USE:
            return False
        return one.state not in AT_PAYER or one.unanswered_in_shadow

    def rejected_void(self) -> Reported | None:
        """The newest void of what the payer has that it rejected."""
        for one in reversed(self.reports):
            if (
                one.version.frequency == VOID
                and one.state is State.REJECTED
                and refers_to(one, self.reports) is self.has
            ):
                return one
        return None


def situation(
    versions: Sequence[ClaimVersion], responses: Sequence[PayerResponse], around: Around, now: datetime
) -> Situation:
    """The claim as its versions and all responses show it; each version is in the state that the responses give it."""
    reports = reported(versions, responses, around.rules)
    settled = tuple(replace(one, version=_in_its_state(one)) for one in reports)
    return Situation(tuple(one.version for one in settled), settled, live(settled), around, now)


def _in_its_state(one: Reported) -> ClaimVersion:
    """Held, withdrawn and superseded versions stay what they are, whatever their payer reports; the report keeps it."""
    if one.version.state in (State.HELD, State.WITHDRAWN, State.SUPERSEDED):
        return one.version
    return one.version if one.version.state is one.state else replace(one.version, state=one.state)
