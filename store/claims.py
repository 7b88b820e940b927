"""Claims in the database: versions with what was sent of them, service lines, control numbers.

The only reader and writer of the column `standing`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select as columns
from sqlalchemy import update
from sqlmodel import Session, col, select

from domain.billing.model import Claim, Line
from domain.billing.submission.model import OUT_OF_USE, VOID, State
from domain.billing.submission.versions import ClaimStatus, ClaimVersion, Parties, RebillAfterVoid, SentFile, current
from store.engine import insert_once
from store.installation import NumbersExhausted, epoch_of, size_of
from store.tables import CONTROL_COUNTER, ClaimLine, Counter, Transmission
from store.tables import ClaimVersion as ClaimRow

SHADOW = "shadow"
ClaimKey = tuple[str, str, int]
"""Encounter, letter and ordinal."""


def load(session: Session, key: ClaimKey) -> tuple[ClaimVersion, ...]:
    """Every version of a claim, the first one first, each with its file."""
    rows = versions_of(session, *key)
    return tuple(_version(row, sent) for row, sent in zip(rows, _files(session, key, rows), strict=True))


def save(
    session: Session,
    key: ClaimKey,
    before: Sequence[ClaimVersion],
    after: Sequence[ClaimVersion],
    *,
    numbered: bool = True,
) -> tuple[ClaimVersion, ...]:
    """Write what differs; a version to be sent gets the next control number in the same transaction.

    Args:
        before: the versions as they were loaded.
        numbered: False while sending is held: no number is taken, the version that counts gets its number at a later save.

    Returns:
        The versions with their control numbers.
    """
    known = {version.number: version for version in before}
    counts, saved = current(after), []
    for version in after:
        unnumbered = version.emitted_at is not None and version.control_number is None
        if numbered and unnumbered and (version.number not in known or version is counts):
            version = replace(version, control_number=next_number(session, CONTROL_COUNTER))
        if version.number not in known:
            version = _insert(session, key, version)
        elif version is not known[version.number] and version != known[version.number]:
            _update(session, key, known[version.number], version)
        saved.append(version)
    return tuple(saved)


def _files(session: Session, key: ClaimKey, rows: Sequence[ClaimRow]) -> list[Transmission | None]:
    encounter, letter, ordinal = key
    query = select(Transmission).where(
        Transmission.encounter_id == encounter, Transmission.letter == letter, Transmission.ordinal == ordinal
    )
    sent = {one.version: one for one in session.exec(query)}
    return [sent.get(row.version) for row in rows]


def _version(row: ClaimRow, sent: Transmission | None) -> ClaimVersion:
    return ClaimVersion(
        number=row.version,
        claim=claim_of(row),
        frequency=row.frequency,
        state=State(row.state),
        sequence=row.sequence,
        built_at=row.built_at,
        decided_at=row.decided_at,
        emitted_at=row.emitted_at,
        control_number=row.control_number,
        sent=sent_file(sent) if sent else None,
        status=status_of(row),
    )


def sent_file(sent: Transmission) -> SentFile:
    """What a transmission sent."""
    return SentFile(
        at=sent.created_at,
        written=sent.written_at is not None,
        shadow=sent.mode == SHADOW,
        parties=Parties(sent.insured_mark, sent.parties_mark),
        number_from=sent.replaces_event,
        other_content=sent.other_content,
    )


def _insert(session: Session, key: ClaimKey, version: ClaimVersion) -> ClaimVersion:
    encounter, letter, ordinal = key
    claim = version.claim
    row = ClaimRow(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=version.number,
        form=claim.form.value,
        payer=claim.payer,
        total=claim.total,
        built_at=version.built_at,
        emitted_at=version.emitted_at,
        **_content(claim),
        **_columns(version),
        standing=_json(version.status),
    )
    session.add(row)
    session.flush()
    session.add_all(_line(key, version.number, line) for line in claim.lines)
    return version


def _update(session: Session, key: ClaimKey, before: ClaimVersion, after: ClaimVersion) -> None:
    row = session.get_one(ClaimRow, (*key, after.number))
    changed = _columns(after)
    if after.status != before.status:
        changed["standing"] = _json(after.status)
    if after.claim is not before.claim and after.claim != before.claim:
        changed |= _content(after.claim)
        for line in after.claim.lines:
            kept = session.get(ClaimLine, (*key, after.number, line.number))
            if kept is not None:
                kept.rule = line.reason.rule
    for name, value in changed.items():
        setattr(row, name, value)
    session.add(row)


def _columns(version: ClaimVersion) -> dict[str, Any]:
    """The columns of a version that may change, without its explanations."""
    return {
        "state": version.state.value,
        "frequency": version.frequency,
        "control_number": version.control_number,
        "sequence": version.sequence,
        "decided_at": version.decided_at,
    }


def _content(claim: Claim) -> dict[str, Any]:
    return {
        "content_hash": claim.content_hash,
        "document": claim.model_dump(mode="json"),
        "error_count": len(claim.errors),
        "rulebook_digest": claim.rulebook_digest,
        "edition": claim.edition,
    }


def _line(key: ClaimKey, number: int, line: Line) -> ClaimLine:
    encounter, letter, ordinal = key
    return ClaimLine(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=number,
        number=line.number,
        revenue_code=line.revenue_code,
        hcpcs=line.hcpcs,
        units=line.units,
        charge=line.charge,
        date_of_service=line.date_of_service,
        rule=line.reason.rule,
    )


def status_of(row: ClaimRow) -> ClaimStatus:
    """The status of a version."""
    return _status(row.standing)


def _status(noted: Mapping[str, Any]) -> ClaimStatus:
    """The status read from its JSON; what an earlier release did not record has its default.

    A release without secondary payers recorded the payment alone: it was kept, and the patient owes the rest.
    """
    return ClaimStatus(
        state=State(noted["state"]) if noted.get("state") else None,
        remitted_at=_moment(noted.get("remitted_at")),
        paid=_amount(noted.get("paid")),
        kept=_amount(noted.get("kept", noted.get("paid"))),
        paid_by_further=_amount(noted.get("paid_by_further")),
        forwarded=bool(noted.get("forwarded", False)),
        crossover=tuple(noted.get("crossover") or ()),
        balance=_amount(noted.get("balance", noted.get("patient_responsibility"))),
        patient_responsibility=_amount(noted.get("patient_responsibility")),
        refused=_amount(noted.get("refused")),
        shortfall=_amount(noted.get("shortfall")),
        appeal_by=_day(noted.get("appeal_by")),
        file_by=_day(noted.get("file_by")),
        refused_lines=tuple(noted.get("refused_lines") or ()),
        response_kinds=tuple(noted.get("heard") or ()),
        unanswered_in_shadow=bool(noted.get("untold", False)),
        next_title=noted.get("next"),
        next_due=_moment(noted.get("next_due")),
        followed_at=_moment(noted.get("as_of")),
        run=noted.get("run") or "",
        rebill=_rebill(noted.get("behind")),
    )


def _rebill(noted: Mapping[str, str] | None) -> RebillAfterVoid | None:
    if not noted:
        return None
    return RebillAfterVoid(noted["payer"], date.fromisoformat(noted["through"]), Decimal(noted["total"]))


def _json(status: ClaimStatus) -> dict[str, Any]:
    """A status as JSON, under the keys of every release."""
    noted: dict[str, Any] = {
        "state": status.state.value if status.state else None,
        "remitted_at": _text(status.remitted_at),
        "paid": _plain(status.paid),
        "kept": _plain(status.kept),
        "paid_by_further": _plain(status.paid_by_further),
        "forwarded": status.forwarded,
        "crossover": list(status.crossover),
        "balance": _plain(status.balance),
        "patient_responsibility": _plain(status.patient_responsibility),
        "refused": _plain(status.refused),
        "shortfall": _plain(status.shortfall),
        "appeal_by": _text(status.appeal_by),
        "file_by": _text(status.file_by),
        "refused_lines": list(status.refused_lines),
        "heard": list(status.response_kinds),
        "untold": status.unanswered_in_shadow,
        "next": status.next_title,
        "next_due": _text(status.next_due),
    }
    if status.followed_at is not None:
        noted |= {"as_of": _text(status.followed_at), "run": status.run}
    if (rebill := status.rebill) is not None:
        noted["behind"] = {
            "payer": rebill.payer,
            "through": rebill.through.isoformat(),
            "total": str(rebill.total),
        }
    return noted


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _amount(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


def _text(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None


def _plain(amount: Decimal | None) -> str | None:
    return str(amount) if amount is not None else None


def clean(row: ClaimRow, cleaned: Callable[[Any], Any]) -> None:
    """Remove a patient's numbers from the document and the status of a version."""
    row.document, row.standing = cleaned(row.document), cleaned(row.standing)


