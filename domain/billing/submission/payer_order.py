"""Which payer a remittance comes from: the one the claim was sent to, or a secondary payer.

A secondary payer responds under the same control number: after a crossover, or to a claim that another system of the hospital
sent. Its payment covers what the primary payer left; it does not decide the claim.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.billing.submission.responses import DENIED, NOT_OURS, RECOUPMENT, PayerResponse

FIRST, SECOND, THIRD = 1, 2, 3
_LEVELS = {"1": FIRST, "19": FIRST, "2": SECOND, "20": SECOND, "3": THIRD, "21": THIRD}
"""CLP02 (005010X221A1): whether a payer adjudicated as primary, secondary or tertiary. Denials and reversals do not state it."""
FORWARDED = frozenset({"19", "20", "21"})
"""CLP02: adjudicated and crossed over to secondary payers, so no bill to them is needed."""


def of_first(responses: Sequence[PayerResponse]) -> list[PayerResponse]:
    """The responses of the payer that adjudicated first, and every acknowledgment."""
    levels, first = _levels(responses)
    return [response for response in responses if levels.get(response.event, first) == first]


def of_secondary(responses: Sequence[PayerResponse]) -> list[PayerResponse]:
    """The remittances and recoupments of payers that adjudicated after another one."""
    levels, first = _levels(responses)
    return [response for response in responses if levels.get(response.event, first) > first]


def level_of(responses: Sequence[PayerResponse]) -> int:
    """The level (primary, secondary, tertiary) of the first payer that responded."""
    return _levels(responses)[1]


def _levels(responses: Sequence[PayerResponse]) -> tuple[dict[str, int], int]:
    """The level of every remittance and recoupment, by event, and the lowest of them.

    A response without a level has the level of its payer's other responses. A denial by a payer without any level counts as
    the primary payer's, unless another payer adjudicated as primary before.
    """
    stated: dict[str, set[int]] = {}
    for response in responses:
        if response.kind == "835" and response.status in _LEVELS:
            stated.setdefault(response.payer, set()).add(_LEVELS[response.status])
    lowest = min((place for places in stated.values() for place in places), default=FIRST)
    levels: dict[str, int] = {}
    first: set[str] = set()
    for response in sorted(responses, key=lambda response: response.order):
        if response.kind == "835" and response.status in _LEVELS:
            levels[response.event] = _LEVELS[response.status]
        elif response.kind == "835" and response.status in (DENIED, NOT_OURS) and response.payer not in stated:
            levels[response.event] = SECOND if first - {response.payer} else FIRST
        elif response.kind == "835" or response.kind == RECOUPMENT:
            levels[response.event] = min(stated.get(response.payer, {lowest}))
        if levels.get(response.event) == FIRST:
            first.add(response.payer)
    return levels, min(levels.values(), default=FIRST)
