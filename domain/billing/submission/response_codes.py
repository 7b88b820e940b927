"""The codes of a 999 or 277CA in words, and whether they end the filing watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.billing.submission.responses import PayerResponse
from domain.rulebook import Rulebook
from domain.rulebook.rows import ResponseCode

ACCEPTED = "accepted"
_WITH_ERRORS = "IK5:E"


def explained(response: PayerResponse, rules: Rulebook, on: date) -> str:
    """The response with its codes and what they mean; a code without a row stays a code."""
    words = list(dict.fromkeys(_words(response, rules, on)))
    return f"{response.cause}. Meaning: {'; '.join(words)}" if words else response.cause


def accepted_by_payer(responses: Sequence[PayerResponse], rules: Rulebook, on: date) -> bool:
    """True when a payer accepted the claim: by a 277CA of category A2 or A5, or by adjudicating it.

    A 999, a TA1 and the categories A0 and A1 are receipts. An acknowledgment that states no category counts as it says.
    """
    for one in responses:
        if one.kind == "835":
            return True
        if one.kind == "277CA" and one.accepted:
            meanings = {_meaning(code.partition(":")[0], rules, on) for code in one.codes}
            if ACCEPTED in meanings or not meanings - {None}:
                return True
    return False


def is_receipt(response: PayerResponse, rules: Rulebook, on: date) -> bool:
    """True for a 277CA that only states receipt (categories A0 and A1), and neither accepts nor rejects."""
    if response.kind != "277CA" or not response.accepted:
        return False
    meanings = {_meaning(code.partition(":")[0], rules, on) for code in response.codes}
    return bool(meanings - {None}) and ACCEPTED not in meanings


def accepted_with_errors(responses: Sequence[PayerResponse]) -> PayerResponse | None:
    """The newest 999 that accepts with errors; None where a later one does without, or rejects."""
    newest = next((one for one in reversed(responses) if one.kind == "999"), None)
    return newest if newest and newest.accepted and _WITH_ERRORS in newest.codes else None


def _meaning(category: str, rules: Rulebook, on: date) -> str | None:
    row = rules.maybe(ResponseCode, on, list="category", code=category)
    return row.meaning if row else None


def _words(response: PayerResponse, rules: Rulebook, on: date) -> Iterator[str]:
    for text in response.codes:
        parts = text.split(":")
        if response.kind == "277CA":
            yield _status(parts, rules, on)
        elif parts[0] == "IK3" and len(parts) == 5:
            error = _title("segment_error", parts[4], rules, on)
            yield f"segment {parts[1]} (number {parts[2]}, {_loop(parts[3])}): {error}"
        elif parts[0] == "IK4" and len(parts) == 3:
            yield f"element {parts[1]}: {_title('element_error', parts[2], rules, on)}"
        elif parts[0] == "CTX" and len(parts) > 1:
            yield f"required because of segment {' '.join(part for part in parts[1:3] if part)}"
        elif text == _WITH_ERRORS:
            yield "accepted with errors"


def _status(parts: Sequence[str], rules: Rulebook, on: date) -> str:
    """Category, status and whose: as the three components of STC01."""
    names = ("category", "status", "entity")
    return ", ".join(_title(name, code, rules, on) for name, code in zip(names, parts, strict=False) if code)


def _title(list_name: str, code: str, rules: Rulebook, on: date) -> str:
    row = rules.maybe(ResponseCode, on, list=list_name, code=code)
    return row.title if row else f"code {code}"


def _loop(name: str) -> str:
    return f"loop {name}" if name else "no loop"
