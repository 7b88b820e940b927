"""What the other versions of a claim mean for one of them: filed, paid, payer number missing, void rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.billing.submission.expected_payment import Expected, expected
from domain.billing.submission.model import FILED, ORIGINAL, VOID, State
from domain.billing.submission.payer_view import Reported, live, refers_to
from domain.rulebook import Rulebook
from domain.site import Site


@dataclass(frozen=True, slots=True)
class VoidRejected:
    """The rejection of a void: when, its cause in words, and the event that reports it."""

    at: datetime
    cause: str
    event: str


@dataclass(frozen=True, slots=True)
class Background:
    """The input of a version's status besides the version and the responses to it.

    Attributes:
        number_needed: it refers to an earlier claim whose number at the payer is not known yet.
        filed_before: the payer accepted an earlier version, so timely filing is kept.
        paid_before: what the payer paid for earlier versions and did not recoup, in United States dollars.
        void_rejected: why the payer still has an earlier version that was to be voided; None when it has none.
        expected: what the payer should pay, where that is known.
        obstacle: why the claim could not be sent, in words without any value; None when it can be sent.
    """

    number_needed: bool = False
    filed_before: bool = False
    paid_before: Decimal = Decimal(0)
    void_rejected: VoidRejected | None = None
    expected: Expected | None = None
    obstacle: str | None = None


def background(
    one: Reported, reports: Sequence[Reported], rules: Rulebook, site: Site, obstacle: str | None = None
) -> Background:
    """The background of one of the versions."""
    earlier = [other for other in reports if other.version.number < one.version.number]
    referred = refers_to(one, reports)
    return Background(
        number_needed=one.version.frequency != ORIGINAL and (referred is None or referred.payer_number is None),
        filed_before=_filed(one, earlier),
        paid_before=sum((other.paid.kept for other in earlier if other.paid.count), Decimal(0)),
        void_rejected=_void_rejected(one, reports),
        expected=expected(one.version.claim, rules, site),
        obstacle=obstacle,
    )


def _filed(one: Reported, earlier: Sequence[Reported]) -> bool:
    """A payer accepted a version that this one could replace, and did not void it since."""
    voided = max((other.version.number for other in earlier if other.state is State.VOIDED), default=0)
    filed = [other for other in earlier if other.version.number > voided and other.state in FILED]
    return any(one.version.claim.can_replace(other.version.claim) for other in filed)


def _void_rejected(one: Reported, reports: Sequence[Reported]) -> VoidRejected | None:
    """The rejection of a void of what is still at its payer, where this version does not change that itself.

    A denied claim does not need to be voided.
    """
    if one.version.frequency != ORIGINAL and one.version.state is not State.HELD:
        return None
    for other in live(reports):
        if other.version.number >= one.version.number or other.state is State.DENIED:
            continue
        for void in reversed(reports):
            refused = void.version.frequency == VOID and void.state is State.REJECTED
            if refused and void.version.number < one.version.number and refers_to(void, reports) is other:
                last = next(response for response in reversed(void.responses) if not response.accepted)
                return VoidRejected(last.at, last.cause, last.event)
    return None
