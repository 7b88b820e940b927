"""Files that payers send back, read into events: 999, 277CA and 835 (005010X231A1, 005010X214, 005010X221A1).

A file counts as a whole: one that is cut off, does not keep to its guide or does not balance gives nothing. Reasons name
segments, never a value of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.claims.x12.check import guide_findings
from domain.events.revenue import ClaimAcknowledged, ClaimRemitted

Segment = Sequence[str]
_HEADER = 106
"""Characters of an interchange header: it is fixed in width and names its own delimiters."""
_ACCEPTED = frozenset("AE")
_REFUSED = frozenset({"A3", "A4", "A6", "A7", "A8", "E0", "E1", "E2", "E3", "E4"})
"""Claim status categories (X12 list 507) that say the claim was not taken in."""
_CLAIM_LEVEL = "PT"
_MIA_REMARKS = (5, 20, 21, 22, 23)
_MOA_REMARKS = (3, 4, 5, 6, 7)
_DRG = 3
_CODES = 12


class NotUsable(ValueError):
    """The file gives nothing. `torn`: it may still be on its way, for it has no end yet."""

    def __init__(self, reason: str, torn: bool = False) -> None:
        super().__init__(reason)
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer about one claim. Without `control` it answers everything in our interchange `interchange`."""

    type: str
    control: str | None
    interchange: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """A file as read: who sent it, its own number, when it was made, what it says."""

    sender: str
    number: str
    test: bool
    made: datetime
    entries: tuple[Entry, ...]


def read(file: str, zone: tzinfo) -> Answers:
    """Read a file.

    Args:
        zone: of the times in the file, which carry none.

    Raises:
        NotUsable: torn, foreign, against its guide, out of balance, or about no claim.
    """
    segments = _segments(file)
    if findings := guide_findings(file):
        raise NotUsable("against its guide: " + "; ".join(findings[:3]))
    isa, groups = segments[0], [s for s in segments if s[0] == "GS"]
    entries = tuple(entry for transaction in _transactions(segments) for entry in _entries(transaction))
    if not entries:
        raise NotUsable("it answers no claim")
    made = datetime.strptime(groups[0][4] + groups[0][5][:4], "%Y%m%d%H%M").replace(tzinfo=zone)
    return Answers(isa[6].strip(), isa[13], isa[15] == "T", made, entries)


def _segments(file: str) -> list[Segment]:
    text = file.lstrip("\ufeff\r\n ")
    if not text.startswith("ISA"):
        raise NotUsable("it is no X12 interchange")
    if len(text) < _HEADER:
        raise NotUsable("its header is cut off", torn=True)
    element, end = text[3], text[_HEADER - 1]
    found: list[Segment] = [part.strip("\r\n").split(element) for part in text.split(end) if part.strip()]
    if found[-1][0] != "IEA" or not text.rstrip().endswith(end):
        raise NotUsable("it ends before its trailer", torn=True)
    kinds = {segment[1] for segment in found if segment[0] == "GS"}
    if not kinds or kinds - _READERS.keys():
        raise NotUsable("it is neither 999 nor 277CA nor 835")
    return found


def _transactions(segments: Sequence[Segment]) -> Iterator[tuple[str, list[Segment]]]:
    kind = ""
    body: list[Segment] = []
    for segment in segments:
        if segment[0] == "GS":
            kind = segment[1]
        if segment[0] == "ST":
            body = []
        body.append(segment)
        if segment[0] == "SE":
            yield kind, body


def _entries(transaction: tuple[str, list[Segment]]) -> Iterator[Entry]:
    kind, body = transaction
    yield from _READERS[kind](body)


def _at(segment: Segment, index: int) -> str:
    return segment[index] if len(segment) > index else ""


def _split(segments: Sequence[Segment], tag: str) -> list[list[Segment]]:
    """The parts that begin with the tag; what stands before the first is left out."""
    parts: list[list[Segment]] = []
    for segment in segments:
        if segment[0] == tag:
            parts.append([])
        if parts:
            parts[-1].append(segment)
    return parts