@dataclass(frozen=True, slots=True)
class Followed:
    """A version without its document."""

    encounter_id: str
    letter: str
    ordinal: int
    total: Decimal
    error_count: int
    state: str
    status: ClaimStatus


def followed(session: Session, states: Collection[str]) -> Iterator[Followed]:
    """The versions in one of the states, documents not loaded."""
    query = columns(
        col(ClaimRow.encounter_id),
        col(ClaimRow.letter),
        col(ClaimRow.ordinal),
        col(ClaimRow.total),
        col(ClaimRow.error_count),
        col(ClaimRow.state),
        col(ClaimRow.standing),
    ).where(col(ClaimRow.state).in_(list(states)))
    for encounter, letter, ordinal, total, errors, state, standing in session.connection().execute(query):
        yield Followed(encounter, letter, ordinal, total, errors, state, _status(standing))


def sent_versions(session: Session) -> Iterator[tuple[Transmission, str, ClaimStatus]]:
    """Every file that was sent, with state and status of its version."""
    query = select(Transmission, ClaimRow.state, ClaimRow.standing).join(
        ClaimRow,
        (col(ClaimRow.encounter_id) == col(Transmission.encounter_id))
        & (col(ClaimRow.letter) == col(Transmission.letter))
        & (col(ClaimRow.ordinal) == col(Transmission.ordinal))
        & (col(ClaimRow.version) == col(Transmission.version)),
    )
    for sent, state, standing in session.exec(query):
        yield sent, state, _status(standing)


