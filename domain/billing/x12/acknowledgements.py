"""999, 997 and 277CA: whole interchanges, single claims, and the codes that say why (005010X231A1, 005010X214).

A verdict counts as acceptance only where every code of it is one that accepts; an unknown code is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.billing.x12.entries import Apart, Departure, Entry, Item, NotUsable
from domain.billing.x12.fragments import LARGEST_CLAIM, Headers, Piece, named
from domain.billing.x12.interchange import Segment
from domain.billing.x12.structure import whole_number
from domain.events.revenue import STATUS_CODE_LENGTH, ClaimAcknowledged

TAKEN, REFUSED = frozenset("AE"), frozenset("RMWX")
"""IK501 and AK901 (X12 elements 717, 715): accepted, with or without errors; rejected, for its content or its security."""
_PARTIAL = "P"
RECEIPTS, ACCEPTANCES = frozenset({"A0", "A1"}), frozenset({"A2", "A5"})
"""Claim status categories (X12 list 507): forwarded or received, which is no acceptance; accepted, or split and accepted."""
REJECTIONS = frozenset({"A3", "A4", "A6", "A7", "A8", "E0", "E1", "E2", "E3", "E4"})
"""Claim status categories that say the payer does not have the claim."""
_CLAIMS, _REJECT = "HC", "U"
_RECEIVER_LEVEL, _PROVIDER_LEVEL, _CLAIM_LEVEL = "21", "19", "PT"
_CODES = 12
_MOST_CODES_KEPT = 50


@dataclass(slots=True)
class _Verdict:
    """What a 999 says of one transaction: its codes are kept, its segments only until they are read."""

    piece: Piece
    code: str = ""

    def add(self, code: str) -> None:
        """Of several codes one that does not accept counts."""
        if not self.code or (self.code in TAKEN and code not in TAKEN):
            self.code = code


class Acknowledgment:
    """A 999, or a 997, whose segments have other names."""

    def __init__(self, headers: Headers, names: tuple[str, str, str] = ("IK3", "IK4", "IK5")) -> None:
        self._headers = headers
        self._segment, self._element, self._verdict = names
        self._group: Segment | None = None
        self._open: list[_Verdict] = []
        self._before: list[Segment] = []
        self._last: Segment | None = None

    def take(self, segment: Segment) -> Iterator[Item]:
        """Read one segment of the transaction."""
        if segment.tag == "AK1":
            if self._group is not None:
                raise NotUsable("it answers two groups in one transaction (AK1)")
            self._group = segment
        elif self._group is None:
            raise NotUsable("AK1 is missing: it names no group that it answers")
        elif segment.tag == "AK2":
            self._open.append(_Verdict(Piece(segment)))
        elif segment.tag == "AK9":
            if self._last is not None:
                raise NotUsable("it gives two verdicts on one group (AK9)")
            self._last = segment
            yield from self._judged(segment)
        elif self._open:
            self._open[-1].piece.add(segment)
            if segment.tag == self._verdict:
                self._open[-1].add(segment.at(1))
        else:
            self._before.append(segment)

    def end(self) -> Iterator[Item]:
        """The end of the transaction.

        Raises:
            NotUsable: it gave no verdict on its group.
        """
        if self._last is None:
            raise NotUsable("AK9 is missing: it gives no verdict on the group")
        return iter(())

    def _judged(self, group: Segment) -> Iterator[Item]:
        assert self._group is not None
        if self._group.at(1) != _CLAIMS:
            yield Departure("group_without_claims", "it answers a group that holds no claims (AK101)")
            return
        interchange, whole = whole_number(self._group.at(2)), group.at(1)
        if interchange is None:
            raise NotUsable("AK102 is no number: it names no group that it answers")
        if not self._open:
            yield self._of(interchange, None, whole, whole, self._before)
        for verdict in self._open:
            place = whole_number(verdict.piece.head.at(2))
            segments = verdict.piece.segments
            if place is None:
                yield self._apart(interchange, segments, "AK202 names no transaction")
            else:
                yield self._of(interchange, place, verdict.code, whole, segments)

    def _of(self, interchange: int, place: int | None, code: str, whole: str, part: Sequence[Segment]) -> Item:
        """The verdict on a transaction, or on the group where `place` is None. A refusal on either level is one."""
        taken = code in TAKEN and (whole in TAKEN or (whole == _PARTIAL and place is not None))
        if not taken and code not in REFUSED and whole not in REFUSED:
            return self._apart(interchange, part, f"{self._verdict}01 or AK901 is missing or no code of a verdict")
        claims = tuple(s.part(1, 2) for s in part if s.tag == "CTX" and s.part(1, 1) == "CLM01" and s.part(1, 2))
        reasons = [*self._reasons(part), *([f"{self._verdict}:{code}"] if code != "A" and code == "E" else [])]
        data = {"kind": "999", "accepted": taken, "status_codes": _codes(reasons)}
        assert self._group is not None
        text = self._headers.envelope([self._group], part, [self._last] if self._last else [])
        return Entry(ClaimAcknowledged.event_type, None, interchange, data, named=claims, place=place, text=text)

    def _reasons(self, part: Sequence[Segment]) -> Iterator[str]:
        """Segment, its position, its loop and what is wrong with it; the element in it, and what is wrong with that."""
        for s in part:
            if s.tag == self._segment:
                yield ":".join(("IK3", s.at(1), s.at(2), s.at(3), s.at(4)))
            elif s.tag == self._element:
                yield ":".join(("IK4", "-".join(p for p in s.parts(1) if p), s.at(3)))
            elif s.tag == "CTX" and s.at(2):
                yield ":".join(("CTX", s.at(2), s.at(3), s.at(4)))

    def _apart(self, interchange: int, part: Sequence[Segment], reason: str) -> Apart:
        assert self._group is not None
        text = self._headers.envelope([self._group], part, [self._last] if self._last else [])
        return Apart(reason, text, interchange=interchange)


class OtherAcknowledgment:
    """A 997: of another guide than what is sent from here asks for. What it accepts is filed, a refusal needs a person."""

    def __init__(self, headers: Headers) -> None:
        self._inner = Acknowledgment(headers, ("AK3", "AK4", "AK5"))
        self._headers, self._segments = headers, 0
        self._kept: list[Segment] = []

    def take(self, segment: Segment) -> Iterator[Item]:
        """Read one segment of the transaction."""
        if len(self._kept) < _MOST_CODES_KEPT:
            self._kept.append(segment)
        for item in self._inner.take(segment):
            if isinstance(item, Entry) and item.data["accepted"]:
                yield Departure("acknowledgment_997", "a 997 that accepts is filed without effect; ask for a 999")
            elif isinstance(item, Entry):
                reason = "a 997 refuses what was sent; look at it, and ask its sender for a 999 (005010X231A1)"
                yield Apart(reason, self._headers.envelope(self._kept), interchange=item.interchange)
            else:
                yield item

    def end(self) -> Iterator[Item]:
        """The end of the transaction."""
        return self._inner.end()


class ClaimAcknowledgment:
    """A 277CA: the status of each claim; where a whole transmission was refused and no claim is listed, of all its claims."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._head: list[Segment] = []
        self._piece: Piece | None = None
        self._refused: list[list[tuple[str, ...]]] = []
        self._levels: list[Segment] = []
        self._interchange: int | None = None
        self._claims = 0

    def take(self, segment: Segment) -> Iterator[Item]:
        """Read one segment of the transaction."""
        if segment.tag == "HL":
            yield from self._close()
            self._piece = Piece(segment)
        elif self._piece is not None:
            self._piece.add(segment)
        else:
            self._head.append(segment)

    def end(self) -> Iterator[Item]:
        """The end of the transaction."""
        yield from self._close()
        if not self._claims and self._refused and self._interchange is not None:
            statuses = [status for found in self._refused for status in found]
            text = self._headers.envelope(self._head, self._levels)
            yield Entry(ClaimAcknowledged.event_type, None, self._interchange, _data(statuses), text=text)

    def _close(self) -> Iterator[Item]:
        piece, self._piece = self._piece, None
        if piece is None:
            return
        level, statuses = piece.head.at(3), _statuses(piece.segments)
        if level == _CLAIM_LEVEL:
            self._claims += 1
            yield self._claim(piece.segments, statuses)
        elif level in (_RECEIVER_LEVEL, _PROVIDER_LEVEL):
            if level == _RECEIVER_LEVEL:
                self._interchange = whole_number(_trace(piece.segments))
            if any(status[0] in REJECTIONS for status in statuses):
                self._refused.append(statuses)
            if not self._claims:
                self._levels += piece.segments
                if len(self._levels) > LARGEST_CLAIM:
                    raise NotUsable(f"a 277CA without claims has more than {LARGEST_CLAIM} segments")

    def _claim(self, part: list[Segment], statuses: list[tuple[str, ...]]) -> Item:
        control = _trace(part)
        categories = {status[0] for status in statuses}
        known = RECEIPTS | ACCEPTANCES
        if not control or not categories or (not categories & REJECTIONS and not categories <= known):
            missing = "TRN02 names no claim" if not control else "STC01 has no status category of a 277CA"
            return Apart(missing, self._headers.envelope(self._head, part), control or None)
        if not categories & REJECTIONS and any(s.at(3) == _REJECT for s in named(part, "STC")):
            reason = "STC03 rejects the claim and STC01 does not: ask the payer which of them counts"
            return Apart(reason, self._headers.envelope(self._head, part), control)
        number = next((s.at(2) for s in named(part, "REF") if s.at(1) == "1K" and s.at(2)), "")
        data = _data(statuses) | ({"payer_claim_number": number} if number else {})
        return Entry(ClaimAcknowledged.event_type, control, None, data)


def _trace(part: Sequence[Segment]) -> str:
    return next((s.at(2) for s in part if s.tag == "TRN" and s.at(2)), "")


def _statuses(part: Sequence[Segment]) -> list[tuple[str, ...]]:
    """Category, status and whose: of the claim and of its lines."""
    return [s.parts(index)[:3] for s in named(part, "STC") for index in (1, 10, 11) if s.at(index)]


def _data(statuses: Sequence[tuple[str, ...]]) -> dict[str, object]:
    accepted = not any(status[0] in REJECTIONS for status in statuses)
    return {"kind": "277CA", "accepted": accepted, "status_codes": _codes(":".join(status) for status in statuses)}


def _codes(found: Iterable[str]) -> list[str]:
    kept = (code.rstrip(":")[:STATUS_CODE_LENGTH] for code in found)
    return list(dict.fromkeys(code for code in kept if code))[:_CODES]
