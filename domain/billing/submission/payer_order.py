"""Whose word a remittance is: the payer's that the claim was sent to, or that of a further payer it was passed on to.

A further payer answers under the same claim number: by a crossover of its own accord, or to a claim that the hospital's own
system sent it. Its money settles what the first one left, and is no judgement on the claim.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.billing.submission.responses import DENIED, NOT_OURS, RECOUPMENT, PayerResponse

FIRST, SECOND, THIRD = 1, 2, 3
_LEVELS = {"1": FIRST, "19": FIRST, "2": SECOND, "20": SECOND, "3": THIRD, "21": THIRD}
"""CLP02 (005010X221A1): in which place a payer adjudicated a claim. Denials and reversals do not say it."""
FORWARDED = frozenset({"19", "20", "21"})
"""CLP02: adjudicated, and passed on to further payers, so that nobody need bill them."""


def of_first(heard: Sequence[PayerResponse]) -> list[PayerResponse]:
    """The replies of the payer that adjudicated before every other, and every acknowledgement."""
    levels, first = _levels(heard)
    return [reply for reply in heard if levels.get(reply.event, first) == first]


def of_further(heard: Sequence[PayerResponse]) -> list[PayerResponse]:
    """The remittances of payers that adjudicated after another one, and what they took back."""
    levels, first = _levels(heard)
    return [reply for reply in heard if levels.get(reply.event, first) > first]


def level_of(heard: Sequence[PayerResponse]) -> int:
    """In which place the first of the payers that answered adjudicated the claim."""
    return _levels(heard)[1]


def _levels(heard: Sequence[PayerResponse]) -> tuple[dict[str, int], int]:
    """The place of every remittance and recoupment, by event, and the lowest of them.

    One that does not say its place has that of its payer's others. A denial by a payer that adjudicated the claim in no
    place is the first payer's, unless another one adjudicated it as the first before.
    """
    said: dict[str, set[int]] = {}
    for reply in heard:
        if reply.kind == "835" and reply.status in _LEVELS:
            said.setdefault(reply.payer, set()).add(_LEVELS[reply.status])
    lowest = min((place for places in said.values() for place in places), default=FIRST)
    levels: dict[str, int] = {}
    first: set[str] = set()
    for reply in sorted(heard, key=lambda reply: reply.order):
        if reply.kind == "835" and reply.status in _LEVELS:
            levels[reply.event] = _LEVELS[reply.status]
        elif reply.kind == "835" and reply.status in (DENIED, NOT_OURS) and reply.payer not in said:
            levels[reply.event] = SECOND if first - {reply.payer} else FIRST
        elif reply.kind == "835" or reply.kind == RECOUPMENT:
            levels[reply.event] = min(said.get(reply.payer, {lowest}))
        if levels.get(reply.event) == FIRST:
            first.add(reply.payer)
    return levels, min(levels.values(), default=FIRST)
