"""Claims that were sent and that the database does not know: kept from their files and the index, and found again.

When a claim is about to go out, it is compared with them: the same claim takes its old numbers and is not sent again; one of
the same patient, payer, form and period with other content waits for a biller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlmodel import Session, col, func, or_, select

from domain.billing.submission.model import ORIGINAL, REPLACEMENT
from domain.billing.x12.claim_files import SentClaim
from store.claims import ClaimKey
from store.keys import Keyring
from store.outbox_index import Entry, IndexedClaim
from store.tables import RecoveredClaim, Transmission, sealed_for

OPEN, ADOPTED, CLOSED = "open", "adopted", "closed"
SAME, OTHER = "same", "other"


@dataclass(frozen=True, slots=True)
class Marks:
    """Keyed hashes of a claim as a file has it."""

    member: str
    person: str
    exact: str
    bill: str


@dataclass(frozen=True, slots=True)
class Found:
    """A claim that was sent before. `other_content`: what the payer has differs from today's claim, and is to be replaced."""

    row: RecoveredClaim
    other_content: bool


@dataclass(frozen=True, slots=True)
class Unclear:
    """Claims that may be this one, with other content: a person must say."""

    controls: tuple[str, ...]


def marks_of(keys: Keyring, sent: SentClaim) -> Marks:
    """The marks of a claim of a file."""
    return Marks(
        member=keys.digest("sent member", sent.member_id),
        person=keys.digest("sent person", sent.family, sent.given, sent.birth_date),
        exact=keys.digest("sent claim", sent.exact),
        bill=keys.digest("sent bill", sent.bill),
    )


def indexed(keys: Keyring, sent: SentClaim, row: Transmission | None, content: str | None = None) -> IndexedClaim:
    """A claim of a file as the index keeps it; `row` is its transmission, None where the database does not know it."""
    marks = marks_of(keys, sent)
    return IndexedClaim(
        control=sent.control,
        place=sent.place,
        encounter=row.encounter_id if row else None,
        letter=row.letter if row else None,
        ordinal=row.ordinal if row else None,
        version=row.version if row else None,
        frequency=sent.frequency,
        form=sent.form.value,
        payer=sent.payer,
        total=str(sent.total),
        first=sent.first.isoformat(),
        last=sent.last.isoformat(),
        content=content,
        insured=row.insured_mark if row else None,
        member=marks.member,
        person=marks.person,
        exact=marks.exact,
        bill=marks.bill,
    )


def key_text(key: ClaimKey) -> str:
    """A claim as text: `enc_…/C/1`."""
    encounter, letter, ordinal = key
    return f"{encounter}/{letter}/{ordinal}"


def recovered_id(keys: Keyring, entry: Entry, claim: IndexedClaim) -> str:
    """The id of a claim of a file: recovering it again is the same row."""
    parts = (entry.mode, entry.receiver, str(entry.interchange), str(claim.place), claim.control)
    return "rec_" + keys.digest("recovered", *parts)[:20]


def keep(
    session: Session, keys: Keyring, entry: Entry, claim: IndexedClaim, text: str | None, now: datetime
) -> RecoveredClaim:
    """Keep a claim that was sent; `text` is its transaction, None where no copy of the file is there."""
    name = recovered_id(keys, entry, claim)
    row = session.get(RecoveredClaim, name)
    if row is None:
        row = RecoveredClaim(
            recovered_id=name,
            control_number=claim.control,
            mode=entry.mode,
            receiver_id=entry.receiver,
            interchange=entry.interchange,
            set_number=claim.place,
            file_digest=entry.digest,
            encounter_id=claim.encounter,
            letter=claim.letter,
            ordinal=claim.ordinal,
            version=claim.version,
            form=claim.form,
            payer_id=claim.payer,
            frequency=claim.frequency,
            total=Decimal(claim.total) if claim.total else None,
            statement_from=date.fromisoformat(claim.first) if claim.first else None,
            statement_through=date.fromisoformat(claim.last) if claim.last else None,
            member_mark=claim.member,
            person_mark=claim.person,
            exact_mark=claim.exact,
            bill_mark=claim.bill,
            sent_at=datetime.fromisoformat(entry.at),
            recovered_at=now,
        )
    if text is not None and row.body is None:
        row.body = keys.seal(text.encode("latin-1", "replace"), sealed_for("recovered_claims.body", name))
    session.add(row)
    session.flush()
    return row


