"""Our own 837 files read back: which claims are in one, for whom, and what makes two of them the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from domain.billing.model import Form
from domain.billing.x12.entries import NotUsable
from domain.billing.x12.envelope import GUIDES
from domain.billing.x12.interchange import Segment, segments
from domain.billing.x12.structure import Place, Structure, whole_number

_FORMS = {guide: form for form, guide in GUIDES.items()}
_CHANGE_CODES = frozenset(f"BG:{code}" for code in ("D0", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "E0"))
"""Condition codes that say why a claim was changed (NUBC); an original has none."""


@dataclass(frozen=True, slots=True)
class SentClaim:
    """One claim of a file.

    Attributes:
        control: CLM01, our control number. place: ST02.
        payer: the payer's number in the file (2010BB NM109).
        exact: the transaction without our numbers and its time: equal for the same claim, sent under other numbers.
        bill: `exact` without what a replacement adds: frequency, payer's claim number, reason of the change, notes.
        text: the transaction as it was sent.
    """

    control: str
    place: int
    form: Form
    frequency: str
    total: Decimal
    first: date
    last: date
    payer: str
    family: str
    given: str
    birth_date: str
    member_id: str
    exact: str
    bill: str
    text: str


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """An interchange of claims. `made` has no zone: the file states none."""

    interchange: int
    receiver: str
    test: bool
    made: datetime
    claims: tuple[SentClaim, ...]


def read_claim_file(text: str) -> ClaimFile:
    """Read a file of claims that was written here.

    Raises:
        NotUsable: it is no whole 837, or of another guide.
    """
    structure, body, claims = Structure(), list[Segment](), list[SentClaim]()
    header: Segment | None = None
    for segment in segments([text.encode("latin-1", "replace")]):
        place = structure.place(segment)
        if place is Place.INTERCHANGE:
            if header is not None:
                raise NotUsable("it holds more than one interchange")
            header = segment
        elif place is Place.TRANSACTION:
            body = [segment]
        elif place is Place.INSIDE:
            body.append(segment)
        elif place is Place.END_OF_TRANSACTION:
            claims.append(_claim([*body, segment]))
    if header is None or not claims:
        raise NotUsable("it holds no claim")
    return ClaimFile(
        interchange=_number(header.at(13), "ISA13"),
        receiver=header.at(8),
        test=header.at(15) != "P",
        made=_moment(header.at(9), header.at(10)),
        claims=tuple(claims),
    )


def _claim(body: Sequence[Segment]) -> SentClaim:
    start, claims = body[0], [one for one in body if one.tag == "CLM"]
    form = _FORMS.get(start.at(3))
    if start.at(1) != "837" or form is None:
        raise NotUsable("it is no 837 of a guide in use")
    if len(claims) != 1:
        raise NotUsable("a transaction of it holds not exactly one claim")
    [claim] = claims
    insured, payer = _named(body, "IL"), _named(body, "PR")
    first, last = _period(body)
    return SentClaim(
        control=claim.at(1),
        place=_number(start.at(2), "ST02"),
        form=form,
        frequency=claim.part(5, 3),
        total=_amount(claim.at(2)),
        first=first,
        last=last,
        payer=payer.at(9),
        family=insured.at(3),
        given=insured.at(4),
        birth_date=next((one.at(2) for one in body if one.tag == "DMG"), ""),
        member_id=insured.at(9),
        exact="\n".join(_exact(body)),
        bill="\n".join(_bill(body)),
        text="\n".join(one.text for one in body),
    )


def _named(body: Sequence[Segment], role: str) -> Segment:
    for one in body:
        if one.tag == "NM1" and one.at(1) == role:
            return one
    raise NotUsable(f"a transaction of it names no {role}")


def _period(body: Sequence[Segment]) -> tuple[date, date]:
    """The statement period; of a professional claim, from its first to its last service."""
    dates = [one for one in body if one.tag == "DTP" and one.at(1) in ("434", "472")]
    statement = [one for one in dates if one.at(1) == "434"]
    found = sorted(_day(part) for one in statement or dates for part in one.at(3).split("-"))
    if not found:
        raise NotUsable("a claim of it has no date of service")
    return found[0], found[-1]


def _exact(body: Sequence[Segment]) -> Iterator[str]:
    for one in body:
        values = list(one.elements)
        if one.tag == "SE":
            continue
        if one.tag == "ST":
            values[2] = ""
        elif one.tag == "BHT":
            values[3:6] = ["", "", ""]
        elif one.tag == "CLM":
            values[1] = ""
        yield "*".join(values)


def _bill(body: Sequence[Segment]) -> Iterator[str]:
    for one in body:
        if one.tag in ("SE", "NTE") or (one.tag == "REF" and one.at(1) == "F8"):
            continue
        values = list(one.elements)
        if one.tag == "ST":
            values[2] = ""
        elif one.tag == "BHT":
            values[3:6] = ["", "", ""]
        elif one.tag == "CLM":
            values[1], values[5] = "", ":".join(one.parts(5)[:2])
        elif one.tag == "HI":
            values = [value for value in values if value not in _CHANGE_CODES]
            if len(values) == 1:
                continue
        yield "*".join(values)


def _number(text: str, what: str) -> int:
    found = whole_number(text)
    if found is None:
        raise NotUsable(f"its {what} is no number")
    return found


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NotUsable("the total of a claim is no amount") from None


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 a day has no zone
    except ValueError:
        raise NotUsable("a date of it cannot be read") from None


def _moment(day: str, time: str) -> datetime:
    try:
        return datetime.strptime(day + time, "%y%m%d%H%M")  # noqa: DTZ007 the header names no zone
    except ValueError:
        raise NotUsable("the moment of its header cannot be read") from None