def _read_999(body: list[Segment]) -> Iterator[Entry]:
    group = next(s for s in body if s[0] == "AK1")
    if _at(group, 1) != "HC":
        return
    interchange = int(group[2]) if group[2].isdigit() else None
    parts = _split(body, "AK2") or [body]
    for part in parts:
        verdict = next((_at(s, 1) for s in part if s[0] in ("IK5", "AK9")), "R")
        claims: list[str | None] = [
            _at(s, 1).partition(":")[2] for s in part if s[0] == "CTX" and _at(s, 1).startswith("CLM01:")
        ]
        codes = [
            ":".join((s[0], _at(s, 1), _at(s, 4))) if s[0] == "IK3" else f"IK4:{_at(s, 3)}"
            for s in part
            if s[0] in ("IK3", "IK4")
        ]
        data = {"kind": "999", "accepted": verdict in _ACCEPTED, "status_codes": _codes(codes)}
        for control in claims or [None]:
            yield Entry(ClaimAcknowledged.event_type, control, None if control else interchange, data)


def _read_277ca(body: list[Segment]) -> Iterator[Entry]:
    for part in _split(body, "HL"):
        if _at(part[0], 3) != _CLAIM_LEVEL:
            continue
        control = next((_at(s, 2) for s in part if s[0] == "TRN"), None)
        statuses = [
            _at(s, index).split(":")[:2] for s in part if s[0] == "STC" for index in (1, 10, 11) if _at(s, index)
        ]
        if not control or not statuses:
            continue
        data = {
            "kind": "277CA",
            "accepted": not any(status[0] in _REFUSED for status in statuses),
            "status_codes": _codes(":".join(status) for status in statuses),
            **_payer_number(next((_at(s, 2) for s in part if s[0] == "REF" and _at(s, 1) == "1K"), "")),
        }
        yield Entry(ClaimAcknowledged.event_type, control, None, data)


def _read_835(body: list[Segment]) -> Iterator[Entry]:
    claims = _split([s for s in body if s[0] not in ("PLB", "SE", "LX", "TS2", "TS3")], "CLP")
    _balanced(body, claims)
    for part in claims:
        head, adjustments = part[0], list(_adjustments(part))
        remarks = [_at(s, 2) for s in part if s[0] == "LQ" and _at(s, 1) == "HE"]
        remarks += [_at(s, index) for s in part if s[0] == "MIA" for index in _MIA_REMARKS]
        remarks += [_at(s, index) for s in part if s[0] == "MOA" for index in _MOA_REMARKS]
        data = {
            "status": head[2],
            "paid": head[4],
            "adjustments": [{"group": g, "carc": c, "amount": a} for g, c, a in adjustments],
            "rarc": list(dict.fromkeys(remark for remark in remarks if remark)),
            **({"patient_responsibility": head[5]} if _at(head, 5) else {}),
            **_payer_number(_at(head, 7)),
            **({"drg": head[11]} if len(_at(head, 11)) == _DRG and head[11].isdigit() else {}),
        }
        yield Entry(ClaimRemitted.event_type, head[1], None, data)


def _adjustments(part: list[Segment]) -> Iterator[tuple[str, str, str]]:
    """Group, reason and amount; a segment holds up to six reasons, of the claim or of one of its lines."""
    for segment in part:
        if segment[0] == "CAS":
            for index in range(2, len(segment), 3):
                if _at(segment, index) and _at(segment, index + 1):
                    yield segment[1], segment[index], segment[index + 1]


def _balanced(body: list[Segment], claims: list[list[Segment]]) -> None:
    """Each claim's charge less its adjustments is its payment; the payments less provider adjustments are the transfer.

    Source: 835 implementation guide 005010X221A1, section 1.10.2.
    """
    for part in claims:
        taken = sum((_money(amount) for _, _, amount in _adjustments(part)), Decimal(0))
        if _money(part[0][3]) - taken != _money(part[0][4]):
            raise NotUsable("a claim of it does not balance (CLP03, CAS, CLP04)")
    transfer = next(_money(s[2]) for s in body if s[0] == "BPR")
    provider = sum((_money(s[i]) for s in body if s[0] == "PLB" for i in range(4, len(s), 2)), Decimal(0))
    if sum((_money(part[0][4]) for part in claims), Decimal(0)) - provider != transfer:
        raise NotUsable("it does not balance (BPR02, CLP04, PLB)")


def _money(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NotUsable("an amount of it is none") from None


def _payer_number(number: str) -> dict[str, str]:
    return {"payer_claim_number": number} if number else {}


def _codes(found: Any) -> list[str]:
    return list(dict.fromkeys(found))[:_CODES]


_READERS = {"FA": _read_999, "HN": _read_277ca, "HP": _read_835}
"""By the functional identifier of the group (GS01)."""
