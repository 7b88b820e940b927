"""835 as entries: claims, their lines, and what a payer withheld for a claim (005010X221A1).

A transfer is posted only where it balances by claim, by service line and as a whole (section 1.10.2 of the guide).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from domain.billing.x12.entries import Apart, Entry, Item, NotUsable
from domain.billing.x12.fragments import Headers, Piece, named, split
from domain.billing.x12.interchange import Segment
from domain.events.base import MONEY
from domain.events.revenue import ClaimRecouped, ClaimRemitted

_MIA_REMARKS = (5, 20, 21, 22, 23)
_MOA_REMARKS = (3, 4, 5, 6, 7)
_DRG = 3
_RECOUPED = frozenset({"WO", "72", "CS"})
"""Reasons of a provider adjustment that concern a claim: overpayment recovery, authorized return, adjustment. Interest (L6)
and balances carried forward (FB) are money of the transfer and of no claim."""
_CODES_OF_PROCEDURES = frozenset({"HC", "HP"})
_OF_NO_CLAIM = frozenset({"LX", "TS2", "TS3"})
_AMOUNT = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,6})?|\.\d{1,6})")
_NONE = Decimal(0)
_CENTS = Decimal("0.01")


class Remittance:
    """An 835, read claim by claim."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._head: list[Segment] = []
        self._piece: Piece | None = None
        self._seen: Counter[str] = Counter()
        self._common: dict[str, Any] | None = None
        self._trace = ""
        self._claims = self._adjusted = _NONE
        self._after = False

    def take(self, segment: Segment) -> Iterator[Item]:
        """Read one segment of the transaction.

        Raises:
            NotUsable: a claim or a line does not balance, or the transfer is named by nothing.
        """
        tag = segment.tag
        if tag == "CLP":
            yield from self._close()
            self._piece = Piece(segment)
        elif tag == "PLB":
            yield from self._close()
            self._after = True
            yield from self._provider(segment)
        elif tag in _OF_NO_CLAIM:
            yield from self._close()
        elif self._piece is not None:
            self._piece.add(segment)
        elif not self._after and not self._seen:
            self._head.append(segment)

    def end(self) -> Iterator[Item]:
        """The end of the transaction.

        Raises:
            NotUsable: the transfer does not balance.
        """
        yield from self._close()
        self._names()
        paid = _must(next(iter(named(self._head, "BPR")), None), 2, "BPR")
        if paid != self._claims - self._adjusted:
            raise NotUsable(
                f"it does not balance (BPR02, CLP04, PLB): {paid} was transferred, {self._claims - self._adjusted} is explained"
            )

    def _names(self) -> dict[str, Any]:
        """Who made the payment and when: of every entry."""
        if self._common is None:
            trace = next(iter(named(self._head, "TRN")), None)
            if trace is None or not trace.at(2):
                raise NotUsable("TRN02 is missing: nothing names the transfer")
            self._trace = trace.at(2)
            self._common = {"payer": trace.at(3), "on": _day(self._head)}
        return self._common

    def _close(self) -> Iterator[Item]:
        piece, self._piece = self._piece, None
        if piece is not None:
            yield self._claim(piece.segments)

    def _claim(self, part: list[Segment]) -> Item:
        head, common = part[0], self._names()
        self._claims += _must(head, 4, "CLP")
        reference = self._reference(head.at(1), head.at(2))
        if (unread := _unread(part)) is not None:
            return Apart(unread, self._headers.envelope(self._head, part), head.at(1) or None)
        _balance(part)
        data = _claim(part) | {"trace_number": self._trace}
        return Entry(ClaimRemitted.event_type, head.at(1), None, data, reference=reference, **common)

    def _provider(self, segment: Segment) -> Iterator[Item]:
        """Reason, the claim it names (in its first word: some payers add a member number) and amount, up to six times."""
        common = self._names()
        for index in range(3, max(len(segment), 4) + 1, 2):
            if not segment.at(index) and not segment.at(index + 1):
                continue
            amount = _must(segment, index + 1, "PLB")
            self._adjusted += amount
            reason, claim = segment.part(index, 1), segment.part(index, 2)
            if reason in _RECOUPED and claim:
                control = claim.split()[0]
                data = {"reason": reason, "amount": _money(segment.at(index + 1)), "trace_number": self._trace}
                reference = self._reference(control, reason)
                yield Entry(ClaimRecouped.event_type, control, None, data, reference=reference, **common)

    def _reference(self, *names: str) -> str:
        """Transfer, claim and what happened to it; with a count where a transfer says so more than once."""
        name = "/".join((self._trace, *names))
        self._seen[name] += 1
        return f"{name}/{self._seen[name]:03d}"


def amount(text: str) -> Decimal | None:
    """A number of X12 (R); None where it is none."""
    return Decimal(text) if _AMOUNT.fullmatch(text) and text.isascii() else None


def _must(segment: Segment | None, index: int, tag: str) -> Decimal:
    found = amount(segment.at(index)) if segment is not None else None
    if found is None:
        raise NotUsable(f"{tag}{index:02d} is no amount: it cannot be shown to balance")
    return found


