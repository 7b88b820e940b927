"""Claims in the store: a version per content, one control number per emission, taken in the row's own transaction."""

from __future__ import annotations

from sqlalchemy import update
from sqlmodel import Session, col, select

from activities.store.tables import ClaimLine, ClaimVersion, Counter
from domain.claims.model import Claim, Line
from domain.plan import ClaimBuilt, ClaimQuestion

CONTROL_COUNTER = "claim control number"


def keep_claim(session: Session, question: ClaimQuestion, claim: Claim | None) -> ClaimBuilt:
    """Keep the claim as the facts up to the question's sequence make it.

    The same content twice is one version. Facts older than those already kept change nothing. A claim that is no longer
    due is withdrawn, never deleted.
    """
    latest = session.exec(
        select(ClaimVersion)
        .where(
            ClaimVersion.encounter_id == question.encounter,
            ClaimVersion.letter == question.letter,
            ClaimVersion.ordinal == question.ordinal,
        )
        .order_by(col(ClaimVersion.version).desc())
        .limit(1)
    ).first()
    if latest is not None and latest.sequence > question.up_to_sequence:
        return _built(latest)
    if claim is None or not claim.ready:
        return _withdraw(session, latest, question)
    if latest is not None and latest.content_hash == claim.content_hash and latest.state != "withdrawn":
        latest.sequence = question.up_to_sequence
        session.add(latest)
        return _built(latest)
    return _built(_next_version(session, latest, question, claim))


def _withdraw(session: Session, latest: ClaimVersion | None, question: ClaimQuestion) -> ClaimBuilt:
    if latest is None:
        return ClaimBuilt(state="withdrawn", version=0, content="")
    latest.state = "withdrawn"
    latest.sequence = question.up_to_sequence
    session.add(latest)
    return _built(latest)


def _next_version(session: Session, latest: ClaimVersion | None, question: ClaimQuestion, claim: Claim) -> ClaimVersion:
    if latest is not None and latest.state != "withdrawn":
        latest.state = "superseded"
        session.add(latest)
    emitted = not claim.errors
    row = ClaimVersion(
        encounter_id=question.encounter,
        letter=claim.letter,
        ordinal=claim.ordinal,
        version=latest.version + 1 if latest else 1,
        content_hash=claim.content_hash,
        state="emitted" if emitted else "held",
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
    changed = session.exec(update(Counter).where(col(Counter.name) == name).values(value=Counter.value + 1))
    if changed.rowcount == 0:
        session.add(Counter(name=name, value=1))
        session.flush()
    value = session.exec(select(Counter.value).where(Counter.name == name)).one()
    return f"CE{value:010d}"


def _built(row: ClaimVersion) -> ClaimBuilt:
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimBuilt(state=row.state, version=row.version, content=row.content_hash, errors=errors)