def known(session: Session) -> set[tuple[str, str, int, str]]:
    """Mode, receiver, interchange and control number of every recovered claim."""
    query = select(
        RecoveredClaim.mode, RecoveredClaim.receiver_id, RecoveredClaim.interchange, RecoveredClaim.control_number
    )
    return set(session.exec(query).all())


def unmatched(session: Session) -> Sequence[RecoveredClaim]:
    """Claims at a payer for which no encounter came again yet."""
    query = select(RecoveredClaim).where(RecoveredClaim.state == OPEN)
    return session.exec(query.order_by(col(RecoveredClaim.control_number))).all()


def adopted_count(session: Session) -> int:
    """How many recovered claims were found again: their numbers are known to the database since."""
    return session.exec(select(func.count()).where(RecoveredClaim.state == ADOPTED)).one()


def find(
    session: Session, keys: Keyring, key: ClaimKey, control: str | None, mode: str, receiver: str, sent: SentClaim
) -> Found | Unclear | None:
    """The recovered claim that a claim, about to go out, is.

    Args:
        sent: the claim as its file would be now.
    """
    marks = marks_of(keys, sent)
    rows = _candidates(session, key, control, mode, receiver, marks)
    if exact := [row for row in rows if row.exact_mark == marks.exact]:
        return Found(exact[0], other_content=False)
    if decided := [row for row in rows if row.decision == SAME and row.decided_for == key_text(key)]:
        return Found(decided[0], other_content=True)
    alike = [row for row in rows if _may_be(row, key, control, sent)]
    same_kind = [row for row in alike if row.frequency in (sent.frequency, None)]
    if sent.frequency == ORIGINAL:
        replaced = any(row.frequency == REPLACEMENT and row.bill_mark == marks.bill for row in alike)
        if replaced and same_kind:  # today's claim is what a replacement of that original billed
            return Found(same_kind[0], other_content=True)
    elif billed := [row for row in same_kind if row.bill_mark == marks.bill]:
        return Found(billed[0], other_content=False)
    return Unclear(tuple(row.control_number for row in same_kind)) if same_kind else None


def _candidates(
    session: Session, key: ClaimKey, control: str | None, mode: str, receiver: str, marks: Marks
) -> list[RecoveredClaim]:
    encounter, letter, ordinal = key
    own = (
        (RecoveredClaim.encounter_id == encounter)
        & (RecoveredClaim.letter == letter)
        & (RecoveredClaim.ordinal == ordinal)
    )
    query = select(RecoveredClaim).where(
        RecoveredClaim.state == OPEN,
        RecoveredClaim.mode == mode,
        RecoveredClaim.receiver_id == receiver,
        or_(
            col(RecoveredClaim.member_mark) == marks.member,
            col(RecoveredClaim.person_mark) == marks.person,
            col(RecoveredClaim.control_number) == control,
            own,
        ),
    )
    found = session.exec(query.order_by(col(RecoveredClaim.control_number)).with_for_update()).all()
    return [row for row in found if not (row.decision == OTHER and row.decided_for == key_text(key))]


def _may_be(row: RecoveredClaim, key: ClaimKey, control: str | None, sent: SentClaim) -> bool:
    """The same claim number, the same claim of the encounter, or the same payer, form and letter in an overlapping period."""
    encounter, letter, ordinal = key
    if row.control_number == control or (row.encounter_id, row.letter, row.ordinal) == (encounter, letter, ordinal):
        return True
    if row.statement_from is None or row.statement_through is None:
        return False
    overlaps = row.statement_from <= sent.last and sent.first <= row.statement_through
    return overlaps and row.form == sent.form.value and row.payer_id == sent.payer and row.letter in (letter, None)


def adopted(session: Session, row: RecoveredClaim, key: ClaimKey, now: datetime) -> None:
    """Note that a version has the numbers of a recovered claim."""
    row.state, row.settled_at = ADOPTED, now
    row.encounter_id, row.letter, row.ordinal = key
    session.add(row)