def _money(text: str) -> str:
    """The amount as events write it: as it came, where that is the form."""
    found = amount(text)
    if found is None or MONEY.match(text) or found != found.quantize(_CENTS):
        return text
    return f"{found:.2f}"


def _unread(part: Sequence[Segment]) -> str | None:
    """Why the claim cannot be read; None where it can."""
    head = part[0]
    if not head.at(1):
        return "CLP01 names no claim"
    if not (head.at(2).isascii() and head.at(2).isdigit() and len(head.at(2)) < 3):
        return "CLP02 is no status of a claim"
    if amount(head.at(3)) is None:
        return "CLP03 is no amount"
    if head.at(5) and amount(head.at(5)) is None:
        return "CLP05 is no amount"
    for segment in named(part, "SVC"):
        if amount(segment.at(2)) is None or amount(segment.at(3) or "0") is None:
            return "SVC02 or SVC03 is no amount"
    for segment in named(part, "CAS"):
        for index in range(2, max(len(segment), 3) + 1, 3):
            if (segment.at(index) or segment.at(index + 1)) and amount(segment.at(index + 1)) is None:
                return f"CAS{index + 1:02d} is no amount"
            if segment.at(index + 1) and not segment.at(index):
                return f"CAS{index:02d} names no reason"
    return None


def _balance(part: Sequence[Segment]) -> None:
    """
    Raises:
        NotUsable: charge less adjustments is not what was paid.
    """
    head = part[0]
    charge, paid = amount(head.at(3)) or _NONE, amount(head.at(4)) or _NONE
    owed = charge - _adjusted(part)
    if owed != paid:
        raise NotUsable(f"a claim of it does not balance (CLP03, CAS, CLP04): {paid} was paid, {owed} is explained")
    for line in split(part, "SVC"):
        paid = amount(line[0].at(3) or "0") or _NONE
        owed = (amount(line[0].at(2)) or _NONE) - _adjusted(line)
        if owed != paid:
            raise NotUsable(
                f"a service line of it does not balance (SVC02, CAS, SVC03): {paid} was paid, {owed} is explained"
            )


def _adjusted(part: Sequence[Segment]) -> Decimal:
    return sum((amount(a["amount"]) or _NONE for a in _adjustments(part)), _NONE)


def _day(head: Sequence[Segment]) -> date:
    """The day the payer made the remittance (DTM*405), else the day of the payment (BPR16)."""
    made = next((s.at(2) for s in named(head, "DTM") if s.at(1) == "405"), "")
    for text in (made, next((s.at(16) for s in named(head, "BPR")), "")):
        if (day := date_of(text)) is not None:
            return day
    raise NotUsable("DTM02 (405) and BPR16 are no date: the payment date is missing")


def date_of(text: str) -> date | None:
    """A date of eight digits, or of six; None where it is none."""
    if not (text.isascii() and text.isdigit() and len(text) in (6, 8)):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d" if len(text) == 8 else "%y%m%d").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        return None


def _claim(part: Sequence[Segment]) -> dict[str, Any]:
    head = part[0]
    remarks = [s.at(2) for s in named(part, "LQ") if s.at(1) == "HE"]
    remarks += [s.at(index) for s in named(part, "MIA") for index in _MIA_REMARKS]
    remarks += [s.at(index) for s in named(part, "MOA") for index in _MOA_REMARKS]
    return {
        "status": head.at(2),
        "paid": _money(head.at(4)),
        "adjustments": list(_adjustments(part)),
        "rarc": list(dict.fromkeys(remark for remark in remarks if remark)),
        **({"patient_responsibility": _money(head.at(5))} if head.at(5) else {}),
        **({"payer_claim_number": head.at(7)} if head.at(7) else {}),
        **({"crossover": name} if (name := _crossover(part)) else {}),
        **({"drg": head.at(11)} if len(head.at(11)) == _DRG and head.at(11).isdigit() else {}),
        **({"lines": lines} if (lines := [_line(line) for line in split(part, "SVC")]) else {}),
    }


def _crossover(part: Sequence[Segment]) -> str:
    """The secondary payer the claim was passed on to: an organization, by its name."""
    return next((s.at(3) for s in named(part, "NM1") if s.at(1) == "TT" and s.at(2) == "2"), "")


def _line(part: Sequence[Segment]) -> dict[str, Any]:
    """A service line. Its code is a procedure or, where the line has none, the revenue code itself."""
    head = part[0]
    qualifier, code = head.part(1, 1), head.part(1, 2)
    revenue = head.at(4) or (code if qualifier == "NU" else "")
    return {
        **({"revenue_code": revenue.zfill(4)} if revenue.isdigit() else {}),
        **({"hcpcs": code} if qualifier in _CODES_OF_PROCEDURES else {}),
        "charge": _money(head.at(2)),
        "paid": _money(head.at(3) or "0"),
        "adjustments": list(_adjustments(part)),
    }


def _adjustments(part: Sequence[Segment]) -> Iterator[dict[str, str]]:
    """Group, reason and amount; a segment holds up to six reasons, of the claim or of one of its lines."""
    for segment in named(part, "CAS"):
        for index in range(2, len(segment) + 1, 3):
            if segment.at(index) and segment.at(index + 1):
                yield {"group": segment.at(1), "carc": segment.at(index), "amount": _money(segment.at(index + 1))}