def versions_of(session: Session, encounter: str, letter: str, ordinal: int) -> list[ClaimRow]:
    """The row of every version of a claim, the first one first."""
    return list(
        session.exec(
            select(ClaimRow)
            .where(ClaimRow.encounter_id == encounter, ClaimRow.letter == letter, ClaimRow.ordinal == ordinal)
            .order_by(col(ClaimRow.version))
        )
    )


def open_claims(session: Session, encounter: str) -> list[tuple[str, int]]:
    """Letter and ordinal of every claim whose current version bills something: neither withdrawn, voided nor a void."""
    rows = session.exec(
        select(ClaimRow)
        .where(ClaimRow.encounter_id == encounter, ClaimRow.state != State.SUPERSEDED)
        .order_by(col(ClaimRow.version))
    ).all()
    latest = {(row.letter, row.ordinal): row for row in rows}
    return sorted(key for key, row in latest.items() if row.state not in OUT_OF_USE and row.frequency != VOID)


def claim_of(row: ClaimRow) -> Claim:
    """The document of a version."""
    return Claim.model_validate(row.document)


def next_number(session: Session, name: str) -> str:
    """The next gap-free number of a counter, as text of at most 20 characters (CLM01)."""
    return control_number(next_count(session, name))


def control_number(count: int) -> str:
    """The text of a control number (CLM01)."""
    return f"CE{count:010d}"


def count_of(control: str) -> int | None:
    """The count of a control number; None for a text that is none of ours."""
    digits = control.removeprefix("CE")
    return int(digits) if len(digits) == 10 and digits.isascii() and digits.isdigit() and control != digits else None


def next_count(session: Session, name: str) -> int:
    """The next value of a counter, in the caller's transaction: without its commit the value is not used.

    Raises:
        NumbersExhausted: the epoch has no number left.
    """
    one_more = update(Counter).where(col(Counter.name) == name).values(value=Counter.value + 1)
    if session.exec(one_more).rowcount == 0:
        begin_counter(session, name)
        session.exec(one_more)
    value = int(session.exec(select(Counter.value).where(Counter.name == name)).one())
    if value % size_of(name) == 0:
        raise NumbersExhausted(
            f"the counter {name!r} has no number left in its epoch; raise the epoch (docs/operations.md)"
        )
    return value


def begin_counter(session: Session, name: str) -> None:
    """Make the counter where there is none: it begins with the first number of the epoch."""
    insert_once(session, Counter, name=name, value=epoch_of(session) * size_of(name))
