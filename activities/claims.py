"""Claims in the store: a version per content, one control number per emission, taken in the row's own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import Session, col, select

from activities.store.tables import ClaimLine, ClaimVersion, Counter
from domain.claims.lifecycle import AT_PAYER, ORIGINAL, REPLACEMENT, VOID, State
from domain.claims.model import Claim, Line
from domain.plan import ClaimBuilt, ClaimQuestion

CONTROL_COUNTER = "claim control number"


def keep_claim(session: Session, question: ClaimQuestion, claim: Claim | None) -> ClaimBuilt:
    """Keep the claim as the facts up to the question's sequence make it.

    The same content twice is one version. Facts older than those already kept change nothing. A claim that is no longer
    due is withdrawn, never deleted; once the payer has it, a change replaces it and its end voids it.
    """
    versions = versions_of(session, question.encounter, question.letter, question.ordinal)
    latest = current(versions)
    if latest is not None and latest.sequence > question.up_to_sequence:
        return _built(latest)
    at_payer = version_at_payer(versions)
    if claim is None or not claim.ready:
        return _end(session, versions, at_payer, question)
    if latest is not None and _says(latest, claim):
        latest.sequence = question.up_to_sequence
        session.add(latest)
        return _built(latest)
    if at_payer is not None and latest is not at_payer and at_payer.content_hash == claim.content_hash:
        return _built(_back_to(session, versions, at_payer, question))
    return _built(_next_version(session, versions, at_payer, question, claim))


def versions_of(session: Session, encounter: str, letter: str, ordinal: int) -> list[ClaimVersion]:
    """Every version of a claim, the first one first."""
    return list(
        session.exec(
            select(ClaimVersion)
            .where(
                ClaimVersion.encounter_id == encounter,
                ClaimVersion.letter == letter,
                ClaimVersion.ordinal == ordinal,
            )
            .order_by(col(ClaimVersion.version))
        )
    )


def current(versions: Sequence[ClaimVersion]) -> ClaimVersion | None:
    """The version that counts: the newest that no other took the place of."""
    return next((row for row in reversed(versions) if row.state != State.SUPERSEDED), None)


def version_at_payer(versions: Sequence[ClaimVersion]) -> ClaimVersion | None:
    """The version that the payer has; none while nothing was sent, after a rejection, and after a void."""
    for row in reversed(versions):
        state = row.standing.get("state")
        if state in AT_PAYER:
            return row
        if state == State.VOIDED:
            return None
    return None


def _says(latest: ClaimVersion, claim: Claim) -> bool:
    """The newest version already bills this."""
    over = latest.state in (State.WITHDRAWN, State.VOIDED) or latest.frequency == VOID
    return latest.content_hash == claim.content_hash and not over


def _end(
    session: Session, versions: Sequence[ClaimVersion], at_payer: ClaimVersion | None, question: ClaimQuestion
) -> ClaimBuilt:
    latest = current(versions)
    if latest is None:
        return ClaimBuilt(state=State.WITHDRAWN, version=0, content="")
    latest.sequence = question.up_to_sequence
    session.add(latest)
    if latest.frequency == VOID:
        return _built(latest)
    if at_payer is None:
        latest.state = State.WITHDRAWN.value
        return _built(latest)
    return _built(_void(session, versions, at_payer, question))


def _void(
    session: Session, versions: Sequence[ClaimVersion], at_payer: ClaimVersion, question: ClaimQuestion
) -> ClaimVersion:
    """A version that takes back what the payer has: the same bill under frequency 8."""
    _supersede(session, versions)
    same = at_payer.model_dump(
        include={"content_hash", "form", "payer", "total", "document", "rulebook_digest", "edition"}
    )
    row = ClaimVersion(
        **same,
        encounter_id=question.encounter,
        letter=question.letter,
        ordinal=question.ordinal,
        version=versions[-1].version + 1,
        state=State.EMITTED.value,
        sequence=question.up_to_sequence,
        built_at=question.now,
        emitted_at=question.now,
        control_number=next_number(session, CONTROL_COUNTER),
        frequency=VOID,
    )
    session.add(row)
    session.flush()
    return row


def _back_to(
    session: Session, versions: Sequence[ClaimVersion], at_payer: ClaimVersion, question: ClaimQuestion
) -> ClaimVersion:
    """The facts are again what the payer has: nothing more is to be sent."""
    _supersede(session, versions)
    at_payer.state, at_payer.sequence = at_payer.standing["state"], question.up_to_sequence
    session.add(at_payer)
    return at_payer


def _supersede(session: Session, versions: Sequence[ClaimVersion]) -> None:
    latest = current(versions)
    if latest is not None and latest.state not in (State.WITHDRAWN, State.VOIDED):
        latest.state = State.SUPERSEDED.value
        session.add(latest)


def _next_version(
    session: Session,
    versions: Sequence[ClaimVersion],
    at_payer: ClaimVersion | None,
    question: ClaimQuestion,
    claim: Claim,
) -> ClaimVersion:
    _supersede(session, versions)
    emitted = not claim.errors
    row = ClaimVersion(
        encounter_id=question.encounter,
        letter=claim.letter,
        ordinal=claim.ordinal,
        version=versions[-1].version + 1 if versions else 1,
        content_hash=claim.content_hash,
        state=(State.EMITTED if emitted else State.HELD).value,
        form=claim.form.value,
        payer=claim.payer,
        total=claim.total,
        document=claim.model_dump(mode="json"),
        error_count=len(claim.errors),
        sequence=question.up_to_sequence,
        rulebook_digest=claim.rulebook_digest,
        edition=claim.edition,
        built_at=question.now,
        emitted_at=question.now if emitted else None,
        control_number=next_number(session, CONTROL_COUNTER) if emitted else None,
        frequency=REPLACEMENT if at_payer else ORIGINAL,
    )
    session.add(row)
    session.flush()
    for line in claim.lines:
        session.add(_line(row, line))
    return row


def _line(row: ClaimVersion, line: Line) -> ClaimLine:
    return ClaimLine(
        encounter_id=row.encounter_id,
        letter=row.letter,
        ordinal=row.ordinal,
        version=row.version,
        number=line.number,
        revenue_code=line.revenue_code,
        hcpcs=line.hcpcs,
        units=line.units,
        charge=line.charge,
        date_of_service=line.date_of_service,
        rule=line.reason.rule,
    )


def next_number(session: Session, name: str) -> str:
    """The next gap-free number of a counter, as text of at most 20 characters (CLM01)."""
    return f"CE{next_count(session, name):010d}"


def next_count(session: Session, name: str) -> int:
    """The next value of a counter, taken in the transaction: without it committed, it is not taken."""
    changed = session.exec(update(Counter).where(col(Counter.name) == name).values(value=Counter.value + 1))
    if changed.rowcount == 0:
        session.add(Counter(name=name, value=1))
        session.flush()
    return int(session.exec(select(Counter.value).where(Counter.name == name)).one())


def _built(row: ClaimVersion) -> ClaimBuilt:
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimBuilt(state=row.state, version=row.version, content=row.content_hash, errors=errors)


def standing_claims(session: Session, encounter: str) -> list[tuple[str, int]]:
    """Letter and ordinal of every claim whose current version bills something: neither withdrawn nor voided."""
    rows = session.exec(
        select(ClaimVersion).where(ClaimVersion.encounter_id == encounter).order_by(col(ClaimVersion.version))
    ).all()
    latest = {(row.letter, row.ordinal): row for row in rows}
    return sorted(
        key for key, row in latest.items() if row.state not in ("withdrawn", "voided") and row.frequency != "8"
    )
