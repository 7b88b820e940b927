"""999 and 277CA as entries: whole interchanges, single claims, and the codes that say why (005010X231A1, 005010X214)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from domain.billing.x12.entries import Entry, Segment, at, split
from domain.events.revenue import ClaimAcknowledged

_ACCEPTED = frozenset("AE")
_REFUSED = frozenset({"A3", "A4", "A6", "A7", "A8", "E0", "E1", "E2", "E3", "E4"})
"""Claim status categories (X12 list 507) that report a rejected claim."""
_RECEIVER_LEVEL, _CLAIM_LEVEL = "21", "PT"
_CODES = 12


def read_999(body: list[Segment]) -> Iterator[Entry]:
    """The verdict on each transaction of one of our groups: it takes all claims of the transaction along."""
    group = next(s for s in body if s[0] == "AK1")
    if at(group, 1) != "HC":
        return
    interchange = _number(at(group, 2))
    for part in split(body, "AK2") or [body]:
        verdict = next((at(s, 1) for s in part if s[0] in ("IK5", "AK9")), "R")
        named = tuple(at(s, 1).partition(":")[2] for s in part if s[0] == "CTX" and at(s, 1).startswith("CLM01:"))
        codes = [
            ":".join((s[0], at(s, 1), at(s, 4))) if s[0] == "IK3" else f"IK4:{at(s, 3)}"
            for s in part
            if s[0] in ("IK3", "IK4")
        ]
        data = {"kind": "999", "accepted": verdict in _ACCEPTED, "status_codes": _codes(codes)}
        place = _number(at(part[0], 2)) if part[0][0] == "AK2" else None
        yield Entry(ClaimAcknowledged.event_type, None, interchange, data, named=named, place=place)


def read_277ca(body: list[Segment]) -> Iterator[Entry]:
    """The status of each claim; where a whole transmission was refused and no claim is listed, of all its claims."""
    parts = split(body, "HL")
    claims = [part for part in parts if at(part[0], 3) == _CLAIM_LEVEL]
    if not claims:
        for part in parts:
            if at(part[0], 3) == _RECEIVER_LEVEL:
                yield from _batch(part)
    for part in claims:
        control, statuses = _trace(part), _statuses(part)
        if control and statuses:
            number = next((at(s, 2) for s in part if s[0] == "REF" and at(s, 1) == "1K"), "")
            data = _data(statuses) | ({"payer_claim_number": number} if number else {})
            yield Entry(ClaimAcknowledged.event_type, control, None, data)


def _batch(part: list[Segment]) -> Iterator[Entry]:
    """The information receiver's level: its trace number is BHT03 of our file, which is our interchange number."""
    statuses, interchange = _statuses(part), _number(_trace(part))
    if interchange is not None and any(status[0] in _REFUSED for status in statuses):
        yield Entry(ClaimAcknowledged.event_type, None, interchange, _data(statuses))


def _trace(part: list[Segment]) -> str:
    return next((at(s, 2) for s in part if s[0] == "TRN"), "")


def _statuses(part: list[Segment]) -> list[list[str]]:
    return [at(s, index).split(":")[:2] for s in part if s[0] == "STC" for index in (1, 10, 11) if at(s, index)]


def _data(statuses: list[list[str]]) -> dict[str, object]:
    accepted = not any(status[0] in _REFUSED for status in statuses)
    return {"kind": "277CA", "accepted": accepted, "status_codes": _codes(":".join(status) for status in statuses)}


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _codes(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))[:_CODES]
